"""The figure and the table of a study: numbers against one quantity, a panel per metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ult_lightning.base import fault, write_bytes, write_text
from ult_lightning.report._figure import DOTS, as_png, edged, legend_below
from ult_lightning.report._style import LIGHT, Theme, csv_text
from ult_lightning.results import Row, StudyAxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_DPI = 300
_WIDE, _NARROW, _TALL = 7.2, 4.6, 2.95  # inches: the text width of a paper, one panel, the height of a panel
_HANDLE, _LETTER = 0.55, 0.062  # inches: a legend's handle with its gaps, and a letter of its labels
_MARKERS = ("o", "s", "^", "D", "v", "P")
_COLUMNS = ("study", "series", "kind", "x", "metric", "value", "seed", "n", "unit", "ticket", "id")
_FEW_TICKS = 12
_LABEL_AT = 0.7  # of the way along the diagonal
_PLAIN = (1e-3, 1e5)  # numbers on an axis are written out inside these limits
_SHORT, _LONG = 100, 2000  # times the smallest value: axes that need more than powers of ten, and that need no more

Groups = Mapping[float, Sequence[Row]]


def write_study(rows: Sequence[Row], *, axes: StudyAxes, out: str | Path, title: str = "") -> dict[str, Path]:
    """Write STUDY.png (300 dpi) and STUDY.csv into the folder ``out``; returns their paths by file name.

    The rows are those of one study (``studies.run_study``). Lines join medians over seeds; a band reaches from the
    lowest to the highest seed, and where seeds differ in x too, each of them is a dot. Laws are dashed, published numbers stars.

    Raises UltError for rows of several studies and where no row has a metric of ``axes.panels``.
    """
    names = sorted({row.task for row in rows})
    if len(names) != 1:
        raise fault("rows", names, "the rows of one study")
    image = study_png(rows, axes, title)
    paths = {f"{names[0]}.{kind}": Path(out) / f"{names[0]}.{kind}" for kind in ("png", "csv")}
    write_bytes(paths[f"{names[0]}.png"], image)
    write_text(paths[f"{names[0]}.csv"], study_csv(rows))
    return paths


def study_csv(rows: Sequence[Row]) -> str:
    """One line per row, unrounded: what it is, its value, and every single number or word that it counted beside."""
    counted = [pair for row in rows for pair in row.extra.items() if pair[0] not in _COLUMNS]
    beside = sorted({key for key, value in counted if isinstance(value, str | int | float)})
    lines = []
    for row in rows:
        first = (row.task, row.arm, row.extra.get("kind"), row.extra.get("x"), row.metric, row.value)
        lines.append([*first, row.seed, row.n, row.unit, row.ticket, row.id, *map(row.extra.get, beside)])
    return csv_text([*_COLUMNS, *beside], lines)


def study_png(rows: Sequence[Row], axes: StudyAxes, title: str = "", theme: Theme = LIGHT) -> bytes:
    drawable = [row for row in rows if row.metric in axes.panels and "x" in row.extra]
    if not drawable:
        raise fault("rows", len(rows), f"some with the metrics {', '.join(axes.panels)} and an x")
    missing = len(rows) - len(drawable)
    return as_png(lambda: _drawn(drawable, missing, axes, title, theme), theme, dpi=_DPI, font_size=8.5)


def _drawn(rows: Sequence[Row], missing: int, axes: StudyAxes, title: str, theme: Theme) -> Figure:
    from matplotlib.figure import Figure

    metrics = [metric for metric in axes.panels if any(row.metric == metric for row in rows)]
    series = list(dict.fromkeys(row.arm for row in rows if row.extra.get("kind") != "published"))
    looks = {name: (theme.curves[i % len(theme.curves)], _MARKERS[i % len(_MARKERS)]) for i, name in enumerate(series)}
    wide = len(metrics) > 1
    drawn = Figure(figsize=(_WIDE if wide else _NARROW, _TALL + 0.45), layout="constrained")
    drawn.get_layout_engine().set(w_pad=0.05, h_pad=0.05, wspace=0.04)  # type: ignore[union-attr, call-arg]
    panels = drawn.subplots(1, len(metrics), squeeze=False, sharey=axes.share_y)[0]
    for panel, metric in zip(panels, metrics, strict=True):
        shown = [row for row in rows if row.metric == metric]
        _scale(panel, shown, axes)
        _panel(panel, shown, axes, looks, theme)
        panel.set_xlabel(axes.x)
        panel.set_ylabel(axes.panels[metric])
        panel.tick_params(labelleft=True)
        panel.grid(color=theme.grid, linewidth=0.6)
        panel.set_axisbelow(True)
    if title:
        drawn.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    _legend(drawn, rows, missing, looks, axes, theme)
    return drawn


def _panel(
    panel: Axes,
    rows: Sequence[Row],
    axes: StudyAxes,
    looks: Mapping[str, tuple[str, str]],
    theme: Theme,
) -> None:
    for name, (colour, marker) in looks.items():
        mine = [row for row in rows if row.arm == name]
        laws = sorted((row.extra["x"], row.value) for row in mine if row.extra.get("kind") == "law")
        panel.plot(*_columns(laws), color=colour, linewidth=1.1, dashes=(4, 2), zorder=3)
        measured = [row for row in mine if row.extra.get("kind") != "law"]
        if axes.cloud:
            points = [(row.extra["x"], row.value) for row in measured]
            cloud = {**DOTS, "marker": marker, "markersize": 4, "alpha": 0.65}
            panel.plot(*_columns(points), **cloud, color=colour, zorder=4)
        else:
            _curve(panel, _groups(measured), colour, marker, theme)
    for row in rows:
        if row.extra.get("kind") == "published":
            _star(panel, row, theme)
    if axes.diagonal:
        _diagonal(panel, axes.diagonal, theme)


def _curve(panel: Axes, groups: Groups, colour: str, marker: str, theme: Theme) -> None:
    """Medians, and a band over seeds that share their x, else a dot per seed."""
    ranges = []
    for rows in groups.values():
        x = [row.extra["x"] for row in rows]
        y = [row.value for row in rows]
        ranges.append((median(x), median(y), min(y), max(y)))
        if max(x) > min(x):
            panel.plot(x, y, **DOTS, markersize=2.8, color=colour, zorder=3)
    x, y, low, high = _columns(sorted(ranges), 4)
    if all(len({row.extra["x"] for row in rows}) == 1 for rows in groups.values()):
        panel.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    panel.plot(x, y, color=colour, marker=marker, markersize=4.6, linewidth=1.3, zorder=4, **edged(theme))


def _groups(rows: Sequence[Row]) -> Groups:
    groups: dict[float, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.extra.get("group", row.extra["x"])].append(row)
    return groups


def _columns(points: Sequence[Sequence[float]], width: int = 2) -> list[list[float]]:
    return [[point[place] for point in points] for place in range(width)]


def _star(panel: Axes, row: Row, theme: Theme) -> None:
    """Somebody else's number, with its source and a note beside it, on the side that has room."""
    note = f"\n({row.extra['note']})" if "note" in row.extra else ""
    x, words = row.extra["x"], row.arm.replace(", ", ",\n", 1) + note
    panel.plot(x, row.value, marker="*", markersize=11, color=theme.ink, linestyle="", zorder=6, **edged(theme, 0.6))
    look: dict[str, Any] = {
        "ha": "right" if _share(panel, x) > 0.6 else "left",
        "va": "bottom",
        "color": theme.ink,
        "zorder": 6,
    }
    panel.annotate(words, (x, row.value), (0, 7), textcoords="offset points", fontsize=7.5, **look)


def _share(panel: Axes, x: float) -> float:
    """Where on the x axis, from 0 to 1."""
    at = panel.transData.transform((x, panel.get_ylim()[0]))
    return float(panel.transAxes.inverted().transform(at)[0])


def _diagonal(panel: Axes, label: str, theme: Theme) -> None:
    """The line y = x where it is inside the panel, its label below it."""
    limits = panel.get_xlim(), panel.get_ylim()
    low, high = max(limits[0][0], limits[1][0]), min(limits[0][1], limits[1][1])
    panel.plot([low, high], [low, high], color=theme.soft, linewidth=0.9, zorder=2)
    panel.set_xlim(limits[0])
    panel.set_ylim(limits[1])
    at = low ** (1 - _LABEL_AT) * high**_LABEL_AT if low > 0 else low + _LABEL_AT * (high - low)
    look: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 7.5, "color": theme.soft}
    panel.annotate(label, (at, at), (5, -3), textcoords="offset points", **look)


def _scale(panel: Axes, rows: Sequence[Row], axes: StudyAxes) -> None:
    """Log axes where asked for; ticks at the measured x where these are few, and numbers that are written out."""
    from matplotlib.ticker import FixedLocator

    x, y = [row.extra["x"] for row in rows], [row.value for row in rows]
    if axes.log_y and min(y) > 0:
        panel.set_yscale("log")
        if max(y) < _SHORT * min(y):
            _write_out(panel.yaxis, y)
    if axes.log_x:
        panel.set_xscale("log")
        _write_out(panel.xaxis, x)
    elif len(set(x)) <= _FEW_TICKS:
        panel.xaxis.set_major_locator(FixedLocator(sorted(set(x))))


def _write_out(axis: Axis, values: Sequence[float]) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, without exponents, where the numbers are short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if _PLAIN[0] <= min(values) and max(values) <= _PLAIN[1] and max(values) < _LONG * min(values):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())


def _legend(
    drawn: Figure,
    rows: Sequence[Row],
    missing: int,
    looks: Mapping[str, tuple[str, str]],
    axes: StudyAxes,
    theme: Theme,
) -> None:
    from matplotlib.lines import Line2D

    width = 0.0 if axes.cloud else 1.3
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4.6, linewidth=width, label=name)
        for name, (colour, marker) in looks.items()
    ]
    if any(row.extra.get("kind") == "law" for row in rows):
        handles.append(Line2D([], [], color=theme.soft, linewidth=1.1, dashes=(4, 2), label=axes.law))
    entry = _HANDLE + _LETTER * max(len(str(handle.get_label())) for handle in handles)
    fit = max(1, int(drawn.get_figwidth() / entry))
    title = "; ".join(_reading(rows, missing, axes))
    columns = min(5, fit, len(handles))
    legend = legend_below(drawn, handles, columns, fontsize=8, title=title, title_fontsize=7)
    legend.get_title().set_color(theme.soft)


def _reading(rows: Sequence[Row], missing: int, axes: StudyAxes) -> Iterator[str]:
    """How to read the figure."""
    measured: list[Any] = [row for row in rows if row.extra.get("kind") == "measured"]
    seeds = len({row.seed for row in measured})
    if seeds > 1 and not axes.cloud:
        series = sorted({(row.metric, row.arm) for row in measured})
        curves = [_groups([row for row in measured if (row.metric, row.arm) == one]) for one in series]
        moved = any(len({row.extra["x"] for row in group}) > 1 for groups in curves for group in groups.values())
        yield f"medians over {seeds} seeds, {'dots: the seeds' if moved else 'bands: lowest to highest'}"
    elif seeds > 1:
        yield f"{len(measured)} tickets, {seeds} seeds"
    if missing:
        yield f"{missing} not drawn: no ticket within eps"
