"""All forms of a report in one folder."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base import write_bytes, write_text
from ult_lightning.report._figure import png
from ult_lightning.report._html import write_html
from ult_lightning.report._table import Table


def write_report(summary: Table, folder: str | Path) -> dict[str, Path]:
    """Write a table's table.csv, table.md, figure.png and report.html; returns their paths by file name.

    Each file is whole or not there. Raises UltError where the folder cannot be written.
    """
    image = png(summary)
    place = Path(folder)
    paths = {name: place / name for name in ("table.csv", "table.md", "figure.png", "report.html")}
    write_text(paths["table.csv"], summary.csv())
    write_text(paths["table.md"], summary.markdown())
    write_bytes(paths["figure.png"], image)
    write_html(summary, paths["report.html"], image)
    return paths
