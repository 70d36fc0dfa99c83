"""Training against pruning, on equal terms: arms, grids, rows."""

from ult_lightning.compare import _study_images as _study_images  # registers itself
from ult_lightning.compare import _study_laws as _study_laws  # registers itself
from ult_lightning.compare import _study_tickets as _study_tickets  # registers itself
from ult_lightning.compare._arms import ARMS, Arm, Outcome, draw_mask
from ult_lightning.compare._bytes import Storage, head_bytes, network_storage, ticket_storage
from ult_lightning.compare._cell import Cell, Machine
from ult_lightning.compare._functions import FUNCTION_METRICS, function_rows
from ult_lightning.compare._grid import check_grid, run_cell, run_grid
from ult_lightning.compare._settings import CompareSettings, DenseSettings
from ult_lightning.compare._studies import (
    STUDIES,
    UNREACHED,
    Axes,
    Study,
    run_study,
    study_axes,
    study_options,
)
from ult_lightning.compare._transfer import transfer_row

__all__ = [
    "ARMS",
    "FUNCTION_METRICS",
    "STUDIES",
    "UNREACHED",
    "Arm",
    "Axes",
    "Cell",
    "CompareSettings",
    "DenseSettings",
    "Machine",
    "Outcome",
    "Storage",
    "Study",
    "check_grid",
    "draw_mask",
    "function_rows",
    "head_bytes",
    "network_storage",
    "run_cell",
    "run_grid",
    "run_study",
    "study_axes",
    "study_options",
    "ticket_storage",
    "transfer_row",
]
