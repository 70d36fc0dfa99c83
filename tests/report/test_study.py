"""The figure and the table of a study."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ult_lightning.base import UltError
from ult_lightning.report import _study_figure as module
from ult_lightning.report import study_csv, write_study
from ult_lightning.report._style import LIGHT
from ult_lightning.results import Row, StudyAxes

MakeRow = Callable[..., Row]


AXES = StudyAxes(x="width", panels={"sup_error": "sup error", "kept": "kept parameters"}, log_x=True)
ONE = replace(AXES, panels={"sup_error": "sup error"})


@pytest.fixture
def rows(row: MakeRow) -> list[Row]:
    """Two series of three widths and two seeds, in two metrics; a law, a published number and a failure."""

    def make(arm: str, metric: str, seed: int, value: float, **extra: Any) -> Row:
        known = {"series": arm, "kind": "measured", **extra}
        return row("width", arm, seed, value, metric=metric, unit="absolute", extra=known)

    measured = [
        make(arm, metric, seed, (1.0 + seed) / x * (2 if arm == "direct" else 1), x=x, group=x, total=100)
        for arm in ("two", "direct")
        for metric in ("sup_error", "kept")
        for x in (0.1, 1.0, 2.0)
        for seed in (0, 1)
    ]
    return [
        *measured,
        *(make("two", "sup_error", 0, 1 / x, x=x, kind="law") for x in (0.1, 2.0)),
        make("somebody, 2022", "sup_error", 42, 3.0, x=1.5, kind="published", note="as printed"),
        make("two", "unreached", 2, 0.0, why="eps: got 1e-9, wanted more"),
    ]


def drawn(rows: list[Row], axes: StudyAxes) -> Any:
    """The figure, and its panels with their lines by label of the colour."""
    inside = [row for row in rows if row.metric in axes.panels and "x" in row.extra]
    return module._drawn(inside, len(rows) - len(inside), axes, "A title", LIGHT)


def test_figure_and_table_are_written(rows: list[Row], tmp_path: Path) -> None:
    paths = write_study(rows, axes=AXES, out=tmp_path / "new", title="A title")
    assert paths == {name: tmp_path / "new" / name for name in ("width.png", "width.csv")}
    image = paths["width.png"].read_bytes()
    assert image.startswith(b"\x89PNG")
    assert int.from_bytes(image[16:20], "big") == 7.2 * 300
    assert write_study(rows, axes=AXES, out=tmp_path / "again")["width.png"].read_bytes() != image  # no title


def test_the_table_holds_every_row(rows: list[Row]) -> None:
    read = list(csv.DictReader(study_csv(rows).splitlines()))
    assert len(read) == len(rows)
    assert read[0] == {
        "study": "width", "series": "two", "kind": "measured", "x": "0.1", "metric": "sup_error", "value": "10.0",
        "seed": "0", "n": "10000", "unit": "absolute", "ticket": "", "id": rows[0].id, "group": "0.1",
        "note": "", "total": "100", "why": "",
    }  # fmt: skip
    assert read[-1]["why"] == "eps: got 1e-9, wanted more"
    assert read[-1]["x"] == ""


def test_a_panel_per_metric_with_medians_and_bands(rows: list[Row]) -> None:
    figure = drawn(rows, AXES)
    first, second = figure.axes
    assert [panel.get_ylabel() for panel in (first, second)] == ["sup error", "kept parameters"]
    assert {panel.get_xlabel() for panel in (first, second)} == {"width"}
    assert (first.get_xscale(), first.get_yscale()) == ("log", "log")
    curves = [line for line in second.lines if line.get_linestyle() == "-" and len(line.get_xdata())]
    assert [list(line.get_ydata()) for line in curves] == [[15.0, 1.5, 0.75], [30.0, 3.0, 1.5]]
    assert len(second.collections) == 2  # a band per series
    assert {tuple(line.get_color() for line in curves)} == {LIGHT.curves[:2]}
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["two", "direct", "closed form"]
    said = figure.legends[0].get_title().get_text()
    assert said == "medians over 2 seeds, bands: lowest to highest; 1 not drawn: no ticket within eps"


def test_seeds_that_differ_in_x_are_dots(rows: list[Row]) -> None:
    moved = [
        replace(row, extra={**row.extra, "x": row.extra["x"] * (1 + row.seed / 10)})
        for row in rows
        if row.extra["kind"] == "measured" and "x" in row.extra
    ]
    figure = drawn(moved, ONE)
    (panel,) = figure.axes
    assert len(panel.collections) == 0
    assert "dots: the seeds" in figure.legends[0].get_title().get_text()
    assert sum(line.get_marker() == "o" and line.get_alpha() == 0.4 for line in panel.lines) == 6


def test_laws_are_dashed_and_published_numbers_stars(rows: list[Row]) -> None:
    (panel,) = drawn(rows, ONE).axes
    dashed = [line for line in panel.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in dashed] == [([0.1, 2.0], [10.0, 0.5])]
    stars = [line for line in panel.lines if line.get_marker() == "*"]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in stars] == [([1.5], [3.0])]
    assert [text.get_text() for text in panel.texts] == ["somebody,\n2022\n(as printed)"]


def test_a_cloud_with_its_diagonal(rows: list[Row]) -> None:
    measured = [row for row in rows if row.extra["kind"] == "measured"]
    figure = drawn(measured, replace(ONE, cloud=True, diagonal="y = x", log_x=False))
    (panel,) = figure.axes
    assert panel.get_xscale() == "linear"
    assert [text.get_text() for text in panel.texts] == ["y = x"]
    clouds = [line for line in panel.lines if line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in clouds] == [6, 6]
    (diagonal,) = [line for line in panel.lines if line.get_linestyle() == "-" and len(line.get_xdata())]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert "12 tickets, 2 seeds" in figure.legends[0].get_title().get_text()


def test_values_of_zero_are_drawn_on_a_linear_axis(rows: list[Row]) -> None:
    zero = [replace(row, value=0.0) for row in rows[:1]]
    (panel,) = drawn(zero, ONE).axes
    assert panel.get_yscale() == "linear"


def test_rows_that_cannot_be_drawn_are_told(rows: list[Row], row: MakeRow, tmp_path: Path) -> None:
    with pytest.raises(UltError, match=r"rows: got \['digits', 'width'\], wanted the rows of one study"):
        write_study([*rows, row("digits")], axes=AXES, out=tmp_path)
    with pytest.raises(UltError, match="rows: got 1, wanted some with the metrics sup_error, kept and an x"):
        write_study(rows[-1:], axes=AXES, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
