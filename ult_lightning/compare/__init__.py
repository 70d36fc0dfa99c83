"""Training against pruning, on equal terms: arms, grids, rows.

The names below are imported when they are asked for, so that reports read the arms' looks without what computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.base import lazily

if TYPE_CHECKING:
    from ult_lightning.compare._bytes import Storage as Storage
    from ult_lightning.compare._bytes import head_bytes as head_bytes
    from ult_lightning.compare._bytes import network_storage as network_storage
    from ult_lightning.compare._bytes import ticket_storage as ticket_storage
    from ult_lightning.compare._cell import Cell as Cell
    from ult_lightning.compare._cell import Machine as Machine
    from ult_lightning.compare._end_to_end import EndToEnd as EndToEnd
    from ult_lightning.compare._frozen_arm import draw_mask as draw_mask
    from ult_lightning.compare._frozen_arm import with_random as with_random
    from ult_lightning.compare._grid import check_grid as check_grid
    from ult_lightning.compare._grid import run_cell as run_cell
    from ult_lightning.compare._grid import run_grid as run_grid
    from ult_lightning.compare._settings import CompareSettings as CompareSettings
    from ult_lightning.compare._settings import DenseSettings as DenseSettings
    from ult_lightning.compare.arms import ARMS as ARMS
    from ult_lightning.compare.arms import Arm as Arm
    from ult_lightning.compare.arms import Outcome as Outcome

_HOMES = {
    "ARMS": "arms",
    "Arm": "arms",
    "Cell": "_cell",
    "CompareSettings": "_settings",
    "DenseSettings": "_settings",
    "EndToEnd": "_end_to_end",
    "Machine": "_cell",
    "Outcome": "arms",
    "Storage": "_bytes",
    "check_grid": "_grid",
    "draw_mask": "_frozen_arm",
    "head_bytes": "_bytes",
    "network_storage": "_bytes",
    "run_cell": "_grid",
    "run_grid": "_grid",
    "ticket_storage": "_bytes",
    "with_random": "_frozen_arm",
}

__all__ = sorted(_HOMES)


__getattr__ = lazily(__name__, _HOMES)
