"""A random mask with the universal ticket's density in every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.compare.arms._arm import SEARCHED, Arm, Outcome, unseen
from ult_lightning.results import ArmLook

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell


def _random_mask(cell: Cell) -> Outcome:
    from ult_lightning.compare._frozen_arm import draw_mask, with_random

    model = cell.ticket(cell.unseen_sources).mask
    return with_random(cell, draw_mask(model.shapes, {n: int(model[n].sum()) for n in model.names}, seed=cell.seed))


RANDOM_MASK = Arm(
    name="random_mask",
    look=ArmLook("a random mask of the universal ticket's per-layer densities", "#C2649A", "#DE8DBB", "X"),
    run=_random_mask,
    needs=SEARCHED,
    sources=unseen,
)
