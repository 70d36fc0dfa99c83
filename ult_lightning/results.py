"""What is a number? A row: one measured value with everything it depends on, a folder of rows, and statistics."""

from __future__ import annotations

import json
import math
import operator
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from ult_lightning.base import UltError, canonical_json, environment, fault, provided, unknown, write_text
from ult_lightning.base._store import check_store

__all__ = [
    "ArmLook",
    "Interval",
    "Row",
    "RowStore",
    "arm_looks",
    "environment",
    "interval",
    "paired",
    "rows_as_json_lines",
]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FIRST = ("task", "arm", "seed", "metric", "value", "n", "ticket", "seconds")
_TEXTS = ("task", "arm", "metric", "unit", "config_hash", "trained", "code_version", "device", "precision")
_COUNTS = ("seed", "n", "n_train", "n_valid", "parameters_trained")
_MAPPINGS = ("config", "seconds", "versions", "extra")
_SUFFIX = ".json"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class ArmLook:
    """How reports name and draw an arm: a few words, "#rrggbb" on white and on black paper, a matplotlib marker.

    `trains`: whether it trains a network's weights, so that frozen networks are measured against it.
    """

    words: str
    light: str
    dark: str
    marker: str
    trains: bool = False


def arm_looks() -> Mapping[str, ArmLook]:
    """The looks of all known arms, in the order in which reports list them."""
    looks: Mapping[str, ArmLook] = provided("arm_looks")()
    return looks


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number.

    `value` is in `unit` ("fraction": 0 to 1), measured on `n` test images after a head (or net) was fitted on
    `n_train` images and chosen on `n_valid`. `ticket`: the id of the ticket used, None without one. `seen`: whether
    that ticket's search used this task's images or classes, None where the question does not arise. `config`: the
    resolved science config, `config_hash` its hash. `seconds` by phase (search, features, head, test, total).
    `trained`: in words, what was fitted, with `parameters_trained` numbers. `bytes`: what this arm must store for
    this task. `created`: UTC, ISO 8601.

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
    config: dict[str, Any]
    config_hash: str
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
        _check_id(self.id)
        for name in _TEXTS:
            _text(name, getattr(self, name))
        for name in _COUNTS:
            self._set(name, _count(name, getattr(self, name), 1 if name == "n" else 0))
        for name in _MAPPINGS:
            self._set(name, _json(name, getattr(self, name)))
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
        _check_time(self.created)

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
        odd = sorted((set(content) - known) | (known - set(content)))
        if odd:
            said = "unknown" if odd[0] in content else "missing"
            raise fault("row", f"the {said} key {odd[0]}", f"exactly the keys {', '.join(sorted(known))}")
        return cls(**content)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


class RowStore:
    """The rows of the store folder `root`: one file `root/rows/<id>.json` each.

    The folder is made when the first row is added. Raises UltError where another version wrote the store.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        check_store(self.root)

    def path(self, id: str) -> Path:
        """Where the row of that id lies, or would lie; raises UltError for what cannot be an id."""
        return self.root / "rows" / f"{_check_id(id)}{_SUFFIX}"

    def add(self, row: Row) -> Path:
        """Write a row, whole or not at all, over an older one of the same id; returns its path.

        Raises UltError for a full, read-only or forbidden disk.
        """
        check_store(self.root, create=True)
        path = self.path(row.id)
        write_text(path, row.to_json() + "\n")
        return path

    def has(self, id: str) -> bool:
        """Whether a file is there for that id (whole or not: `get` says)."""
        return self.path(id).is_file()

    def ids(self) -> tuple[str, ...]:
        """The ids of all rows, sorted."""
        files = (self.root / "rows").glob(f"*{_SUFFIX}")
        return tuple(
            sorted(file.name.removesuffix(_SUFFIX) for file in files if not file.name.startswith("."))
        )

    def get(self, id: str) -> Row:
        """The row of that id; raises UltError where it is unknown (with the nearest ids) or its file is broken."""
        if not self.has(id):
            raise unknown("row id", id, self.ids())
        return _read(self.path(id))

    def all(self, task: str | None = None, arm: str | None = None) -> list[Row]:
        """All rows, or those of one task or arm, sorted by task, arm, seed, metric and id.

        Raises UltError that names the file where one is broken.
        """
        rows = [_read(self.root / "rows" / f"{id}{_SUFFIX}") for id in self.ids()]
        wanted = [row for row in rows if task in (None, row.task) and arm in (None, row.arm)]
        return sorted(wanted, key=lambda row: (row.task, row.arm, row.seed, row.metric, row.id))

    def __repr__(self) -> str:
        return f"RowStore({str(self.root)!r}, {len(self.ids())} rows)"


def rows_as_json_lines(rows: Iterable[Row]) -> str:
    """One JSON object per row and line (no line end after the last), the keys that people look for first.

    `seconds` is the total, None where the row holds none; `seconds_by_phase` has its parts.
    """
    names = [f.name for f in fields(Row)]
    order = [*_FIRST, *(name for name in names if name not in _FIRST)]
    lines = []
    for row in rows:
        found = {name: getattr(row, name) for name in order} | {"seconds": row.total_seconds}
        lines.append(json.dumps({**found, "seconds_by_phase": row.seconds}, allow_nan=False))
    return "\n".join(lines)


@dataclass(frozen=True)
class Interval:
    """A mean over `n` values with its confidence interval, `low` = `mean` - `half` to `high` = `mean` + `half`.

    One value has no interval: then `low`, `high` and `half` are NaN, and the text says so.
    """

    mean: float
    low: float
    high: float
    n: int
    half: float

    def __str__(self) -> str:
        if math.isnan(self.half):
            return f"{self.mean:.4f} (n = 1, no interval)"
        return f"{self.mean:.4f} ± {self.half:.4f} (n = {self.n})"


def interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """The mean of independent values and its Student t interval, mean ± t * s / sqrt(n) with n - 1 degrees.

    Raises UltError for no values, a value that is not finite, and a confidence outside (0, 1).
    """
    found = np.asarray(list(values), dtype=np.float64)  # (n,)
    if found.ndim != 1 or found.size == 0:
        raise fault("values", found.tolist(), "at least one number")
    if not np.isfinite(found).all():
        raise fault("values", found.tolist(), "finite numbers")
    if not 0 < confidence < 1:
        raise fault("confidence", confidence, "a number between 0 and 1", "0.95 is the custom")
    mean, n = float(found.mean()), int(found.size)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, math.nan)
    half = _student(n - 1, confidence) * float(found.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, half)


def paired(a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95) -> Interval:
    """The mean of a - b over the seeds that both have, with its t interval: seed against equal seed.

    Raises UltError where they share no seed.
    """
    shared = sorted(set(a) & set(b))
    if not shared:
        raise fault(
            "seeds",
            f"{sorted(a)} and {sorted(b)}",
            "at least one seed in both",
            "run both arms on equal seeds",
        )
    return interval([a[seed] - b[seed] for seed in shared], confidence)


def _read(path: Path) -> Row:
    mend = "delete this file and repeat the command that made it"
    try:
        row = Row.from_json(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise UltError(
            f"{path} cannot be read: {cause.strerror}; check its permissions and the disk."
        ) from cause
    except (UltError, UnicodeDecodeError) as cause:
        reason = str(cause) if isinstance(cause, UltError) else "it is no text"
        raise UltError(f"{path} is no whole row ({reason.rstrip('.')}); {mend}.") from cause
    if row.id != path.name.removesuffix(_SUFFIX):
        raise UltError(f"{path} holds the row {row.id}, which is not what its name says; {mend}.")
    return row


def _check_id(got: object) -> str:
    if not isinstance(got, str) or not _ID.fullmatch(got):
        raise fault("row id", got, "at most 100 letters, digits, dots, dashes and underscores")
    return got


def _check_time(got: object) -> None:
    try:
        parsed = datetime.fromisoformat(got)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.utcoffset() is None or parsed.utcoffset() != timezone.utc.utcoffset(None):
        raise fault("created", got, "a UTC time such as 2026-01-31T12:00:00+00:00")


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


def _json(name: str, got: object) -> dict[str, Any]:
    if not isinstance(got, Mapping):
        raise fault(name, got, "a mapping of JSON values")
    try:
        copy: dict[str, Any] = json.loads(canonical_json(got))
    except (TypeError, ValueError, RecursionError) as cause:
        raise fault(name, got, "a mapping of JSON values", f"JSON refuses it, {cause}") from cause
    return copy


def _student(degrees: int, confidence: float) -> float:
    """The two-sided critical value of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))
