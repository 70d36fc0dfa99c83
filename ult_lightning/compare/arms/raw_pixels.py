"""A ridge head on the pixels, without a network: what a linear map alone can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.compare.arms._arm import Arm, Outcome
from ult_lightning.results import ArmLook

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell


def _raw_pixels(cell: Cell) -> Outcome:
    from ult_lightning.compare._frozen_arm import with_pixels

    return with_pixels(cell)


RAW_PIXELS = Arm(
    name="raw_pixels",
    look=ArmLook("a ridge head on the pixels, no network", "#6A4FB3", "#B3A0EE", "h"),
    run=_raw_pixels,
    needs=frozenset(),
)
