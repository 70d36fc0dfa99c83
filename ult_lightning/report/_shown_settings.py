"""The settings of rows as readers are told them: texts, without the seeds and what merely identifies a ticket."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ult_lightning.base import canonical_json
from ult_lightning.results import Row

Settings = Mapping[str, str]

_SEEDS = {"seed", "seeds", "pilot_seed"}
_SAID_ELSEWHERE = {
    *("arm", "made_by", "metric", "ticket", "ticket.content", "network"),
    *("task.shots", "task.draw", "sources.target"),
}
_LONG_NUMBER = re.compile(r"\d+\.\d{5,}(?:e[+-]?\d+)?")
_DIGEST = re.compile(r"[0-9a-f]{16,}(\+[0-9a-f]{16,})*")

# Which settings a label names first: the first tier wherever it tells variants apart, the next only where it fails.
_PREFERRED = (
    *("head", "density", "net", "method", "ticket.made_by", "sources", "norm", "init", "steps"),
    *("task.train", "precision", "sources.train", "batch_size", "augment"),
)
_LAST = ("task.valid", "task.test")
_MOTHER = ("net", "norm", "init", "bias", "scale_fan", "input")
_COMPARED = {
    *("numerics", "steps", "batch_size", "augment", "precision", "task", "sources", "sources.train", "head"),
    *_MOTHER,
}
_WORDS = {
    "task.train": "n_train",
    "task.valid": "n_valid",
    "task.test": "n_test",
    "sources.train": "source_images",
    "ticket.made_by": "made_by",
}


def settings_of(row: Row) -> dict[str, str]:
    """The row's settings with those at their defaults, and its sources by name."""
    shown, hashed = dict(row.extra.get("shown", {})), row.settings.get("sources")
    if "sources" in shown and hashed is not None:
        shown["sources.id"] = "+".join(hashed)
    return _texts(row, {**row.settings, **shown})


def decisive_settings(row: Row) -> dict[str, str]:
    """What is in the row's id: rows are one experiment where they agree in it."""
    return _texts(row, row.settings)


def identity_of(row: Row) -> str | None:
    """The ticket, or the network without one, that a transferred row names; None for other rows."""
    found = row.settings.get("ticket") or row.settings.get("network")
    return None if found is None else str(found)


def tier(name: str, values: Sequence[str]) -> int:
    """How readily a label names this setting: 0 first, 3 only where nothing else tells variants apart."""
    if any(map(is_digest, values)):
        return 3
    room = name.partition(".")[0]
    if name in _PREFERRED or name in _LAST or room in (*_MOTHER, "head"):
        return 0
    return 2 if room in ("sources", "task") else 1


def place(name: str) -> tuple[int, str]:
    """The order of settings in labels and sentences."""
    if name in _PREFERRED:
        return _PREFERRED.index(name), name
    return len(_PREFERRED) + (name in _LAST), name


def compared(name: str) -> bool:
    """Whether two arms must agree in this setting, where both have it, for their difference to mean anything."""
    return name in _COMPARED or name.partition(".")[0] in _COMPARED - {"sources"}


def is_digest(value: str) -> bool:
    """Whether a value says nothing to a reader.

    >>> is_digest("7f22beda510b3815"), is_digest("0.0625")
    (True, False)
    """
    return _DIGEST.fullmatch(value) is not None


def short(name: str) -> str:
    """A setting's name in a label.

    >>> short("net.width"), short("task.train"), short("dense.momentum")
    ('width', 'n_train', 'dense.momentum')
    """
    return _WORDS.get(name, name.removeprefix("net."))


def legible(value: str) -> str:
    """A setting's value for a reader: four digits of long numbers, the beginning of a digest.

    >>> legible("[1.0,0.31622776601683794]"), legible("7f22beda510b3815")
    ('[1.0,0.3162]', '7f22beda')
    """
    if is_digest(value):
        return value[:8]
    return _LONG_NUMBER.sub(lambda found: f"{float(found.group()):.4g}", value)


def _texts(row: Row, settings: Mapping[str, Any]) -> dict[str, str]:
    whole = {"task.train": row.n_train, "task.valid": row.n_valid, "precision": row.precision, **settings}
    return {
        name: value if isinstance(value, str) else canonical_json(value)
        for name, value in whole.items()
        if name not in _SAID_ELSEWHERE and name.rpartition(".")[2] not in _SEEDS
    }
