"""The report as one HTML page that needs nothing but itself, and all forms of a report in one folder."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from ult_lightning.base import write_bytes, write_text
from ult_lightning.report._figure import caption, described, png
from ult_lightning.report._style import DARK, DASH, LIGHT, percent, target_title
from ult_lightning.report._table import Table

_MOST_ROWS = 2000


def write_report(summary: Table, folder: str | Path) -> dict[str, Path]:
    """Write a table's table.csv, table.md, table.tex, figure.png and report.html; returns their paths by file name.

    Each file is whole or not there. Raises UltError where the folder cannot be written.
    """
    image = png(summary)
    forms = {
        "table.csv": summary.csv().encode(),
        "table.md": summary.markdown().encode(),
        "table.tex": summary.latex().encode(),
        "figure.png": image,
        "report.html": page(summary, image).encode(),
    }
    for name, content in forms.items():
        write_bytes(Path(folder) / name, content)
    return {name: Path(folder) / name for name in forms}


def html(summary: Table, path: str | Path, figure: bytes | None = None) -> Path:
    """Write one self-contained page (tables, figure, how to read it, command, machine, all rows); returns its path.

    `figure` is a PNG to embed; by default the figure is drawn, in a light and a dark form.
    """
    write_text(path, page(summary, figure))
    return Path(path)


def page(summary: Table, figure: bytes | None = None) -> str:
    """The page as text; `figure` is the light form, which is drawn where None is given."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ult_lightning.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    shares = [round(100 * one.share / sum(other.share for other in summary.printed)) for one in summary.printed]
    shares[0] += 100 - sum(shares)
    return environment.get_template("report.html").render(
        table=summary,
        targets=list(dict.fromkeys(section.task for section in summary.sections)),
        arms=len({line.arm for line in summary.lines}),
        seeds=len({row.seed for row in summary.rows}),
        light=_image(figure or png(summary, LIGHT)),
        dark=_image(png(summary, DARK)),
        described=described(summary),
        caption=caption(summary),
        shares=shares,
        facts=_facts(summary),
        rows=_rows(summary),
    )


def _image(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _facts(summary: Table) -> dict[str, str]:
    """Where the numbers come from: machine, versions, times."""
    rows, made = summary.rows, sorted(row.created for row in summary.rows)
    libraries = (f"{name} {version}" for row in rows for name, version in sorted(row.versions.items()))
    return {
        "machine": summary.machine or "",
        "precision": _distinct(row.precision for row in rows),
        "code": _distinct(row.code_version for row in rows),
        "libraries": _distinct(libraries),
        "rows made": made[0] if made[0] == made[-1] else f"{made[0]} to {made[-1]}",
    }


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _rows(summary: Table) -> list[tuple[tuple[str, ...], tuple[str, str]]]:
    """All measured numbers, up to a limit: words, and the ids of ticket and row."""
    decimals = {section.title: section.decimals for section in summary.sections}
    shown: list[tuple[tuple[str, ...], tuple[str, str]]] = []
    for row in summary.rows[:_MOST_ROWS]:
        target = target_title(row.task, row.extra.get("shots"))
        value = percent(row.value, decimals.get(target, 2))
        words = (target, row.arm, str(row.seed), str(row.extra.get("draw", DASH)), value)
        shown.append((words, (row.ticket or DASH, row.id)))
    return shown
