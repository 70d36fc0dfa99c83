"""A grid that grows until its best lies inside, against what it must be for every curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.base import grid_reach, grow_grid

GRIDS = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6, unique=True)
FACTORS = st.floats(1.5, 10)
SCORES = st.one_of(st.floats(-1, 1), st.just(math.nan), st.just(math.inf), st.sampled_from([0.0, 0.5]))


def scorer(curve: Callable[[float], float]) -> Callable[[Sequence[float]], list[float]]:
    return lambda values: [curve(value) for value in values]


@given(GRIDS, st.floats(-9, 9), FACTORS, st.integers(0, 4))
def test_the_best_of_a_peak_is_inside_or_the_edge_is_said(
    values: list[float],
    peak: float,
    factor: float,
    most: int,
) -> None:
    grown = grow_grid(values, scorer(lambda v: -abs(math.log10(v) - peak)), factor=factor, most=most)
    tried = [value for value, _ in grown.path]
    assert tried[: len(values)] == values
    assert len(tried) == len(set(tried)) <= len(values) + most
    assert grown.score == max(score for _, score in grown.path if score is not None)
    assert grown.edge == (grown.best in (min(tried), max(tried)))
    if grown.edge:  # no room was left on that side
        assert len(tried) == len(values) + most
        assert abs(math.log10(grown.best) - peak) == min(abs(math.log10(v) - peak) for v in tried)


@given(GRIDS, st.data(), FACTORS, st.integers(0, 4))
def test_any_scores_give_the_first_of_the_best(
    values: list[float],
    data: st.DataObject,
    factor: float,
    most: int,
) -> None:
    seen: dict[float, float] = {}
    grown = grow_grid(values, scorer(lambda v: seen.setdefault(v, data.draw(SCORES))), factor=factor, most=most)
    assert [value for value, _ in grown.path] == list(seen)
    assert set(seen) <= set(grid_reach(values, factor=factor, most=most))
    finite = {value: score for value, score in seen.items() if math.isfinite(score)}
    assert {value for value, score in grown.path if score is None} == set(seen) - set(finite)
    if finite:
        assert grown.best == next(v for v in seen if finite.get(v) == max(finite.values()))
    else:
        assert (grown.best, grown.score, list(seen)) == (values[0], -math.inf, values)


def test_the_steps_are_the_factors_and_end_at_the_cap() -> None:
    up = grow_grid([0.03, 0.1], scorer(lambda v: v))
    assert [value for value, _ in up.path] == [0.03, 0.1, 0.3, 0.9, 2.7]
    assert (up.best, up.score, up.edge) == (2.7, 2.7, True)
    down = grow_grid([0.1, 0.03], scorer(lambda v: -v), most=1)
    assert [value for value, _ in down.path] == [0.1, 0.03, 0.01]
    assert down.edge


def test_equals_do_not_grow_on() -> None:
    """A plateau at the edge is tried once more, and the value tried first stays."""
    grown = grow_grid([10.0, 1.0], scorer(lambda v: 0.5))
    assert (grown.best, grown.edge) == (10.0, False)
    assert [value for value, _ in grown.path] == [10.0, 1.0, 30.0]


def test_divergence_bounds_the_grid() -> None:
    grown = grow_grid([0.1, 0.3], scorer(lambda v: math.nan if v > 0.3 else v))
    assert grown.path == ((0.1, 0.1), (0.3, 0.3), (0.9, None))
    assert (grown.best, grown.edge) == (0.3, False)


def test_one_value_is_a_choice() -> None:
    grown = grow_grid([0.1], scorer(lambda v: v))
    assert (grown.path, grown.best, grown.edge) == (((0.1, 0.1),), 0.1, False)
    assert grid_reach([0.1]) == (0.1,)


@pytest.mark.parametrize("extreme", [1e308, 5e-324])
def test_numbers_end_somewhere(extreme: float) -> None:
    grown = grow_grid([1.0, extreme], scorer(lambda v: abs(math.log(v))))
    assert all(0 < value < math.inf for value, _ in grown.path)
    assert grown.edge
