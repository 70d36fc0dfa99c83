"""Training against pruning, on equal terms: arms, grids, rows."""

from ult_lightning.compare._arms import ARMS, Arm, Outcome, draw_mask
from ult_lightning.compare._bytes import Storage, head_bytes, network_storage, ticket_storage
from ult_lightning.compare._cell import Cell, Machine
from ult_lightning.compare._grid import check_grid, run_cell, run_grid
from ult_lightning.compare._settings import CompareSettings, DenseSettings
from ult_lightning.compare._transfer import transfer_row

__all__ = [
    "ARMS",
    "Arm",
    "Cell",
    "CompareSettings",
    "DenseSettings",
    "Machine",
    "Outcome",
    "Storage",
    "check_grid",
    "draw_mask",
    "head_bytes",
    "network_storage",
    "run_cell",
    "run_grid",
    "ticket_storage",
    "transfer_row",
]
