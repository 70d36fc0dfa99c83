"""The table of function targets: sup and RMS errors with their certified bound, which are no accuracies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

from ult_lightning.base import canonical_json
from ult_lightning.report._style import csv_text
from ult_lightning.report._variants import decisive_settings
from ult_lightning.results import Row

_METRICS = ("sup_error", "rms_error")
_READING = """\
Errors of the worst function on points that the head never saw, mean over seeds; certified: the largest
proven bound on the sup error, - where there is no proof."""


@dataclass(frozen=True)
class FunctionLine:
    """One ticket on one function target: means over seeds of the worst errors, the largest of their bounds.

    `certified_bound` is None where a seed has none; `points` are test points per seed.
    """

    task: str
    inputs: int
    outside: bool
    ticket: str
    sup_error: float
    sup_error_largest: float
    rms_error: float | None
    certified_bound: float | None
    functions: int
    features: int
    points: int
    seeds: int


def split_rows(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows of function targets, and all others."""
    parts: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        parts[not (row.metric in _METRICS and "functions" in row.extra)].append(row)
    return parts


def function_lines(rows: Sequence[Row]) -> list[FunctionLine]:
    """One line per target, ticket and settings of the rows that are of functions; tasks in their first order."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in split_rows(rows)[0]:
        groups[row.task, row.ticket or row.arm, canonical_json(decisive_settings(row))].append(row)
    return [line for group in groups.values() if (line := _line(group)) is not None]


def function_text(rows: Sequence[Row]) -> str:
    """Aligned plain text, with one sentence on how to read it; empty where no row is of a function."""
    lines = function_lines(rows)
    if not lines:
        return ""
    heads = ("functions of x in [0, 1]^d", "d", "ticket", "sup error", "RMS error", "certified", "seeds")
    cells: list[tuple[str, ...]] = [heads]
    for line in lines:
        name = line.task + (" (outside the family)" if line.outside else "")
        errors = map(_number, (line.sup_error, line.rms_error, line.certified_bound))
        cells.append((name, str(line.inputs), line.ticket, *errors, str(line.seeds)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    pattern = "  ".join(f"{{:{'<' if place in (0, 2) else '>'}{width}}}" for place, width in enumerate(widths))
    return "\n".join([*(pattern.format(*row).rstrip() for row in cells), _READING])


def function_csv(rows: Sequence[Row]) -> str:
    """All fields of the lines, unrounded."""
    names = [field.name for field in fields(FunctionLine)]
    return csv_text(names, [[getattr(line, name) for name in names] for line in function_lines(rows)])


def _line(group: Sequence[Row]) -> FunctionLine | None:
    sups = [row for row in group if row.metric == "sup_error"]
    if not sups:
        return None
    rms = [row.value for row in group if row.metric == "rms_error"]
    bounds: list[Any] = [row.extra.get("certified_bound") for row in sups]
    first = sups[0]
    return FunctionLine(
        task=first.task,
        inputs=int(first.extra.get("inputs", 0)),
        outside=bool(first.extra.get("outside")),
        ticket=first.ticket or first.arm,
        sup_error=fmean(row.value for row in sups),
        sup_error_largest=max(row.value for row in sups),
        rms_error=fmean(rms) if rms else None,
        certified_bound=None if None in bounds else max(bounds),
        functions=len(first.extra["functions"]),
        features=int(first.extra.get("dim", 0)),
        points=first.n,
        seeds=len({row.seed for row in sups}),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"
