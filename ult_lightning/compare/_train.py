"""Training weights end to end on a target, for the arms that tickets are compared with."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ult_lightning.base import Grown, UltError, digest, grow_grid, once, write_text
from ult_lightning.base._trainer_arguments import quiet_lightning
from ult_lightning.compare._bytes import Storage, head_bytes
from ult_lightning.compare._end_to_end import EndToEnd, NotFinite
from ult_lightning.compare.arms._arm import Outcome
from ult_lightning.nets import parameter_count, statistics
from ult_lightning.search import fit_quietly, make_trainer
from ult_lightning.transfer import with_search

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell
    from ult_lightning.tickets import Ticket


@dataclass(frozen=True)
class Trained:
    """A trained network: its validation accuracy, steps taken, training images drawn, seconds, and its augmentation."""

    model: EndToEnd
    valid_accuracy: float
    steps: int
    images: int
    seconds: float
    augment: str


@dataclass(frozen=True)
class Pilot:
    """The learning rate that validates best; ``grid`` has all, ``images`` and ``seconds`` what trying them took."""

    grid: Grown
    images: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.grid.best


def train_end_to_end(
    cell: Cell,
    rate: float,
    steps: int,
    *,
    augment: bool | str,
    ticket: Ticket | None = None,
) -> Trained:
    """The cell's mother, or its ticket, trained on the target for ``steps`` steps and validated.

    Raises ``NotFinite`` where the loss is no finite number.
    """
    search, dense, task = cell.search, cell.settings.dense, cell.task
    options: dict[str, Any] = {
        "lr": rate,
        "steps": steps,
        "momentum": dense.momentum,
        "weight_decay": dense.weight_decay,
        "schedule": dense.schedule,
        "seed": cell.seed,
    }
    if ticket is None:
        model = EndToEnd(cell.mother, task.classes, **options)
    else:
        model = EndToEnd.from_ticket(ticket, task.classes, **options)
    data = task.module(
        [task],
        batch_size=search.batch_size,
        seed=cell.seed,
        augment=augment,
        range=cell.mother.input.range,
        validation=False,
    )
    epochs = math.ceil(steps / search.steps_per_epoch(data.steps_per_epoch))
    trainer = _trainer(cell, max_epochs=epochs, max_steps=steps)
    started = time.perf_counter()
    fit_quietly(trainer, model, data)
    seconds, taken = time.perf_counter() - started, int(trainer.global_step)
    if taken != steps:
        raise UltError(f"Training end to end was stopped after {taken} of {steps} steps, by max_time or a callback.")
    images = taken * min(search.batch_size, len(task.train))
    return Trained(model, accuracy(cell, model, "valid"), taken, images, seconds, task.policy(augment))


def accuracy(cell: Cell, model: EndToEnd, part: Literal["valid", "test"]) -> float:
    """The share of right answers on a part of the target."""
    trainer, batches = _trainer(cell), cell.task.ordered(part, range=cell.mother.input.range)
    with quiet_lightning():
        measure = trainer.validate if part == "valid" else trainer.test
        (logged,) = measure(model, batches, verbose=False)
    (share,) = logged.values()
    count = len(cell.task.part(part))
    return round(float(share) * count) / count  # the metric is float32


def _trainer(cell: Cell, **length: int) -> Any:
    rest = {name: value for name, value in cell.search.trainer.items() if name not in ("max_epochs", "max_steps")}
    return make_trainer({**cell.machine.trainer, **rest, **length}, device=cell.machine.device)


def trained_outcome(
    cell: Cell,
    pilot: Pilot,
    run: Trained,
    *,
    trained: str,
    ticket: Ticket | None = None,
    seconds: float | None = None,
    images: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Outcome:
    """The trained network, tested once; ``seconds`` and ``images`` are those of all tries where ``run`` was not the only one."""
    started = time.perf_counter()
    tested = accuracy(cell, run.model, "test")
    spent = {
        "pilot": pilot.seconds,
        "train": run.seconds if seconds is None else seconds,
        "test": time.perf_counter() - started,
    }
    spent["total"] = sum(spent.values())
    drawn, steps = pilot.images + (run.images if images is None else images), run.steps
    body, head = run.model.mother.body, head_bytes(run.model.dim, cell.task.classes)
    kept, mask_bytes = parameter_count(body), 0
    if ticket is not None:
        kept, mask_bytes = ticket.mask.kept, -(-ticket.mask.total // 8)
        spent, steps = with_search(ticket, spent), steps + cell.search_steps
        drawn += cell.search_images(cell.unseen_sources)
    stats = 4 * sum(t.numel() for t in statistics(body).values())
    return Outcome(
        accuracy=tested,
        valid_accuracy=run.valid_accuracy,
        trained=trained,
        parameters_trained=kept + head // 4,
        steps=steps,
        images=drawn,
        seconds=spent,
        storage=Storage(shared=mask_bytes, per_task=4 * kept + stats + head),
        ticket=None if ticket is None else ticket.id,
        seen=None if ticket is None else False,
        extra={
            "lr": pilot.rate,
            "grid": [list(pair) for pair in pilot.grid.path],
            "edge": pilot.grid.edge,
            "augment": run.augment,
            **(extra or {}),
        },
    )


def validated_rate(cell: Cell, *, masked: bool = False) -> Pilot:
    """The learning rate that validates best in a pilot, from ``dense.lrs`` grown until the best lies inside.

    The pilot runs with ``dense.pilot_seed``, so that every seed of an arm trains alike, with ``masked`` on the ticket of
    the unseen sources; it is kept in the store. Raises ``NotFinite`` where no rate trains; a single rate is not tried.
    """
    dense = cell.settings.dense
    cell = replace(cell, seed=dense.pilot_seed)
    ticket = cell.ticket(cell.unseen_sources) if masked else None
    if len(dense.lrs) == 1:
        return Pilot(Grown((), dense.lrs[0], edge=False))
    steps = max(1, round(dense.pilot_share * cell.steps))
    config = {
        "pilot": {**cell.part("mother"), **cell.part("dense")},
        "ticket": None if ticket is None else ticket.id,
        "steps": steps,
    }
    name = digest(config)[:16]
    path = cell.machine.tickets.root / "pilots" / f"{name}.json"

    def make() -> Pilot:
        pilot = _tried(cell, ticket, steps)
        grid = pilot.grid
        result = {
            "path": grid.path,
            "best": grid.best,
            "edge": grid.edge,
            "images": pilot.images,
            "seconds": pilot.seconds,
        }
        write_text(path, json.dumps({"config": config, **result}))
        tried = ", ".join(f"{rate:g} {_percent(score)}" for rate, score in grid.path)
        edge = f"; the best, {grid.best:g}, is still at the edge" if grid.edge else ""
        cell.machine.notice(f"learning rates of {'finetuned' if masked else 'dense'} on {cell.task.id}: {tried}{edge}")
        return pilot

    pilot = once(path, make, _load_pilot, force=cell.machine.forced(name), notice=cell.machine.notice)
    if pilot.grid.score == -math.inf:
        raise NotFinite(f"dense.lrs: got {list(dense.lrs)}, none of which trains; give smaller ones.")
    return pilot


def _tried(cell: Cell, ticket: Ticket | None, steps: int) -> Pilot:
    started, images = time.perf_counter(), 0

    def score(rates: Sequence[float]) -> list[float]:
        nonlocal images
        scores = []
        for rate in rates:
            try:
                run = train_end_to_end(cell, rate, steps, augment=cell.search.augment, ticket=ticket)
            except NotFinite:
                scores.append(math.nan)
            else:
                scores.append(run.valid_accuracy)
                images += run.images
        return scores

    grid = grow_grid(cell.settings.dense.lrs, score)
    return Pilot(grid, images, time.perf_counter() - started)


def _load_pilot(path: Path) -> Pilot:
    try:
        saved: dict[str, Any] = json.loads(path.read_text())
        tried = tuple((float(rate), score) for rate, score in saved["path"])
        grid = Grown(tried, float(saved["best"]), bool(saved["edge"]))
        return Pilot(grid, int(saved["images"]), float(saved["seconds"]))
    except (ValueError, KeyError, TypeError) as problem:
        raise UltError(f"{path} is no pilot result; it is made again.") from problem


def _percent(score: float | None) -> str:
    return "diverged" if score is None else f"{100 * score:.1f} %"
