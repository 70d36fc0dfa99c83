"""Rows of functions: a table of their own."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import pytest

from ult_lightning.report import function_csv, function_lines, function_text, split_rows, table
from ult_lightning.results import Row

MakeRow = Callable[..., Row]


@pytest.fixture
def rows(row: MakeRow) -> list[Row]:
    """Two targets, the first with three seeds."""

    def make(task: str, metric: str, seed: int, value: float, **extra: Any) -> Row:
        known = {"functions": [{"name": "x1"}], "certified_bound": 0.5, "inputs": 2, "dim": 9, "outside": False}
        settings = {"task.seed": seed, "task.functions.name": task, "head": "lstsq", "metric": metric}
        return row(task, "ticket", seed, value, metric=metric, unit="absolute", ticket="t1", settings=settings,
                   extra={**known, **extra})  # fmt: skip

    return [
        *(make("polynomials:3", "sup_error", seed, 0.1 * (seed + 1), certified_bound=0.2 + seed) for seed in range(3)),
        *(make("polynomials:3", "rms_error", seed, 0.01, certified_bound=0.2 + seed) for seed in range(3)),
        make("outside", "sup_error", 0, 1.5, certified_bound=None, outside=True),
        make("outside", "rms_error", 0, 0.5, certified_bound=None, outside=True),
    ]


def test_one_line_per_target(rows: list[Row]) -> None:
    first, second = function_lines(rows)
    assert (first.task, first.seeds, first.functions, first.features, first.inputs) == ("polynomials:3", 3, 1, 9, 2)
    assert first.sup_error == pytest.approx(0.2)
    assert first.sup_error_largest == pytest.approx(0.3)
    assert first.rms_error == pytest.approx(0.01)
    assert first.certified_bound == pytest.approx(2.2)  # the largest, never a mean of bounds
    assert (second.outside, second.certified_bound, second.sup_error) == (True, None, 1.5)


def test_settings_are_never_averaged(rows: list[Row], row: MakeRow) -> None:
    other = row("outside", "ticket", 1, 9.0, metric="sup_error", unit="absolute", ticket="t1",
                settings={"head": "lstsq", "head.points": 5}, extra=rows[-1].extra)  # fmt: skip
    assert len(function_lines([*rows, other])) == 3
    assert function_lines([*rows, other])[2].rms_error is None


def test_text_and_csv(rows: list[Row]) -> None:
    text = function_text(rows)
    assert max(map(len, text.splitlines())) <= 110
    assert "outside (outside the family)" in text
    assert "2.20e+00" in text
    read = list(csv.DictReader(function_csv(rows).splitlines()))
    assert [line["task"] for line in read] == ["polynomials:3", "outside"]
    assert float(read[0]["sup_error"]) == pytest.approx(0.2)
    assert read[1]["certified_bound"] == ""


def test_accuracy_rows_stay_apart(rows: list[Row], grid: list[Row]) -> None:
    ours, others = split_rows([*grid, *rows])
    assert ours == rows
    assert others == grid
    assert function_lines(grid) == []
    assert function_text(grid) == ""
    assert any("8 rows of other metrics" in sentence for sentence in table([*grid, *rows]).warnings)
