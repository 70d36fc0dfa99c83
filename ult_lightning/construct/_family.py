"""Families of tickets: the options that each is chosen by, how one is constructed, and how that is done once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from ult_lightning.base import Options, Registry, UltError, digest, once, write_text
from ult_lightning.construct._draft import NUMERICS
from ult_lightning.tickets import Ticket, TicketStore

Notice = Callable[[str], None]
O = TypeVar("O", bound=Options)  # noqa: E741


class ConstructError(UltError):
    """A ticket that this mother does not hold."""


def silent(_: str) -> None:
    """A notice that nobody hears."""


@dataclass(frozen=True)
class Family(Generic[O]):
    """One way to construct tickets.

    Attributes:
        options: a dataclass of plain values, its defaults in place; its fields are the keys of ``ult construct``.
        construct: called as ``construct(options, seed=..., notice=...)``; the ticket's provenance holds a "certificate" with
            a "bound". Raises `UltError` for options that cannot be, `ConstructError` where the mother holds no such ticket.
        explain: (label, text) lines about what was chosen, for the end of ``ult construct``.
        files: the options that name files, whose contents then count, not their names.
        tasks: function tasks that show what a ticket is good for.
    """

    options: type[O]
    construct: Callable[..., Ticket]
    explain: Callable[[Ticket, O], list[tuple[str, str]]] = lambda ticket, options: []
    files: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


FAMILIES: Registry[Family[Any]] = Registry("family")
"""The families that ``ult construct family=NAME`` knows."""


def construct_once(
    family: str,
    options: Options,
    *,
    seed: int,
    store: TicketStore,
    force: bool = False,
    notice: Notice = silent,
) -> tuple[Ticket, bool]:
    """The ticket of a family, from the store if it was made before, else constructed and stored; and whether it was reused.

    Options lead to the ticket's id through a small file beside the tickets; the same construction in another process is
    waited for. ``force`` constructs again. Raises what the family's ``construct`` raises.
    """
    member = FAMILIES.get(family)
    values = options.given()
    for name in member.files:
        if name in values:
            values[name] = _file_digest(values[name])
    request = {"family": family, "seed": seed, "options": values, "made_by": "construct", "numerics": NUMERICS}
    index = store.root / "constructed" / f"{digest(request)[:16]}.json"
    made: list[Ticket] = []

    def make() -> Ticket:
        ticket = member.construct(options, seed=seed, notice=notice)
        store.save(ticket)
        index.parent.mkdir(parents=True, exist_ok=True)
        write_text(index, json.dumps({"ticket": ticket.id}) + "\n")
        made.append(ticket)
        return ticket

    def load(path: Path) -> Ticket:
        try:
            return store.load(str(json.loads(path.read_text(encoding="utf-8"))["ticket"]))
        except (ValueError, KeyError, TypeError) as cause:
            raise UltError(f"{path} does not name a ticket.") from cause

    return once(index, make, load, force=force, notice=notice), not made


def _file_digest(name: str) -> str | None:
    """The digest of a file's bytes; None where there is no such file (its reader says so)."""
    file = Path(name).expanduser()
    return sha256(file.read_bytes()).hexdigest() if file.is_file() else None
