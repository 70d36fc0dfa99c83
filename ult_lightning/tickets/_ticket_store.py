"""A folder of tickets, by id."""

from __future__ import annotations

import os
from pathlib import Path

from ult_lightning.base import unknown
from ult_lightning.base._store import check_store
from ult_lightning.tickets._mother_spec import TicketError
from ult_lightning.tickets._ticket import Module, Ticket, check_id

_SUFFIX = ".ticket"


class TicketStore:
    """The tickets of the store folder `root`: `root/tickets/<id>.ticket`.

    The folder is made when the first ticket is saved. Raises UltError where another version wrote the store.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        check_store(self.root)

    def path(self, id: str) -> Path:
        """Where the ticket of that id lies, or would lie; raises TicketError for what cannot be an id."""
        return self.root / "tickets" / f"{check_id(id)}{_SUFFIX}"

    def has(self, id: str) -> bool:
        """Whether a file is there for that id (whole or not: `load` says)."""
        return self.path(id).is_file()

    def ids(self) -> tuple[str, ...]:
        """The ids of all tickets, sorted."""
        files = (self.root / "tickets").glob(f"*{_SUFFIX}")
        return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in files if not file.name.startswith(".")))

    def load(self, id: str, *, module: Module | None = None, verify: bool = True) -> Ticket:
        """The ticket of that id, as `Ticket.load`; raises TicketError, with the nearest ids where it is unknown."""
        if not self.has(id):
            raise unknown("ticket id", id, self.ids(), error=TicketError)
        return Ticket.load(self.path(id), module=module, verify=verify)

    def save(self, ticket: Ticket, *, weights: bool = False) -> Path:
        """Write a ticket under its id and return the path; raises what `Ticket.save` raises."""
        check_store(self.root, create=True)
        return ticket.save(self.path(ticket.id), weights=weights)

    def __repr__(self) -> str:
        return f"TicketStore({str(self.root)!r}, {len(self.ids())} tickets)"
