"""All forms of a report in one folder."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base import write_bytes, write_text
from ult_lightning.report._figure import png
from ult_lightning.report._html import html
from ult_lightning.report._table import Table


def write_report(summary: Table, folder: str | Path) -> dict[str, Path]:
    """Write a table's table.csv, table.md, table.tex, figure.png and report.html; returns their paths by file name.

    Each file is whole or not there. Raises UltError where the folder cannot be written.
    """
    image = png(summary)
    place = Path(folder)
    names = ("table.csv", "table.md", "table.tex", "figure.png", "report.html")
    paths = {name: place / name for name in names}
    for name, text in zip(names, (summary.csv(), summary.markdown(), summary.latex()), strict=False):
        write_text(paths[name], text)
    write_bytes(paths["figure.png"], image)
    html(summary, paths["report.html"], image)
    return paths
