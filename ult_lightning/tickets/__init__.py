"""What is a ticket? Mask, mother spec, the file format, the store. NumPy and safetensors only."""

from ult_lightning.tickets._describe import describe
from ult_lightning.tickets._file import FORMAT
from ult_lightning.tickets._mask import Mask
from ult_lightning.tickets._mother_spec import InputSpec, MotherSpec, TicketError
from ult_lightning.tickets._subnetwork import Subnetwork
from ult_lightning.tickets._ticket import Ticket
from ult_lightning.tickets._ticket_store import TicketStore

__all__ = [
    "FORMAT",
    "InputSpec",
    "Mask",
    "MotherSpec",
    "Subnetwork",
    "Ticket",
    "TicketError",
    "TicketStore",
    "describe",
]
