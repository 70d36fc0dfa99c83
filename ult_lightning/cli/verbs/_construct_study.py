"""A study of the theory on the command line: its rows, a small table, a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ult_lightning.base import without_repeats
from ult_lightning.base._text import aligned
from ult_lightning.cli.console.outputs import check_folder
from ult_lightning.cli.console.tables import shown

if TYPE_CHECKING:
    from ult_lightning.cli.config.typed import Machine
    from ult_lightning.results import Row

_MOST_LINES = 40


def check(name: str, options: Mapping[str, Any]) -> None:
    """Raise UltError for an unknown study and for options that it does not take."""
    from ult_lightning.studies import study_options

    study_options(name, options)


def run(name: str, options: Mapping[str, Any], machine: Machine, *, out: Path, logger: Any) -> None:
    """Make (or read) the rows of a study, print them as a table, and write figure and CSV into ``out``."""
    check_folder("out", out)
    from ult_lightning.report import write_study
    from ult_lightning.results import RowStore
    from ult_lightning.studies import STUDIES, run_study, study_axes
    from ult_lightning.tracking import log_rows

    study = STUDIES.get(name)
    options = changed_options(options, study.options)
    print(f"Study {name}: {study.claim}")
    data = {
        "data_dir": machine.data_dir,
        "cache_dir": machine.cache_dir,
        "download": machine.download,
        "notice": without_repeats(print),
    }
    store = RowStore(machine.store)
    rows = run_study(name, options, store=store, data=data, force=machine.force, notice=print)
    log_rows(logger, rows)
    axes = study_axes(name, options)
    paths = write_study(rows, axes=axes, out=out, title=study.title)
    files = paths.values() if isinstance(paths, Mapping) else paths
    print("\n".join(["", f"{study.title}:", *table(rows, x=axes.x)]))
    print(f"Rows are in {shown(machine.store / 'rows')}.")
    print("Written:", ", ".join(shown(path) for path in files))


def changed_options(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a study; for a quick look without those that an experiment merely repeats from its defaults."""
    quick = options.get("fast") is True
    return {key: value for key, value in options.items() if not quick or key == "fast" or value != defaults[key]}


def table(rows: Sequence[Row], *, x: str) -> list[str]:
    """One line per series, metric and place on the x axis: the median of the values over seeds, and how many there are."""
    groups: dict[tuple[str, str, Any], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.arm, row.metric, row.extra.get("group")), []).append(row)
    cells = [["series", "metric", x, "median", "rows"]]
    for (series, metric, _), group in groups.items():
        places = [row.extra["x"] for row in group if "x" in row.extra]
        value = f"{median(row.value for row in group):.3g}" if places else "-"
        cells.append([series, metric, f"{median(places):.4g}" if places else "-", value, str(len(group))])
    lines = aligned(cells, left={0, 1})
    more = len(lines) - 1 - _MOST_LINES
    return lines if more <= 0 else [*lines[: _MOST_LINES + 1], f"  ... and {more} more, all of them in the CSV"]
