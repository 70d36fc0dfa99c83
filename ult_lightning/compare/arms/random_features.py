"""The whole random mother, frozen, with a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.compare.arms._arm import FROZEN, Arm, Outcome, unseen
from ult_lightning.results import ArmLook

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell


def _random_features(cell: Cell) -> Outcome:
    from ult_lightning.compare._frozen_arm import with_random

    return with_random(cell, None)


RANDOM_FEATURES = Arm(
    name="random_features",
    look=ArmLook("the whole random mother, frozen", "#3C9FD6", "#8CCBF2", "d"),
    run=_random_features,
    needs=FROZEN,
    sources=unseen,
)
