"""A table as plain text, Markdown, LaTeX and CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ult_lightning.report._style import DASH, MINUS, csv_text

if TYPE_CHECKING:
    from ult_lightning.report._columns import Column
    from ult_lightning.report._table import Table

_SHORTEST = 8
_GIVE_WAY = ("arm", "lift", "best_gap", "gap", "bytes")  # they lose their ends where a terminal is narrow
_WORDS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SIGNS = {"±": r"$\pm$", MINUS: "$-$", DASH: "--", "\n": " "}
_LATEX = str.maketrans({char: f"\\{char}" for char in "&%$#_{}"} | _WORDS | _SIGNS)


def as_text(table: Table, width: int = 110) -> str:
    """Plain text for a terminal of `width` columns, never wider: a heading per target, what was trained stands below."""
    columns = [column for column in table.printed if not column.wide]
    heads = [[column.heading[row].replace("random_features", "random") for column in columns] for row in (0, 1)]
    blocks = [
        [[column.text(line, section.decimals) for column in columns] for line in section.lines]
        for section in table.sections
    ]
    texts = [*heads, *(row for block in blocks for row in block)]
    widths, gap = _widths(columns, [[len(text) for text in row] for row in texts], width)
    out: list[str] = []
    for section, block in zip(table.sections, blocks, strict=True):
        out += _wrapped(f"{section.title} ({section.sizes})", width, "")
        out += [_aligned(columns, row, widths, gap) for row in heads]
        out.append("-" * (sum(widths) + len(gap) * (len(widths) - 1)))
        out += [_aligned(columns, row, widths, gap) for row in block]
        out.append("")
    for sentence in (*table.sentences, *table.arms, _trained(table), *table.warnings, *table.notes):
        out += _wrapped(sentence, width, "  ")
    for name, value in (("Command", table.command), ("Machine", table.machine)):
        if value:
            out += _wrapped(f"{name}: {value}", width, "  ")
    return "\n".join(line.rstrip() for line in out) + "\n"


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
    """GitHub's Markdown: one table per target, then how to read it, the command and the machine."""
    out: list[str] = []
    for section in table.sections:
        rows = [[column.title for column in table.printed]]
        rows += [[column.text(line, section.decimals) for column in table.printed] for line in section.lines]
        head, *body = ["| " + " | ".join(map(_escaped, row)) + " |" for row in rows]
        rule = "|" + "|".join("---" if column.words else "---:" for column in table.printed) + "|"
        out += [f"**{_escaped(section.title)}** ({section.sizes})", "", head, rule, *body, ""]
    out += [" ".join(map(_escaped, table.sentences)), ""]
    for listed in (table.arms, (*table.warnings, *table.notes)):
        if listed:
            out += [*(f"- {_escaped(sentence)}" for sentence in listed), ""]
    if table.command:
        fence = "```" if "```" not in table.command else "~~~~"
        out += ["Command:", "", f"{fence}sh", table.command, fence, ""]
    if table.machine:
        out += [f"Machine: {_escaped(table.machine)}", ""]
    return "\n".join(out)


def as_latex(table: Table) -> str:
    """One tabular for a paper, which needs the package booktabs; how to read it stands above as a comment."""
    columns = table.printed
    out = [f"% {sentence}" for sentence in table.sentences]
    out.append(r"\begin{tabular}{" + "".join("l" if column.words else "r" for column in columns) + "}")
    out += [r"\toprule", _latex_row([column.title for column in columns])]
    for section in table.sections:
        title = f"{section.title} ({section.sizes})"
        out += [r"\midrule", rf"\multicolumn{{{len(columns)}}}{{l}}{{{title.translate(_LATEX)}}} \\"]
        out += [_latex_row([c.text(line, section.decimals) for c in columns]) for line in section.lines]
    return "\n".join([*out, r"\bottomrule", r"\end{tabular}", ""])


def as_csv(table: Table) -> str:
    """Unrounded values for other programs, one line per target and arm."""
    rows = [
        {name: value for column in table.columns for name, value in column.data(section, line).items()}
        for section in table.sections
        for line in section.lines
    ]
    return csv_text(list(rows[0]), [list(row.values()) for row in rows])


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(text.translate(_LATEX) for text in texts) + r" \\"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("*", "\\*")


def _widths(columns: Sequence[Column], lengths: Sequence[Sequence[int]], width: int) -> tuple[list[int], str]:
    """Column widths and the gap between columns: first the gap gives way, then the arms' labels."""
    widths = [max(column) for column in zip(*lengths, strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= width else " "
    names = [column.name for column in columns]
    for place in (names.index(name) for name in _GIVE_WAY if name in names):
        over = sum(widths) + len(gap) * (len(widths) - 1) - width
        if over > 0:
            widths[place] = max(_SHORTEST, widths[place] - over)
    return widths, gap


def _aligned(columns: Sequence[Column], texts: Sequence[str], widths: Sequence[int], gap: str) -> str:
    cells = []
    for column, text, width in zip(columns, texts, widths, strict=True):
        shown = text if len(text) <= width else _cut(text, width)
        cells.append(shown.ljust(width) if column.words else shown.rjust(width))
    return gap.join(cells)


def _cut(text: str, width: int) -> str:
    """A text that is too long: an arm loses the end of its name before it loses what tells its variants apart."""
    name, bracket, variant = text.partition(" [")
    kept = width - len(bracket + variant) - 1
    return f"{name[:kept]}…{bracket}{variant}" if bracket and kept > 0 else text[: width - 1] + "…"


def _wrapped(sentence: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(sentence, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
