"""What the rows of a ticket say of it: what it was made of, and the seconds that took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ult_lightning.results import flat, mother_settings, search_settings, shown_sources, source_settings
from ult_lightning.tickets import MotherSpec

if TYPE_CHECKING:
    from ult_lightning.tickets import Ticket


def ticket_settings(ticket: Ticket, *, full: bool = False) -> dict[str, Any]:
    """The settings of a ticket and of what made it; `full`: with those at their defaults, and sources by name."""
    provenance: Mapping[str, Any] = ticket.provenance
    config = _mapping(provenance.get("config"))
    made = _mapping(provenance.get("settings") if full else config.get("search"))
    listed = provenance.get("sources")
    sources = listed if isinstance(listed, list) else []
    facts: dict[str, Any] = {
        "ticket": ticket.id,
        "ticket.content": ticket.content_digest,
        "ticket.made_by": provenance.get("made_by"),
    }
    facts |= mother_settings(ticket.spec.to_dict(), None if full else MotherSpec(ticket.spec.net).to_dict())
    if "spec" in config:  # constructed
        rest = {name: value for name, value in config.items() if name not in ("spec", "seed")}
        facts |= {"method": provenance.get("method"), **flat("method", rest)}
    facts |= search_settings(made) | source_settings(sources)
    facts.pop("trainer.max_epochs", None)  # steps say it
    facts["steps"] = provenance.get("steps") or None
    shown = shown_sources([(source["id"], source["sizes"]["train"]) for source in sources])
    return facts | (shown if full else {})


def with_search(ticket: Ticket | None, seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by phase with those of making the ticket, which count in full although tasks may share it."""
    made = None if ticket is None else ticket.provenance.get("seconds")
    if not isinstance(made, int | float):
        return dict(seconds)
    return {"search": float(made), **seconds, "total": seconds["total"] + float(made)}


def stored_bytes(ticket: Ticket | None, per_task: int) -> dict[str, int]:
    """The bytes of the ticket's file, which tasks share, and those of one task's head."""
    return {"bytes_shared": 0 if ticket is None else len(ticket.to_bytes()), "bytes_per_task": per_task}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
