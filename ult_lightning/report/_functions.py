"""The table of function targets: sup and RMS errors with their certified bound, which are no accuracies."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ult_lightning.base import canonical_json
from ult_lightning.report._shown_settings import decisive_settings
from ult_lightning.results import Row

_METRICS = ("sup_error", "rms_error")
FUNCTION_COLUMNS = (
    "task", "inputs", "outside", "ticket", "sup_error", "sup_error_largest", "rms_error", "certified_bound",
    "functions", "features", "points", "seeds",
)  # fmt: skip


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
    ours = [row.metric in _METRICS and "functions" in row.extra for row in rows]
    return [row for row, mine in zip(rows, ours, strict=True) if mine], [
        row for row, mine in zip(rows, ours, strict=True) if not mine
    ]


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
    heads = ["functions of x in [0, 1]^d", "d", "ticket", "sup error", "RMS error", "certified", "seeds"]
    cells = [heads, *([
        line.task + (" (outside the family)" if line.outside else ""), str(line.inputs), line.ticket,
        f"{line.sup_error:.2e}", _number(line.rms_error), _number(line.certified_bound), str(line.seeds),
    ] for line in lines)]  # fmt: skip
    widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
    aligned = [
        "  ".join(
            text.ljust(w) if i in (0, 2) else text.rjust(w)
            for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    said = (
        "Errors of the worst function on points that the head never saw, mean over seeds; certified: the largest\n"
        "proven bound on the sup error, - where there is no proof."
    )
    return "\n".join([*(line.rstrip() for line in aligned), said])


def function_csv(rows: Sequence[Row]) -> str:
    """Comma-separated values with one heading line, unrounded; empty where there is no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FUNCTION_COLUMNS)
    for line in function_lines(rows):
        values = [getattr(line, name) for name in FUNCTION_COLUMNS]
        writer.writerow(["" if value is None else value for value in values])
    return out.getvalue()


def _line(group: Sequence[Row]) -> FunctionLine | None:
    sups = [row for row in group if row.metric == "sup_error"]
    if not sups:
        return None
    rms = [row.value for row in group if row.metric == "rms_error"]
    bounds = [row.extra.get("certified_bound") for row in sups]
    first = sups[0]
    return FunctionLine(
        task=first.task,
        inputs=int(first.extra.get("inputs", 0)),
        outside=bool(first.extra.get("outside")),
        ticket=first.ticket or first.arm,
        sup_error=fmean(row.value for row in sups),
        sup_error_largest=max(row.value for row in sups),
        rms_error=fmean(rms) if rms else None,
        certified_bound=max((b for b in bounds if b is not None), default=None)
        if None not in bounds
        else None,
        functions=len(first.extra["functions"]),
        features=int(first.extra.get("dim", 0)),
        points=first.n,
        seeds=len({row.seed for row in sups}),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"
