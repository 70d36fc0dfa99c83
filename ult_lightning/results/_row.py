"""One measured number with everything it depends on."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta, timezone
from typing import Any

from ult_lightning.base import canonical_json, fault
from ult_lightning.base._hashing import json_mapping
from ult_lightning.base._store import check_id

_FIRST = ("task", "arm", "seed", "metric", "value", "n", "ticket", "seconds")
_TEXTS = ("task", "arm", "metric", "unit", "trained", "code_version", "device", "precision")
_COUNTS = ("seed", "n", "n_train", "n_valid", "parameters_trained")
_MAPPINGS = ("settings", "seconds", "versions", "extra")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number.

    `value` is in `unit` ("fraction": 0 to 1), measured on `n` test images after a head (or net) was fitted on `n_train`
    images and chosen on `n_valid`. `ticket`: the id of the ticket used, None without one. `seen`: whether that ticket's
    search used this task's images or classes, None where the question does not arise. `settings`: all that decides the
    number, flat; `id` is their hash. `seconds` by phase (search, features, head, test, total). `trained`: in words,
    what was fitted, with `parameters_trained` numbers. `bytes`: what this arm must store for this task. `created`: UTC,
    ISO 8601.

    Raises UltError for anything that cannot be such a number.
    """

    id: str
    task: str
    arm: str
    seed: int
    metric: str
    value: float
    n: int
    n_train: int
    n_valid: int
    unit: str
    settings: dict[str, Any]
    seconds: dict[str, float]
    trained: str
    parameters_trained: int
    code_version: str
    versions: dict[str, str]
    device: str
    precision: str
    ticket: str | None = None
    seen: bool | None = None
    bytes: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=_now)

    def __post_init__(self) -> None:
        check_id(self.id, "row")
        for name in _TEXTS:
            _text(name, getattr(self, name))
        for name in _COUNTS:
            self._set(name, _count(name, getattr(self, name), 1 if name == "n" else 0))
        for name in _MAPPINGS:
            self._set(name, json_mapping(name, getattr(self, name)))
        for name, setting in self.settings.items():
            entries = setting if isinstance(setting, list) else [setting]
            if any(one is None or isinstance(one, dict | list) for one in entries):
                raise fault(f"settings.{name}", setting, "a number, a word, true or false, or a list of them")
        self._set("value", _number("value", self.value))
        if self.unit == "fraction" and not 0 <= self.value <= 1:
            raise fault("value", self.value, "a fraction from 0 to 1", "say the unit if it is another one")
        for phase, spent in self.seconds.items():
            if _number(f"seconds of {phase}", spent) < 0:
                raise fault(f"seconds of {phase}", spent, "a number of at least 0")
        for library, version in self.versions.items():
            _text(f"version of {library}", version)
        if self.ticket is not None:
            _text("ticket", self.ticket)
        if self.seen is not None and not isinstance(self.seen, bool):
            raise fault("seen", self.seen, "True, False or None")
        if self.bytes is not None:
            self._set("bytes", _count("bytes", self.bytes, 0))
        try:
            away = datetime.fromisoformat(self.created).utcoffset()
        except (TypeError, ValueError):
            away = None
        if away != timedelta(0):
            raise fault("created", self.created, "a UTC time such as 2026-01-31T12:00:00+00:00")

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def total_seconds(self) -> float | None:
        """Seconds in all: the phase "total" where it is there, else the sum; None without any phase."""
        return self.seconds.get("total", sum(self.seconds.values()) if self.seconds else None)

    def to_json(self) -> str:
        """The row as one line of JSON, keys sorted; `Row.from_json` reads it back."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Row:
        """The row of `to_json`; raises UltError for other text, unknown or missing keys and wrong values."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as cause:
            raise fault("row", text, "one JSON object", "the text is cut off or no JSON") from cause
        if not isinstance(content, dict):
            raise fault("row", content, "one JSON object")
        known = {f.name for f in fields(cls)}
        odd = sorted(known ^ set(content))
        if odd:
            which = "unknown" if odd[0] in content else "missing"
            raise fault("row", f"the {which} key {odd[0]}", f"exactly the keys {', '.join(sorted(known))}")
        return cls(**content)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def rows_as_json_lines(rows: Iterable[Row]) -> str:
    """One JSON object per row and line (no line end after the last), the keys that people look for first.

    `seconds` is the total, None where the row holds none; `seconds_by_phase` has its parts.
    """
    names = dict.fromkeys((*_FIRST, *(entry.name for entry in fields(Row))))
    lines = []
    for row in rows:
        totals = {"seconds": row.total_seconds, "seconds_by_phase": row.seconds}
        lines.append(json.dumps({**{name: getattr(row, name) for name in names}, **totals}, allow_nan=False))
    return "\n".join(lines)


def _text(name: str, got: object) -> None:
    if not isinstance(got, str) or not got:
        raise fault(name, got, "a text that is not empty")


def _count(name: str, got: object, least: int) -> int:
    try:
        whole = None if isinstance(got, bool) else operator.index(got)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is None or whole < least:
        raise fault(name, got, f"a whole number of at least {least}")
    return whole


def _number(name: str, got: object) -> float:
    try:
        value = math.nan if isinstance(got, (bool, str)) else float(got)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise fault(name, got, "a finite number")
    return value
