"""The figure: one panel per target, arms as points with 95 % intervals, seeds as faint dots."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ult_lightning.base import write_bytes
from ult_lightning.report._style import LIGHT, Theme, arm_look, arm_order, natural, percent
from ult_lightning.report._table import Line, Section, Table

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

_ACROSS = 3  # panels in a row
_WIDE = 7.2  # inches, the text width of a paper
_DPI = 200
_STYLES = ("-", "--", ":", "-.")
DOTS: dict[str, Any] = {"linestyle": "", "marker": "o", "alpha": 0.4, "markeredgewidth": 0}
"""Seeds, faint."""
_TALLEST_INTERVAL = 0.75  # of the span of the points; longer intervals are cut and get an arrow head


def figure(summary: Table, path: str | Path) -> Path:
    """Write the PNG figure of a table and return its path.

    One panel per target, all with the same arms in the same order; the mean of the baseline is a thin line, where it
    has one variant. Targets with several numbers of shots get a panel of accuracy against shots.
    """
    write_bytes(path, png(summary))
    return Path(path)


def png(summary: Table, theme: Theme = LIGHT) -> bytes:
    return as_png(lambda: _drawn(summary, theme), theme, dpi=_DPI)


def as_png(draw: Callable[[], Figure], theme: Theme, *, dpi: int, font_size: float = 8.0) -> bytes:
    """What `draw` draws under the settings of a theme, as the bytes of a PNG without a date or version."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    out = io.BytesIO()
    with rc_context(_settings(theme) | {"font.size": font_size}):
        figure = draw()
        FigureCanvasAgg(figure)
        figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def caption(summary: Table) -> str:
    """The sentence under the figure."""
    curves = _curves(summary)
    panels = _single(summary)
    several = any(line.accuracy.n > 1 for line in summary.lines)
    words = "Points are means over seeds with 95 % Student t intervals" if several else "Points are single seeds"
    if several and panels:
        words += ", faint dots the seeds"
    if any(_baseline(section, summary) is not None for section in panels):
        words += f"; the thin line is that of {summary.baseline}"
    if several and panels:
        words += ". Arrow heads mark intervals that leave the panel"
    return f"Test accuracy per target{' against training images per class' if curves else ''}. {words}."


def described(summary: Table) -> str:
    """What the figure shows, in words, for readers who cannot see it."""
    parts = []
    for section in summary.sections:
        arms = ", ".join(f"{line.label} {percent(line.accuracy.mean, section.decimals)}" for line in section.lines)
        parts.append(f"{section.title}: {arms}")
    return "Mean test accuracy in per cent. " + "; ".join(parts) + "."


def _settings(theme: Theme) -> dict[Any, Any]:
    soft = ("axes.edgecolor", "xtick.color", "ytick.color")
    ink = ("axes.labelcolor", "text.color", "xtick.labelcolor", "ytick.labelcolor")
    return {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "text.usetex": False,
        **dict.fromkeys(soft, theme.soft),
        **dict.fromkeys(ink, theme.ink),
        **dict.fromkeys(("axes.facecolor", "figure.facecolor"), theme.paper),
        **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    }


def _drawn(summary: Table, theme: Theme) -> Figure:
    """Arm panels first, then shot panels; every row of panels shares its arm axis."""
    from matplotlib.figure import Figure

    curves = _curves(summary)
    single = _single(summary)
    labels = _labels(single)
    rows_arms = math.ceil(len(single) / _ACROSS)
    heights = [0.95 + 0.27 * len(labels)] * rows_arms + [2.6] * math.ceil(len(curves) / _ACROSS)
    across = min(_ACROSS, max(len(single), len(curves)))
    drawn = Figure(figsize=(_WIDE if across > 1 else 4.6, sum(heights) + 0.15), layout="constrained")
    drawn.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.02, hspace=0.04)  # type: ignore[union-attr, call-arg]
    grid = drawn.add_gridspec(len(heights), across, height_ratios=heights)
    first = None
    for place, section in enumerate(single):
        row, column = divmod(place, across)
        axes = drawn.add_subplot(grid[row, column], sharey=first)
        first = first or axes
        _arm_panel(axes, section, labels, summary, theme, named=column == 0)
    looks = _looks([section for sections in curves.values() for section in sections], theme)
    for place, (task, sections) in enumerate(curves.items()):
        row, column = divmod(place, across)
        axes = drawn.add_subplot(grid[rows_arms + row, column])
        _shot_panel(axes, task, sections, looks, theme, named=column == 0)
    if curves:
        _legend(drawn, looks)
    return drawn


def _curves(summary: Table) -> dict[str, list[Section]]:
    """Targets that were measured at two or more numbers of shots, with their few-shot sections."""
    by_task: dict[str, list[Section]] = {}
    for section in summary.sections:
        if section.shots is not None:
            by_task.setdefault(section.task, []).append(section)
    return {task: sections for task, sections in by_task.items() if len(sections) > 1}


def _single(summary: Table) -> list[Section]:
    """The sections that get an arm panel of their own."""
    curves = _curves(summary)
    return [one for one in summary.sections if one.shots is None or one.task not in curves]


def _baseline(section: Section, summary: Table) -> Line | None:
    """The one line of the baseline; None where there is none, or several variants of it."""
    lines = [line for line in section.lines if line.arm == summary.baseline]
    return lines[0] if len(lines) == 1 else None


def _labels(sections: Sequence[Section]) -> list[str]:
    """The arms of these panels with their variants, top to bottom."""
    lines = [line for section in sections for line in section.lines]
    return [
        label
        for arm in arm_order(line.arm for line in lines)
        for label in sorted({line.label for line in lines if line.arm == arm}, key=natural)
    ]


def _looks(sections: Sequence[Section], theme: Theme) -> dict[str, dict[str, Any]]:
    """How the curve of each label is drawn: variants share the colour and marker of their arm, not the dashes."""
    arms = {line.label: line.arm for section in sections for line in section.lines}
    drawn: Counter[str] = Counter()
    looks = {}
    for label in _labels(sections):
        colour, marker = arm_look(arms[label], theme)
        dashes = _STYLES[drawn[arms[label]] % len(_STYLES)]
        looks[label] = {"color": colour, "marker": marker, "linestyle": dashes, "markersize": 4, "linewidth": 1.1}
        drawn[arms[label]] += 1
    return looks


def _arm_panel(
    axes: Axes,
    section: Section,
    labels: Sequence[str],
    summary: Table,
    theme: Theme,
    *,
    named: bool,
) -> None:
    low, high = _limits(section.lines)
    if (baseline := _baseline(section, summary)) is not None:
        axes.axvline(100 * baseline.accuracy.mean, color=theme.soft, linewidth=0.7, zorder=1)
    for line in section.lines:
        _point(axes, line, labels.index(line.label), (low, high), section.decimals, theme)
    axes.set_xlim(low, high)
    axes.set_ylim(len(labels) - 0.4, -0.75)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, labelleft=named)
    axes.grid(axis="x", color=theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("test accuracy (%)")
    axes.set_title(section.title.replace(", ", "\n", 1), loc="left", fontsize=9, fontweight="bold", pad=6)


def _point(axes: Axes, line: Line, height: int, limits: tuple[float, float], decimals: int, theme: Theme) -> None:
    """The mean with its interval and number, and the seeds below it."""
    colour, marker = arm_look(line.arm, theme)
    mean = 100 * line.accuracy.mean
    if len(line.by_seed) > 1:
        seeds = [100 * value for value in line.by_seed.values()]
        axes.plot(seeds, [height + 0.26] * len(seeds), **DOTS, markersize=2.6, color=colour, zorder=2)
    if not math.isnan(line.accuracy.half):
        inset = 0.02 * (limits[1] - limits[0])  # room for the arrow heads
        for end, side in ((100 * line.accuracy.low, "<"), (100 * line.accuracy.high, ">")):
            inside = min(max(end, limits[0] + inset), limits[1] - inset)
            cap = "|" if inside == end else side
            axes.plot([mean, inside], [height] * 2, color=colour, linewidth=1.2, solid_capstyle="butt", zorder=3)
            axes.plot(inside, height, marker=cap, markersize=5, color=colour, clip_on=False, zorder=3)
    size = 6.6 if marker in ("P", "X") else 5.2  # thin shapes are lost in their paper-coloured edge otherwise
    axes.plot(mean, height, marker=marker, markersize=size, color=colour, zorder=4, **edged(theme))
    edge = (limits[1] - mean) / (limits[1] - limits[0])
    side = "right" if edge < 0.06 else "left" if edge > 0.94 else "center"
    box = {"boxstyle": "square,pad=0.1", "fc": theme.paper, "ec": "none"}
    look: dict[str, Any] = {"ha": side, "va": "bottom", "fontsize": 6.2, "color": theme.soft, "zorder": 5, "bbox": box}
    number = percent(line.accuracy.mean, decimals)
    axes.annotate(number, (mean, height), (0, 4.2), textcoords="offset points", **look)


def _limits(lines: Sequence[Line]) -> tuple[float, float]:
    """The accuracy axis in per cent: all points, and intervals unless they would squeeze the points."""
    values = [100 * value for line in lines for value in line.by_seed.values()]
    low, high = min(values), max(values)
    span = max(high - low, 1.0)
    reach = _TALLEST_INTERVAL * span
    for line in lines:
        if not math.isnan(line.accuracy.half):
            low = max(min(low, 100 * line.accuracy.low), min(values) - reach)
            high = min(max(high, 100 * line.accuracy.high), max(values) + reach)
    pad = 0.07 * max(high - low, 1.0)
    return max(low - pad, -1.0), min(high + pad, 100.8)


def _shot_panel(
    axes: Axes,
    task: str,
    sections: Sequence[Section],
    looks: Mapping[str, dict[str, Any]],
    theme: Theme,
    *,
    named: bool,
) -> None:
    """Accuracy against images per class, one curve per arm."""
    labels = _labels(sections)
    for rank, label in enumerate(labels):
        lines = [(x, line) for x, one in enumerate(sections) for line in one.lines if line.label == label]
        shift = 0.05 * (rank - (len(labels) - 1) / 2)
        x, y = [x + shift for x, _ in lines], [100 * line.accuracy.mean for _, line in lines]
        half = [0.0 if math.isnan(line.accuracy.half) else 100 * line.accuracy.half for _, line in lines]
        axes.errorbar(x, y, yerr=half, elinewidth=0.9, capsize=0, **edged(theme, 0.4), **looks[label])
    axes.set_xticks(range(len(sections)), [str(one.shots) for one in sections])
    axes.set_xlim(-0.4, len(sections) - 0.6)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -1.0), min(high, 100.8))
    axes.grid(axis="y", color=theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("training images per class")
    if named:
        axes.set_ylabel("test accuracy (%)")
    axes.set_title(task, loc="left", fontsize=9, fontweight="bold", pad=6)


def _legend(drawn: Figure, looks: Mapping[str, dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=label, **look) for label, look in looks.items()]
    legend_below(drawn, handles, min(4, len(handles)), fontsize=7, handlelength=2.8)


def edged(theme: Theme, width: float = 0.5) -> dict[str, Any]:
    """Markers with an edge in the colour of the paper, so that they stay apart."""
    return {"markeredgecolor": theme.paper, "markeredgewidth": width}


def legend_below(drawn: Figure, handles: Sequence[Artist], columns: int, **look: Any) -> Legend:
    """A legend without a frame, below all panels."""
    return drawn.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, **look)
