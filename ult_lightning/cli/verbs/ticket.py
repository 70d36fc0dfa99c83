"""`ult ticket show FILE`: what is in a ticket."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base import UltError, fault, unknown
from ult_lightning.cli.console.exit import DONE
from ult_lightning.cli.console.plain import split_arguments


def ticket(arguments: list[str]) -> int:
    """`show FILE`, or `show ID store=FOLDER`."""
    keyed, words = split_arguments(arguments, ("store",))
    if not words:
        raise UltError("ticket: got no command, wanted show FILE; for example `ult ticket show my.ticket`.")
    if words[0] != "show":
        raise unknown("ticket command", words[0], ("show",))
    if len(words) != 2:
        raise fault("ticket show", words[1:], "one file or one id", "for example `ult ticket show my.ticket`")
    show(words[1], Path(keyed.get("store", "store")).expanduser())
    return DONE


def show(name: str, store: Path) -> None:
    """Print a ticket, by file or by id; every bit of the file is checked, and its mother drawn again where possible."""
    from ult_lightning.cli.verbs.transfer import find_ticket_file
    from ult_lightning.tickets import Ticket, describe

    path = find_ticket_file(name, store)
    read = Ticket.load(path, verify=False)
    if read.spec.net != "module":  # a mother of the user's own needs her factory
        read.verify(str(path))
    print(describe(read, path))
