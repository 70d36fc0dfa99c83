"""Running a search: tasks and a mother in, a ticket out."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from ult_lightning.base import UltError, digest, environment, fault, once
from ult_lightning.nets import (
    Factory,
    FrozenNetwork,
    Mother,
    as_arrays,
    build_mother,
    constants,
    estimate_statistics,
    fingerprint,
    freeze,
    hash_arrays,
    maskable,
    statistics,
)
from ult_lightning.search._methods import METHODS, Attached
from ult_lightning.search._module import MaskSearch
from ult_lightning.search._settings import SearchSettings, kept_counts
from ult_lightning.search._trainer import KeepBest, fit_quietly, make_trainer, quiet_lightning
from ult_lightning.tickets import Mask, MotherSpec, Subnetwork, Ticket, TicketStore

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from ult_lightning.data import Task

NUMERICS = 1
"""Raised when a change of the code changes what the same settings give; part of every id."""

STATISTICS_IMAGES = 2_048
"""Training images per source on which normalisation statistics are estimated, for every frozen network alike."""

Notice = Callable[[str], None]


class SearchError(UltError):
    """A search that cannot go on."""


class EmptyLayerWarning(UserWarning):
    """A layer of which the mask keeps nothing."""


class VanishedBiasWarning(UserWarning):
    """Biases that were to be other than zero, and are too small to count."""


_VANISHED = 1e-12


def science_config(
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings,
    *,
    module: Factory | None = None,
) -> dict[str, Any]:
    """Everything that decides the ticket's bits, as JSON: machine settings are not in it.

    A mother of your own is told by her fingerprint: the names, shapes and values of her parameters.
    """
    own = {} if module is None else {"module": fingerprint(build_mother(spec, module).body)}
    return {
        "made_by": "search",
        "numerics": NUMERICS,
        "sources": [t.science() for t in sources],
        "mother": spec.to_dict(),
        "search": settings.science(),
        **own,
    }


def ticket_id(
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings,
    *,
    module: Factory | None = None,
) -> str:
    """The id of the ticket that these settings give: 16 hexadecimal digits of the science config's hash."""
    return digest(science_config(sources, spec, settings, module=module))[:16]


def search_once(
    store: TicketStore,
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings,
    *,
    module: Factory | None = None,
    force: bool = False,
    notice: Notice = print,
    **machine: Any,
) -> tuple[Ticket, bool]:
    """The ticket of these settings: from the store if it is there, else searched and stored; and whether it was reused.

    A search of the same ticket elsewhere is waited for; one that was killed is resumed from its last epoch. ``machine``
    goes to ``find_ticket``.
    """
    name = ticket_id(sources, spec, settings, module=module)
    folder = store.root / "searches" / name
    made: list[Ticket] = []

    def make() -> Ticket:
        if force:  # here, where no other process can be at work on it
            shutil.rmtree(folder, ignore_errors=True)
        ticket = find_ticket(sources, spec, settings, module=module, run_dir=folder, notice=notice, **machine)
        store.save(ticket)
        made.append(ticket)
        shutil.rmtree(folder, ignore_errors=True)
        return ticket

    ticket = once(
        store.path(name), make, lambda _: store.load(name, module=module), force=force, notice=notice
    )
    return ticket, not made


def find_ticket(
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings | None = None,
    *,
    module: Factory | None = None,
    device: str = "cpu",
    logger: Logger | None = None,
    run_dir: str | Path | None = None,
    progress: bool = True,
    notice: Notice = print,
) -> Ticket:
    """Searches one mask over one random mother for all ``sources`` together, and returns the ticket.

    With ``run_dir`` a checkpoint is written there after each epoch, and a search that was killed resumes from it.
    ``module`` is the factory of a mother of your own, whose dropout and the like are off while it is searched. Raises
    ``UltError`` for empty sources, unknown names, a density that rounds to nothing, a loss that is not finite, and a
    ``run_dir`` with the checkpoint of another search.
    """
    settings = settings or SearchSettings()
    _check(sources, spec, settings)
    started = time.perf_counter()
    sources = [t.to(device) for t in sources]
    mother = build_mother(spec, module).to(device)
    before = fingerprint(mother.body)
    config = science_config(sources, spec, settings, module=module)
    _warn_of_vanished_biases(mother, spec)
    fixed = as_arrays(constants(mother.body))
    shapes = {name: tuple(p.shape) for name, p in maskable(mother.body).items()}
    method = METHODS.get(settings.method)(mother.body, kept_counts(shapes, settings), settings)
    search, trainer, resumed = _fit(
        mother, method, sources, settings, logger, run_dir, progress, device, notice, digest(config)
    )
    mask = _chosen_mask(trainer, method, shapes)
    _warn_of_empty_layers(mask)
    frozen = frozen_on(sources, spec, mask, module=module, device=device, seed=settings.seed)
    if _originals_fingerprint(mother, shapes) != before:
        raise SearchError("The mother's weights changed during the search, so no ticket was made; this is a fault of "
                          f"the method {settings.method}: please report it.")  # fmt: skip
    provenance = {
        "id": digest(config)[:16],
        "made_by": "search",
        "method": settings.method,
        "settings": settings.science(),
        "config": config,
        "sources": [{k: v for k, v in t.describe().items() if k != "class_names"} for t in sources],
        "validation": _validation(frozen, search, sources),
        "mask": settings.select,
        "steps": trainer.global_step,
        "resumed_from_step": resumed,
        "seconds": round(search.seconds_before + time.perf_counter() - started, 3),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "environment": environment(device),
    }
    stats = as_arrays(statistics(frozen.mother.body))
    return Ticket(
        spec=spec,
        subnetwork=mask,
        statistics=stats,
        fingerprint=before,
        provenance=provenance,
        constants=fixed,
    )


def frozen_on(
    sources: Sequence[Task],
    spec: MotherSpec,
    mask: Mask | None = None,
    *,
    module: Factory | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> FrozenNetwork:
    """A frozen network of ``spec``, masked or whole, with its normalisation statistics estimated on ``sources``.

    The statistics are averages over batches that hold every source in equal parts, of its first
    ``STATISTICS_IMAGES`` images in an order drawn from ``seed``; the same for every frozen network.
    """
    frozen = freeze(build_mother(spec, module).to(device), mask)
    estimate_statistics(
        frozen.mother, _statistics_batches([t.to(device) for t in sources], seed, spec.input.range)
    )
    return frozen


def _statistics_batches(sources: Sequence[Task], seed: int, input_range: Any) -> Iterator[Tensor]:
    orders = []
    for i, task in enumerate(sources):
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, i])))
        orders.append(torch.from_numpy(generator.permutation(len(task.train))[:STATISTICS_IMAGES]))
    batches = max(1, max(len(o) for o in orders) * len(orders) // 256)
    for k in range(batches):
        parts = []
        for task, order in zip(sources, orders, strict=True):
            index = order.tensor_split(batches)[k]
            if len(index):
                parts.append(task.batch("train", index.to(task.train.labels.device), range=input_range)[0])
        yield torch.cat(parts)


def _check(sources: Sequence[Task], spec: MotherSpec, settings: SearchSettings) -> None:
    if not sources:
        raise fault("sources", "[]", "at least one task", "for example sources=[mnist5k]")
    if settings.loss_weights is not None and len(settings.loss_weights) != len(sources):
        raise fault(
            "loss_weights", list(settings.loss_weights), f"one weight for each of {len(sources)} sources"
        )
    shape = tuple(sources[0].batch("train", torch.zeros(1, dtype=torch.int64))[0].shape[1:])
    if tuple(spec.input.shape) != shape:
        mend = "an adapter such as input.adapter=pool16 gives the net other sizes"
        raise fault(
            "input.shape", tuple(spec.input.shape), f"{shape}, the shape of every task's images", mend
        )
    if spec.scale_fan is not None and settings.densities:
        mend = "leave one of them out"
        raise fault(
            "densities", dict(settings.densities), "none beside scale_fan, which knows one density", mend
        )


def _fit(
    mother: Mother,
    method: Attached,
    sources: Sequence[Task],
    settings: SearchSettings,
    logger: Logger | None,
    run_dir: str | Path | None,
    progress: bool,
    device: str,
    notice: Notice,
    identity: str,
) -> tuple[MaskSearch, Trainer, int | None]:
    """Trains scores and heads; also the step that it resumed from, or None."""
    stream = sources[0].stream(sources, batch_size=settings.batch_size, mixing=settings.mixing, seed=settings.seed,
                               augment=settings.augment, range=mother.spec.input.range)  # fmt: skip
    steps = settings.max_steps or settings.max_epochs * len(stream)
    search = MaskSearch(
        mother, method, _names(sources), [t.classes for t in sources], settings, steps, identity
    )
    checkpoint = None if run_dir is None else Path(run_dir) / "last.ckpt"
    resumed = _step_of(checkpoint, identity, notice)
    callbacks: list[Callback] = []
    if settings.select == "best":
        callbacks.append(KeepBest())
    trainer = make_trainer(settings, device=device, logger=logger, run_dir=run_dir, progress=progress,
                           epochs=-(-steps // len(stream)), steps=steps, callbacks=callbacks)  # fmt: skip
    valid = [t.ordered("valid", position=i, range=mother.spec.input.range) for i, t in enumerate(sources)]
    fit_quietly(trainer, search, stream, valid, checkpoint=None if resumed is None else checkpoint)
    if search.validated_step != steps:  # max_steps ended inside an epoch
        with quiet_lightning():
            trainer.validate(search, valid, verbose=False)
    return search, trainer, resumed


def _names(sources: Sequence[Task]) -> list[str]:
    """The ids of the sources, told apart by position where two are the same."""
    ids = [t.id for t in sources]
    return [i if ids.count(i) == 1 else f"{i}#{n}" for n, i in enumerate(ids)]


def _step_of(checkpoint: Path | None, identity: str, notice: Notice) -> int | None:
    """The step a checkpoint was written at; None if there is none, or none that can be read.

    Raises ``UltError`` for the checkpoint of a search of another ``identity``.
    """
    if checkpoint is None or not checkpoint.exists():
        return None
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
        step, whose = int(found["global_step"]), str(found["ult"]["identity"])
        for key in ("pytorch-lightning_version", "state_dict", "optimizer_states", "lr_schedulers"):
            found[key]
    except Exception:  # whatever a broken file does to its reader
        notice(f"The checkpoint {checkpoint} cannot be read; the search starts anew.")
        checkpoint.unlink()
        return None
    if whose != identity:
        raise fault("run_dir", str(checkpoint.parent), "a folder without the checkpoint of another search",
                    f"name another folder, or remove {checkpoint.name} there")  # fmt: skip
    notice(f"Resumed from step {step} ({checkpoint}).")
    return step


def _chosen_mask(trainer: Trainer, method: Attached, shapes: Mapping[str, tuple[int, ...]]) -> Mask:
    keeper = next((c for c in trainer.callbacks if isinstance(c, KeepBest)), None)  # type: ignore[attr-defined]
    if keeper is not None and keeper.packed is not None:
        return Mask.unpack(keeper.packed.numpy(), shapes)
    method.update()
    return method.mask()


def _warn_of_vanished_biases(mother: Mother, spec: MotherSpec) -> None:
    if spec.bias != "nonzero":
        return
    biases = {name: p for name, p in maskable(mother.body).items() if name.endswith("bias")}
    gone = [name for name, p in biases.items() if float(p.abs().max()) < _VANISHED]
    if gone:
        warnings.warn(f"The non-zero biases of {len(gone)} of {len(biases)} layers are below {_VANISHED:g}, from {gone[0]} "
                      "on: their scale is the product of all layers' so far; take a shallower net.",
                      VanishedBiasWarning, stacklevel=3)  # fmt: skip


def _warn_of_empty_layers(mask: Mask) -> None:
    empty = [n for n, d in mask.densities.items() if d == 0 and n.endswith("weight")]
    if empty:
        warnings.warn(f"The mask keeps nothing of {', '.join(empty)}: no signal passes there; "
                      "raise density, or set scope=layer.", EmptyLayerWarning, stacklevel=3)  # fmt: skip


def _validation(frozen: FrozenNetwork, search: MaskSearch, sources: Sequence[Task]) -> dict[str, float]:
    """Accuracy on each source's validation part, of the frozen network with the head that the search trained."""
    found = {}
    for name, head, task in zip(search.names, search.heads, sources, strict=True):
        right = 0
        with torch.no_grad():
            for x, y in task.batches("valid", range=frozen.spec.input.range):
                right += int((head.to(x.device)(frozen(x)).argmax(1) == y).sum())
        found[name] = right / len(task.valid)
    return found


def _originals_fingerprint(mother: Mother, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The fingerprint of the weights under the masks."""
    found: dict[str, Tensor] = {}
    for name in shapes:
        prefix, _, leaf = name.rpartition(".")
        original = mother.body.get_submodule(f"{prefix}.parametrizations.{leaf}".lstrip(".")).original
        assert isinstance(original, Tensor)
        found[name] = original
    rest = {n: p for n, p in constants(mother.body).items() if ".parametrizations." not in f".{n}"}
    return hash_arrays(as_arrays({**found, **rest}).items())
