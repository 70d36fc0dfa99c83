"""All forms of a report in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ult_lightning.base import write_bytes, write_text
from ult_lightning.report._figure import png
from ult_lightning.report._html import write_html
from ult_lightning.report._table import table
from ult_lightning.results import Row


def write_report(
    rows: Sequence[Row],
    folder: str | Path,
    *,
    command: str | None = None,
    machine: str | None = None,
    notes: Sequence[str] = (),
    baseline: str = "dense",
    floor: str = "random_features",
) -> dict[str, Path]:
    """Write table.csv, table.md, figure.png and report.html; returns their paths by file name.

    Each file is whole or not there. Raises UltError without accuracy rows (then nothing is written) and where
    the folder cannot be written.
    """
    summary = table(rows, baseline=baseline, floor=floor, command=command, machine=machine, notes=notes)
    image = png(summary)
    place = Path(folder)
    paths = {name: place / name for name in ("table.csv", "table.md", "figure.png", "report.html")}
    write_text(paths["table.csv"], summary.csv())
    write_text(paths["table.md"], summary.markdown())
    write_bytes(paths["figure.png"], image)
    write_html(summary, paths["report.html"], image)
    return paths
