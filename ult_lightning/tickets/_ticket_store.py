"""A folder of tickets, by id."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base._store import FolderStore
from ult_lightning.tickets._mother_spec import TicketError
from ult_lightning.tickets._ticket import Module, Ticket


class TicketStore(FolderStore):
    """The tickets of the store folder `root`: `root/tickets/<id>.ticket`.

    The folder is made when the first ticket is saved. Raises UltError where another version wrote the store, TicketError
    for what cannot be an id.
    """

    kind, suffix, error = "ticket", ".ticket", TicketError

    def load(self, id: str, *, module: Module | None = None, verify: bool = True) -> Ticket:
        """The ticket of that id, as `Ticket.load`; raises TicketError, with the nearest ids where it is unknown."""
        return Ticket.load(self._known(id), module=module, verify=verify)

    def save(self, ticket: Ticket, *, weights: bool = False) -> Path:
        """Write a ticket under its id and return the path; raises what `Ticket.save` raises."""
        self._check(create=True)
        return ticket.save(self.path(ticket.id), weights=weights)
