"""All weights trained end to end: for the steps of a search, for longer, and until validation stops rising."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ult_lightning.base import Options, option
from ult_lightning.compare.arms._arm import TRAINED, Arm, Outcome
from ult_lightning.results import ArmLook

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell

_ALL = "all weights + head"


@dataclass(frozen=True)
class LongOptions(Options):
    """``factor``: times as many steps as ``dense`` takes."""

    factor: int = option(3, least=1)


@dataclass(frozen=True)
class ConvergedOptions(Options):
    """``max_doublings``: how often the number of steps is doubled at most."""

    max_doublings: int = option(5, least=0)


def _dense(cell: Cell) -> Outcome:
    from ult_lightning.compare import _train as train

    pilot = train.validated_rate(cell)
    run = train.train_end_to_end(cell, pilot.rate, cell.steps, augment=cell.search.augment)
    return train.trained_outcome(cell, pilot, run, trained=_ALL)


def _long(cell: Cell) -> Outcome:
    from ult_lightning.compare import _train as train

    factor = cell.options("dense_long", LongOptions).factor
    pilot = train.validated_rate(cell)
    run = train.train_end_to_end(cell, pilot.rate, factor * cell.steps, augment=True)
    return train.trained_outcome(cell, pilot, run, trained=_ALL)


def _converged(cell: Cell) -> Outcome:
    """Every length is a training of its own, since the learning rate falls over all of its steps."""
    from ult_lightning.compare import _train as train

    doublings = cell.options("dense_converged", ConvergedOptions).max_doublings
    pilot = train.validated_rate(cell)
    policies = (False, True) if cell.task.policy(True) != "none" else (False,)
    best, spent, images = None, 0.0, 0
    path: list[dict[str, Any]] = []
    levels: list[float] = []
    while len(levels) <= doublings and still_rising(levels, len(cell.task.valid)):
        steps = cell.steps * 2 ** len(levels)
        runs = [train.train_end_to_end(cell, pilot.rate, steps, augment=policy) for policy in policies]
        path += [{"steps": r.steps, "augment": r.augment, "valid_accuracy": r.valid_accuracy} for r in runs]
        levels.append(max(run.valid_accuracy for run in runs))
        spent, images = spent + sum(r.seconds for r in runs), images + sum(r.images for r in runs)
        best = max([*([best] if best else []), *runs], key=lambda run: run.valid_accuracy)
    assert best is not None
    more = {"path": path, "converged": not still_rising(levels, len(cell.task.valid))}
    return train.trained_outcome(cell, pilot, best, trained=_ALL, seconds=spent, images=images, extra=more)


def still_rising(levels: Sequence[float], n: int) -> bool:
    """Whether validation accuracy, one per doubling on ``n`` images, may go on rising.

    It no longer does when the last two levels were both above the best before them by no more than the standard error
    sqrt(p (1 - p) / n) of that best, p.

    >>> still_rising([0.5, 0.6, 0.601], 1000), still_rising([0.5, 0.6, 0.601, 0.602], 1000)
    (True, False)
    """
    gains = []
    for place in (-2, -1):
        before = max(levels[:place], default=None)
        if before is None:
            return True
        gains.append(levels[place] - before > math.sqrt(before * (1 - before) / n))
    return any(gains)


DENSE = Arm(
    name="dense",
    look=ArmLook("all weights trained end to end", "#000000", "#F2F2F2", "s", trains=True),
    run=_dense,
    needs=TRAINED,
)

DENSE_LONG = Arm(
    name="dense_long",
    look=ArmLook("the same, longer, with the task's augmentation", "#737373", "#A6A6A6", "D", trains=True),
    run=_long,
    needs=TRAINED | {"augmentation"},
    options=LongOptions,
)

DENSE_CONVERGED = Arm(
    name="dense_converged",
    look=ArmLook("the same, until validation stops rising", "#8A5A2B", "#C9A27A", "p", trains=True),
    run=_converged,
    needs=TRAINED | {"augmentation"},
    options=ConvergedOptions,
)
