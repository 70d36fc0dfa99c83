"""How things look in a terminal: columns, paths, commands, a ticket that was made."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ult_lightning.tickets import Ticket


def shown(place: str | Path) -> str:
    """A path as short as it gets: relative where it lies in the working folder; URLs as they are."""
    text = os.fspath(place)
    if "://" in text or not os.path.isabs(text):
        return text
    relative = os.path.relpath(text)
    return text if relative.startswith(os.pardir) else relative


def typed(verb: str, *words: str) -> str:
    """A command line that can be typed as it stands: `ult` goes by its path where the shell does not find it."""
    program, beside = "ult", Path(sys.executable).with_name("ult")
    if shutil.which(program) is None and beside.is_file():
        program = shown(beside)
    return shlex.join([program, *verb.split(), *words])


def ticket_screen(
    ticket: Ticket,
    path: Path,
    entries: Sequence[tuple[str, str]],
    *,
    made: str,
    what: str,
    reused: bool,
    where: str | None,
    following: str,
) -> str:
    """The last lines of a command that made a ticket or found it: file, size, `entries`, the log, what to type next.

    `made` is what the command does, in the past tense; `what` describes the ticket.
    """
    size, seconds = path.stat().st_size, ticket.provenance.get("seconds")
    spent = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
    did = "Found in the store, nothing to do (force=true makes it anew)" if reused else f"{made}{spent}"
    kept, total = ticket.mask.kept, ticket.mask.total
    lines = [
        ("ticket", ticket.id),
        ("file", f"{path} ({size:,} bytes, {8 * size / total:.2f} bits per parameter)"),
        ("kept", f"{kept:,} of {total:,} parameters, density {ticket.density:.4f}"),
        *entries,
        *([("log", shown(where))] if where is not None else []),
    ]
    width = max(len(label) for label, _ in lines)
    body = [f"  {label.ljust(width)}  {text}" for label, text in lines]
    return "\n".join(["", f"{did}: {what}, seed {ticket.spec.seed}.", *body, "Next:", f"  {following}"])
