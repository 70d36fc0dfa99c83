"""A frozen ticket on a task: features, a head, a row; on images and on functions."""

from ult_lightning.transfer._function_rows import FUNCTION_METRICS, function_rows
from ult_lightning.transfer._function_transfer import FunctionResult, check_takes_points, transfer_functions
from ult_lightning.transfer._image_rows import chance, transfer_row
from ult_lightning.transfer._image_transfer import TransferResult, transfer
from ult_lightning.transfer._ticket_facts import ticket_settings, with_search

__all__ = [
    "FUNCTION_METRICS",
    "FunctionResult",
    "TransferResult",
    "chance",
    "check_takes_points",
    "function_rows",
    "ticket_settings",
    "transfer",
    "transfer_functions",
    "transfer_row",
    "with_search",
]
