"""Training against pruning, on equal terms: arms, grids, rows.

The names below are imported when they are asked for, so that reports read the arms' looks without what computes.
"""

from __future__ import annotations

from importlib import import_module
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
    from ult_lightning.compare._frozen import draw_mask as draw_mask
    from ult_lightning.compare._functions import FUNCTION_METRICS as FUNCTION_METRICS
    from ult_lightning.compare._functions import function_rows as function_rows
    from ult_lightning.compare._grid import check_grid as check_grid
    from ult_lightning.compare._grid import run_cell as run_cell
    from ult_lightning.compare._grid import run_grid as run_grid
    from ult_lightning.compare._settings import CompareSettings as CompareSettings
    from ult_lightning.compare._settings import DenseSettings as DenseSettings
    from ult_lightning.compare._studies import STUDIES as STUDIES
    from ult_lightning.compare._studies import UNREACHED as UNREACHED
    from ult_lightning.compare._studies import Axes as Axes
    from ult_lightning.compare._studies import Study as Study
    from ult_lightning.compare._studies import run_study as run_study
    from ult_lightning.compare._studies import study_axes as study_axes
    from ult_lightning.compare._studies import study_options as study_options
    from ult_lightning.compare._transfer import transfer_row as transfer_row
    from ult_lightning.compare.arms import ARMS as ARMS
    from ult_lightning.compare.arms import Arm as Arm
    from ult_lightning.compare.arms import Outcome as Outcome

_HOMES = {
    "ARMS": "arms",
    "Arm": "arms",
    "Axes": "_studies",
    "Cell": "_cell",
    "CompareSettings": "_settings",
    "DenseSettings": "_settings",
    "EndToEnd": "_end_to_end",
    "FUNCTION_METRICS": "_functions",
    "Machine": "_cell",
    "Outcome": "arms",
    "STUDIES": "_studies",
    "Storage": "_bytes",
    "Study": "_studies",
    "UNREACHED": "_studies",
    "check_grid": "_grid",
    "draw_mask": "_frozen",
    "function_rows": "_functions",
    "head_bytes": "_bytes",
    "network_storage": "_bytes",
    "run_cell": "_grid",
    "run_grid": "_grid",
    "run_study": "_studies",
    "study_axes": "_studies",
    "study_options": "_studies",
    "ticket_storage": "_bytes",
    "transfer_row": "_transfer",
}
_STUDIES = ("_study_images", "_study_laws", "_study_tickets")  # they register themselves

__all__ = sorted(_HOMES)

_lazily = lazily(__name__, _HOMES)


def __getattr__(name: str) -> object:
    if _HOMES.get(name) == "_studies":
        for member in _STUDIES:
            import_module(f"{__name__}.{member}")
    return _lazily(name)
