"""A frozen ticket on a task: features, a head, a row; on images and on functions; and a LightningModule of it."""

from typing import TYPE_CHECKING

from ult_lightning.base import lazily
from ult_lightning.transfer._function_rows import FUNCTION_METRICS, function_rows
from ult_lightning.transfer._function_transfer import FunctionResult, check_takes_points, transfer_functions
from ult_lightning.transfer._image_rows import chance, transfer_row
from ult_lightning.transfer._image_transfer import TransferResult, transfer
from ult_lightning.transfer._ticket_facts import ticket_settings, with_search

if TYPE_CHECKING:
    from ult_lightning.transfer._ticket_module import TicketModule as TicketModule

__all__ = [
    "FUNCTION_METRICS",
    "FunctionResult",
    "TicketModule",
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

__getattr__ = lazily(__name__, {"TicketModule": "_ticket_module"})  # it imports Lightning, the rest does not
