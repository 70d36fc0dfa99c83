"""A table as plain text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ult_lightning.report._style import DASH, count, duration, percent, plus_minus, points, size

if TYPE_CHECKING:
    from ult_lightning.report._table import Line, Table
    from ult_lightning.results import Interval

_SHORTEST = 8


def words(columns: int) -> tuple[int, int, int]:
    """Which of so many columns hold words: arm, trained, target."""
    return 0, columns - 5, columns - 1


def headings(table: Table) -> tuple[str, ...]:
    """The columns of the printed forms."""
    return (
        "arm",
        "accuracy %",
        f"gap to {table.baseline}",
        *(["gap to best trained"] if table.names_best else []),
        f"lift over {table.floor}",
        "seeds",
        "trained",
        "parameters",
        "seconds",
        f"bytes, {table.k} task{'s' if table.k > 1 else ''}",
        "target",
    )


def fields(table: Table, line: Line, decimals: int) -> tuple[str, ...]:
    """The texts of one line, one per heading."""
    return (
        line.label,
        percent(line.accuracy.mean, decimals) + plus_minus(line.accuracy.half, decimals),
        difference(line.gap, decimals),
        *([difference(line.best_gap, decimals)] if table.names_best else []),
        difference(line.lift, decimals),
        str(line.accuracy.n),
        line.trained,
        count(line.parameters_trained),
        DASH if line.seconds is None else duration(line.seconds),
        DASH if line.bytes_k is None else size(line.bytes_k),
        line.seen or DASH,
    )


def difference(value: Interval | None, decimals: int) -> str:
    """A gap or lift as "+1.23 ± 0.45", a dash where there is none."""
    return DASH if value is None else points(value.mean, decimals) + plus_minus(value.half, decimals)


def as_text(table: Table, width: int) -> str:
    """Aligned columns, a heading per target, never wider than `width`; what was trained stands below."""
    floor = table.floor.replace("random_features", "random")
    heads = (
        ("", "arm"),
        ("accuracy", "%"),
        ("gap to", table.baseline),
        *([("gap to best", "trained")] if table.names_best else []),
        ("lift over", floor),
        ("", "seeds"),
        ("trained", "params"),
        ("", "seconds"),
        ("bytes for", f"{table.k} task{'s' if table.k > 1 else ''}"),
        ("", "target"),
    )
    blocks = [[_short(table, line, section.decimals) for line in section.lines] for section in table.sections]
    every = [*(list(row) for row in zip(*heads, strict=True)), *(row for block in blocks for row in block)]
    widths, gap = _widths([[len(text) for text in row] for row in every], width)
    out: list[str] = []
    for section, block in zip(table.sections, blocks, strict=True):
        out += _wrapped(f"{section.title} ({section.sizes})", width, "")
        out += [_aligned(row, widths, gap) for row in zip(*heads, strict=True)]
        out.append("-" * (sum(widths) + len(gap) * (len(widths) - 1)))
        out += [_aligned(row, widths, gap) for row in block]
        out.append("")
    for sentence in (*table.sentences, _trained(table), *table.warnings, *table.notes):
        out += _wrapped(sentence, width, "  ")
    for name, value in (("Command", table.command), ("Machine", table.machine)):
        if value:
            out += _wrapped(f"{name}: {value}", width, "  ")
    return "\n".join(line.rstrip() for line in out) + "\n"


def _short(table: Table, line: Line, decimals: int) -> list[str]:
    """`fields` without what was trained in words."""
    texts = list(fields(table, line, decimals))
    del texts[words(len(texts))[1]]
    return texts


def _trained(table: Table) -> str:
    """What each arm trained, arms that trained the same together."""
    by_arm: dict[str, set[str]] = {}
    for line in table.lines:
        by_arm.setdefault(line.arm, set()).add(line.trained)
    by_words: dict[str, list[str]] = {}
    for line in table.lines:
        arms = by_words.setdefault(line.trained, [])
        name = line.arm if len(by_arm[line.arm]) == 1 else line.label
        if name not in arms:
            arms.append(name)
    parts = (f"{words} ({', '.join(arms)})" for words, arms in by_words.items())
    return f"Trained: {'; '.join(parts)}."


def as_markdown(table: Table) -> str:
    """GitHub's Markdown."""
    heads = headings(table)
    rule = ["---" if place in words(len(heads)) else "---:" for place in range(len(heads))]
    out: list[str] = []
    for section in table.sections:
        out += [f"**{_escaped(section.title)}** ({section.sizes})", ""]
        out.append("| " + " | ".join(_escaped(head) for head in heads) + " |")
        out.append("|" + "|".join(rule) + "|")
        for line in section.lines:
            out.append("| " + " | ".join(map(_escaped, fields(table, line, section.decimals))) + " |")
        out.append("")
    out += [" ".join(map(_escaped, table.sentences)), ""]
    extra = [*table.warnings, *table.notes]
    if extra:
        out += [*(f"- {_escaped(sentence)}" for sentence in extra), ""]
    if table.command:
        fence = "```" if "```" not in table.command else "~~~~"
        out += ["Command:", "", f"{fence}sh", table.command, fence, ""]
    if table.machine:
        out += [f"Machine: {_escaped(table.machine)}", ""]
    return "\n".join(out)


CSV_COLUMNS = (
    "task",
    "shots",
    "arm",
    "label",
    "accuracy_percent",
    "accuracy_low",
    "accuracy_high",
    "seeds",
    "draws",
    "gap_points",
    "gap_low",
    "gap_high",
    "gap_seeds",
    "lift_points",
    "lift_low",
    "lift_high",
    "lift_seeds",
    "trained",
    "parameters_trained",
    "seconds",
    "k",
    "bytes_k_tasks",
    "bytes_shared",
    "bytes_per_task",
    "seen",
    "n_test",
    "n_train",
    "best_trained",
    "best_gap_points",
    "best_gap_low",
    "best_gap_high",
    "best_gap_seeds",
    "chance_percent",
)


def as_csv(table: Table) -> str:
    """Comma-separated values with one heading line; empty where there is no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for section, line in ((part, line) for part in table.sections for line in part.lines):
        accuracy = _numbers(line.accuracy)
        values = (
            *(line.task, line.shots, line.arm, line.label),
            *(*accuracy[:3], line.accuracy.n, line.draws),
            *_numbers(line.gap),
            *_numbers(line.lift),
            *(line.trained, line.parameters_trained),
            "" if line.seconds is None else f"{line.seconds:.4g}",
            *(table.k, line.bytes_k, line.bytes_shared, line.bytes_per_task),
            *(line.seen, line.n_test[0], line.n_train[0]),
            *(section.best, *_numbers(line.best_gap)),
            None if section.chance is None else f"{100 * section.chance:.6g}",
        )
        writer.writerow(["" if value is None else value for value in values])
    return out.getvalue()


def _numbers(value: Interval | None) -> tuple[str, str, str, str]:
    """Mean, low, high in per cent or points, and n; empty texts where there is none."""
    if value is None:
        return "", "", "", ""
    mean, low, high = (
        "" if end is None or math.isnan(end) else f"{100 * end:.6g}"
        for end in (value.mean, value.low, value.high)
    )
    return mean, low, high, str(value.n)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("*", "\\*")


def _widths(lengths: Sequence[Sequence[int]], width: int) -> tuple[list[int], str]:
    """Column widths and the gap between columns: first the gap gives way, then the arms' labels."""
    widths = [max(column) for column in zip(*lengths, strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= width else " "
    last = len(widths) - 1
    for place in (0, last - 5, *range(last - 6, 1, -1), last - 1):  # arm, lift, gaps, bytes
        over = sum(widths) + len(gap) * (len(widths) - 1) - width
        if over > 0:
            widths[place] = max(_SHORTEST, widths[place] - over)
    return widths, gap


def _aligned(texts: Sequence[str], widths: Sequence[int], gap: str) -> str:
    cells = []
    for place, (text, width) in enumerate(zip(texts, widths, strict=True)):
        shown = text if len(text) <= width else _cut(text, width)
        cells.append(shown.ljust(width) if place in (0, len(texts) - 1) else shown.rjust(width))
    return gap.join(cells)


def _cut(text: str, width: int) -> str:
    """A text that is too long: an arm loses the end of its name before it loses what tells its variants apart."""
    name, bracket, variant = text.partition(" [")
    kept = width - len(bracket + variant) - 1
    return f"{name[:kept]}…{bracket}{variant}" if bracket and kept > 0 else text[: width - 1] + "…"


def _wrapped(sentence: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(sentence, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
