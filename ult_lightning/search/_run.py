"""Running a search: tasks and a mother in, a ticket out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import Callback
from torch import nn

from ult_lightning.base import NUMERICS, TRAINER_SCIENCE, digest, environment, fault, once
from ult_lightning.nets import Factory, FrozenNetwork, as_arrays, build_mother, constants, fingerprint, statistics
from ult_lightning.search._frozen_on import frozen_on
from ult_lightning.search._learning import train
from ult_lightning.search._running import Running, source_names, warn_of_empty_layers
from ult_lightning.search._scoring import score
from ult_lightning.search._search_settings import SearchSettings
from ult_lightning.search.methods import Learner
from ult_lightning.tickets import MotherSpec, Ticket, TicketStore

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from ult_lightning.data import Task

Notice = Callable[[str], None]


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

    ticket = once(store.path(name), make, lambda _: store.load(name, module=module), force=force, notice=notice)
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
    for name, value in (trainer or {}).items():
        if name in TRAINER_SCIENCE and value is not None:
            mend = f"pass it as SearchSettings(trainer={{{name!r}: ...}})"
            raise fault(f"trainer.{name}", value, "an argument that changes no number", mend)
    started = time.perf_counter()
    config = science_config(sources, spec, settings, module=module)
    running = Running(dict(trainer or {}), callbacks, logger, device, run_dir, progress, notice)
    if issubclass(settings.method_class, Learner):
        result = train(sources, spec, settings, running, module=module, identity=digest(config))
    else:
        result = score(sources, spec, settings, running, module=module)
    warn_of_empty_layers(result.subnetwork.mask)
    frozen = frozen_on(sources, spec, result.subnetwork, module=module, device=result.device, seed=settings.seed)
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


def _check(sources: Sequence[Task], spec: MotherSpec, settings: SearchSettings) -> None:
    if not sources:
        raise fault("sources", "[]", "at least one task", "for example sources=[mnist5k]")
    if settings.loss_weights is not None and len(settings.loss_weights) != len(sources):
        raise fault("loss_weights", list(settings.loss_weights), f"one weight for each of {len(sources)} sources")
    shape = tuple(sources[0].batch("train", torch.zeros(1, dtype=torch.int64))[0].shape[1:])
    if tuple(spec.input.shape) != shape:
        mend = "an adapter such as input.adapter=pool16 gives the net other sizes"
        raise fault("input.shape", tuple(spec.input.shape), f"{shape}, the shape of every task's images", mend)
    if spec.scale_fan is not None and settings.densities:
        mend = "leave one of them out"
        raise fault("densities", dict(settings.densities), "none beside scale_fan, which knows one density", mend)


def _validation(frozen: FrozenNetwork, heads: Sequence[nn.Module], sources: Sequence[Task]) -> dict[str, float]:
    """Accuracy on each source's validation part, of the frozen network with the head that the search had; none, none."""
    accuracies: dict[str, float] = {}
    device = next(frozen.parameters()).device
    for name, head, task in zip(source_names(sources), heads, sources, strict=False):
        right = torch.zeros((), dtype=torch.int64, device=device)
        with torch.no_grad():
            head = head.to(device)
            for x, y in task.to(device).batches("valid", range=frozen.spec.input.range):
                right += (head(frozen(x)).argmax(1) == y).sum()
        accuracies[name] = int(right) / len(task.valid)
    return accuracies
