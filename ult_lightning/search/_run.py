"""Running a search: tasks and a mother in, a ticket out."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from pytorch_lightning import Callback
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ult_lightning.base import NUMERICS, UltError, check_trainer_arguments, digest, environment, fault, once
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
from ult_lightning.search._module import MaskSearch
from ult_lightning.search._search_settings import SearchSettings, kept_counts
from ult_lightning.search._trainer import KeepBest, fit_quietly, make_trainer, quiet_lightning
from ult_lightning.search.methods import Learner, Scorer
from ult_lightning.search.objectives import OBJECTIVES
from ult_lightning.tickets import Mask, MotherSpec, Subnetwork, Ticket, TicketStore

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from ult_lightning.data import Task, TaskBatch, TaskDataModule

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

    A mother of your own is known by its fingerprint: the names, shapes and values of its parameters.
    """
    own = {} if module is None else {"module": fingerprint(build_mother(spec, module).body)}
    return {
        "made_by": "search",
        "numerics": NUMERICS,
        "sources": [_source_config(t, settings) for t in sources],
        "mother": spec.to_dict(),
        "search": settings.given(),
        **own,
    }


def _source_config(task: Task, settings: SearchSettings) -> dict[str, Any]:
    policy = {"augmentation": task.augmentation} if settings.augment is True else {}
    return {**task.science(), **policy}


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
    trainer: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    logger: Logger | Sequence[Logger] | None = None,
    device: str = "cpu",
    run_dir: str | Path | None = None,
    progress: bool = True,
    notice: Notice = print,
) -> Ticket:
    """Searches one mask over one random mother for all ``sources`` together, and returns the ticket.

    Args:
        sources: the tasks that the search sees.
        spec: the mother.
        settings: what the ticket depends on (default: ``SearchSettings()``).
        module: the factory of a mother of your own, whose dropout and the like are off while it is searched.
        trainer: further arguments of Lightning's Trainer, by name, that change no number: accelerator, profiler, ...
        callbacks: of the Trainer; they must leave the numbers as they are.
        logger: one or several of Lightning's loggers.
        device: where ``trainer`` does not say so: "cpu", "cuda" or "cuda:1".
        run_dir: where a checkpoint is written after each epoch; a search that was killed resumes from it.
        progress: whether a progress bar is shown.
        notice: what is told in passing goes here, a sentence at a time.

    Raises:
        UltError: empty sources, unknown names, a density that rounds to nothing, a loss that is not finite, arguments that the
            Trainer does not take, a search that was stopped before its end, a ``run_dir`` with the checkpoint of another search.
    """
    settings = settings or SearchSettings()
    _check(sources, spec, settings)
    started = time.perf_counter()
    config = science_config(sources, spec, settings, module=module)
    find = _train if issubclass(settings.method_class, Learner) else _score
    result = find(
        sources, spec, settings, module=module, trainer=dict(trainer or {}), callbacks=callbacks, logger=logger,
        device=device, run_dir=run_dir, progress=progress, notice=notice, identity=digest(config),
    )  # fmt: skip
    _warn_of_empty_layers(result.subnetwork.mask)
    frozen = frozen_on(
        sources, spec, result.subnetwork, module=module, device=result.device, seed=settings.seed
    )
    provenance = {
        "id": digest(config)[:16],
        "made_by": "search",
        "method": settings.method,
        "settings": settings.to_dict(),
        "config": config,
        "sources": [{k: v for k, v in t.describe().items() if k != "class_names"} for t in sources],
        "validation": _validation(frozen, result.heads, sources),
        "mask": settings.select,
        "steps": result.steps,
        "resumed_from_step": result.resumed,
        "seconds": round(result.seconds_before + time.perf_counter() - started, 3),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "environment": environment(result.device),
    }
    return Ticket(
        spec=spec,
        subnetwork=result.subnetwork,
        statistics=as_arrays(statistics(frozen.mother.body)),
        fingerprint=result.fingerprint,
        provenance=provenance,
        constants=as_arrays(constants(frozen.mother.body)),
    )


@dataclass(frozen=True)
class _Result:
    """What a method found, and on what mother."""

    subnetwork: Subnetwork
    fingerprint: str
    device: str
    steps: int = 0
    heads: Sequence[nn.Module] = ()
    resumed: int | None = None
    seconds_before: float = 0.0


def _train(
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings,
    *,
    module: Factory | None,
    trainer: dict[str, Any],
    callbacks: Sequence[Callback],
    logger: Logger | Sequence[Logger] | None,
    device: str,
    run_dir: str | Path | None,
    progress: bool,
    notice: Notice,
    identity: str,
) -> _Result:
    """Trains a learner with a Lightning Trainer."""
    data = _data(sources, spec, settings)
    batches = data.steps_per_epoch
    steps, per_epoch = settings.steps(batches), settings.steps_per_epoch(batches)
    names = dict(zip(_names(sources), [t.classes for t in sources], strict=True))
    search = MaskSearch(spec, names, settings, steps=steps, module=module, identity=identity)
    before = _originals_fingerprint(search.mother)
    _warn_of_vanished_biases(search.mother, spec)
    checkpoint = None if run_dir is None else Path(run_dir) / "last.ckpt"
    resumed = _step_of(checkpoint, identity, notice)
    keeper = KeepBest()
    loop = make_trainer(
        {**trainer, **settings.trainer, "max_epochs": -(-steps // per_epoch), "max_steps": steps},
        device=device,
        logger=logger,
        run_dir=run_dir,
        progress=progress,
        callbacks=[*callbacks, keeper] if settings.select == "best" else callbacks,
    )
    fit_quietly(loop, search, data, checkpoint=None if resumed is None else checkpoint)
    if loop.global_step != steps:
        again = "" if checkpoint is None else "; the same search goes on from there"
        raise SearchError(f"The search was stopped after {loop.global_step} of {steps} steps, by max_time or a callback, "
                          f"so no ticket was made{again}.")  # fmt: skip
    if search.validated_step != steps:  # max_steps ended inside an epoch
        with quiet_lightning():
            loop.validate(search, datamodule=data, verbose=False)
    subnetwork = keeper.best_subnetwork(maskable_shapes(search.mother))
    if subnetwork is None:
        search.method.before_step(steps)
        subnetwork = search.method.subnetwork()
    if _originals_fingerprint(search.mother) != before:
        raise SearchError("The mother's weights changed during the search, so no ticket was made; this is a fault of "
                          f"the method {settings.method}: please report it.")  # fmt: skip
    return _Result(
        subnetwork=subnetwork,
        fingerprint=before,
        device=_word(loop.strategy.root_device),
        steps=steps,
        heads=list(search.heads),
        resumed=resumed,
        seconds_before=search.seconds_before,
    )


def _score(
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings,
    *,
    module: Factory | None,
    trainer: dict[str, Any],
    device: str,
    **_: Any,
) -> _Result:
    """Asks a scorer: no training, and no Trainer but for the choice of the device."""
    check_trainer_arguments(trainer)
    if trainer.get("accelerator", "auto") != "auto":
        device = _word(make_trainer(trainer, device=device, progress=False).strategy.root_device)
    method = settings.method_class
    assert issubclass(method, Scorer)
    scorer = method(settings.method_options, seed=settings.seed)
    mother = build_mother(spec, module).to(device)
    before = fingerprint(mother.body)
    _warn_of_vanished_biases(mother, spec)
    stream = _data([t.to(device) for t in sources], spec, settings).train_dataloader()
    objective = OBJECTIVES.get(settings.objective)(settings.objective_options, seed=settings.seed)
    heads = objective.heads(mother.dim(), [t.classes for t in sources]).to(device).requires_grad_(False)
    weights = settings.loss_weights or (1.0,) * len(sources)

    def loss(network: Mother, batch: Sequence[TaskBatch]) -> Tensor:
        losses = [weights[b.task] * objective.loss(network(b.x), b.y, heads[b.task]) for b in batch]
        return torch.stack(losses).sum()

    batches = [stream.step(i) for i in range(scorer.batches)]
    kept = kept_counts(maskable_shapes(mother), settings)
    subnetwork = scorer.subnetwork(mother, kept, batches=batches, loss=loss)
    if fingerprint(mother.body) != before:
        raise SearchError(f"The method {settings.method} changed the mother's weights, so no ticket was made: please "
                          "report it.")  # fmt: skip
    return _Result(subnetwork, before, device)


def _data(sources: Sequence[Task], spec: MotherSpec, settings: SearchSettings) -> TaskDataModule:
    return sources[0].module(
        sources,
        batch_size=settings.batch_size,
        mixing=cast(Any, settings.mixing),
        seed=settings.seed,
        augment=settings.augment,
        range=spec.input.range,
    )


def _word(device: torch.device) -> str:
    return device.type if device.index is None or device.type == "cpu" else f"{device.type}:{device.index}"


def frozen_on(
    sources: Sequence[Task],
    spec: MotherSpec,
    subnetwork: Subnetwork | Mask | None = None,
    *,
    module: Factory | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> FrozenNetwork:
    """A frozen network of ``spec``, masked or whole, with its normalisation statistics estimated on ``sources``.

    The statistics are averages over batches that hold every source in equal parts, of its first
    ``STATISTICS_IMAGES`` images in an order drawn from ``seed``; the same for every frozen network.
    """
    frozen = freeze(build_mother(spec, module).to(device), subnetwork)
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


def _warn_of_vanished_biases(mother: Mother, spec: MotherSpec) -> None:
    if spec.bias != "nonzero":
        return
    biases = {name: p for name, p in _originals(mother).items() if name.endswith("bias")}
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


def _validation(
    frozen: FrozenNetwork,
    heads: Sequence[nn.Module],
    sources: Sequence[Task],
) -> dict[str, float]:
    """Accuracy on each source's validation part, of the frozen network with the head that the search had; none, none."""
    accuracies: dict[str, float] = {}
    device = next(frozen.parameters()).device
    for name, head, task in zip(_names(sources), heads, sources, strict=False):
        right = torch.zeros((), dtype=torch.int64, device=device)
        with torch.no_grad():
            head = head.to(device)
            for x, y in task.to(device).batches("valid", range=frozen.spec.input.range):
                right += (head(frozen(x)).argmax(1) == y).sum()
        accuracies[name] = int(right) / len(task.valid)
    return accuracies


def maskable_shapes(mother: Mother) -> dict[str, tuple[int, ...]]:
    """The shape of each maskable parameter, by name, in order; also while they are parametrized."""
    return {name: tuple(p.shape) for name, p in _originals(mother).items()}


def _originals(mother: Mother) -> dict[str, Tensor]:
    """The maskable parameters, under their parametrizations if they have any."""
    originals: dict[str, Tensor] = {}
    for name in maskable(mother.body):
        prefix, _, leaf = name.rpartition(".")
        layer = mother.body.get_submodule(prefix)
        if parametrize.is_parametrized(layer, leaf):
            layer, leaf = layer.get_submodule(f"parametrizations.{leaf}"), "original"
        originals[name] = getattr(layer, leaf)
    return originals


def _originals_fingerprint(mother: Mother) -> str:
    """The fingerprint of the weights under the parametrizations."""
    rest = {n: p for n, p in constants(mother.body).items() if ".parametrizations." not in f".{n}"}
    return hash_arrays(as_arrays({**_originals(mother), **rest}).items())
