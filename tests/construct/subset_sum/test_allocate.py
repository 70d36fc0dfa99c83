from __future__ import annotations

from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ult_lightning.base import UltError
from ult_lightning.construct.subset_sum._allocate import Allocation, allocate
from ult_lightning.construct.subset_sum._solvers import Engine, sparsest

Floats = NDArray[np.float64]
each_engine = pytest.mark.parametrize("engine", ["numpy", "numba"] if find_spec("numba") else ["numpy"])


def problem(n: int, m: int, seed: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, n), random.uniform(-1, 1, m)


def assert_disjoint(allocation: Allocation, values: Floats, targets: Floats) -> None:
    used = np.concatenate(allocation.chosen)
    assert len(used) == len(set(used.tolist()))
    sums = np.array([values[members].sum() for members in allocation.chosen])
    np.testing.assert_allclose(allocation.errors, np.abs(sums - targets), atol=1e-14)


@each_engine
@pytest.mark.parametrize(("eps", "terms"), [(1e-3, 90), (1e-4, 105)])
def test_a_stage_of_coefficients(engine: Engine, eps: float, terms: int) -> None:
    values, targets = problem(250, 41, seed=0)
    allocation = allocate(values, targets, eps, engine=engine)
    assert_disjoint(allocation, values, targets)
    assert (allocation.errors <= eps).all()
    assert sum(map(len, allocation.chosen)) <= terms
    assert allocation.cost == 2 * sum(map(len, allocation.chosen))


@each_engine
def test_kept_elements_are_preferred(engine: Engine) -> None:
    values, targets = problem(120, 15, seed=1)
    kept = np.arange(120) < 40
    plain = allocate(values, targets, 1e-3, engine=engine)
    cheap = allocate(values, targets, 1e-3, kept=kept, engine=engine)
    assert_disjoint(cheap, values, targets)
    assert (cheap.errors <= 1e-3).all()
    used = np.concatenate(cheap.chosen)
    assert cheap.cost == 2 * len(used) - kept[used].sum()
    blind = sum((2 - kept[members]).sum() for members in plain.chosen)
    assert cheap.cost < blind


@settings(max_examples=30, deadline=None)
@example([(32, False), (16, True), (16, True)], 32, 1, (3.0, 0.0))  # more terms, but cheaper
@example([(40, False), (16, True), (24, False)], 40, 1, (3.0, 0.0))
@given(
    st.lists(st.tuples(st.integers(-64, 64), st.booleans()), min_size=1, max_size=9),
    st.integers(-128, 128),
    st.integers(1, 8),
    st.sampled_from([(2.0, 1.0), (3.0, 0.0), (1.0, 1.0)]),
)
def test_one_target_gets_the_cheapest_subset(
    pool: list[tuple[int, bool]],
    target: int,
    eps: int,
    costs: tuple[float, float],
) -> None:
    """Brute force over all subsets, in multiples of 1/64, whose sums are exact."""
    values, kept = np.array([v for v, _ in pool]) / 64, np.array([k for _, k in pool])
    allocation = allocate(values, [target / 64], eps / 64, kept=kept, cost_new=costs[0], cost_kept=costs[1], max_size=6)
    members = np.array(list(product([0, 1], repeat=len(values))), dtype=float)
    members = members[members.sum(1) <= 6]
    within = np.abs(members @ values - target / 64) <= eps / 64
    if within.any():
        assert allocation.errors[0] <= eps / 64
        assert allocation.cost == (members @ np.where(kept, costs[1], costs[0]))[within].min()


def test_further_rounds_repair_and_never_worsen() -> None:
    better = 0
    for seed in range(6):
        values, targets = problem(40, 9, seed=seed)
        one, three = (allocate(values, targets, 2e-3, rounds=rounds) for rounds in (1, 3))
        assert_disjoint(three, values, targets)
        missed = [(allocation.errors > 2e-3).sum() for allocation in (one, three)]
        assert missed[1] <= missed[0]
        better += three.cost < one.cost or missed[1] < missed[0]
    assert better > 0


def test_targets_that_need_many_terms_come_first() -> None:
    values, targets = problem(60, 5, seed=4)
    targets[3] = np.sort(values)[-10:].sum()
    allocation = allocate(values, targets, 1e-3)
    assert_disjoint(allocation, values, targets)
    assert (allocation.errors <= 1e-3).all()
    assert len(allocation.chosen[3]) > 6


def test_what_is_small_enough_takes_nothing() -> None:
    allocation = allocate([0.5, 0.25], [0.0, 0.05], 0.1)
    assert [len(members) for members in allocation.chosen] == [0, 0]
    assert allocation.cost == 0


def test_an_exhausted_pool_is_reported_in_the_errors() -> None:
    allocation = allocate([1.0], [1.0, 0.9], 1e-2)
    assert [members.tolist() for members in allocation.chosen] == [[0], []]
    assert allocation.errors.tolist() == [0.0, 0.9]


def test_an_allocation_of_one_is_the_sparsest_subset() -> None:
    values, targets = problem(30, 1, seed=5)
    allocation = allocate(values, targets, 1e-3)
    assert allocation.errors[0] == pytest.approx(sparsest(values, targets, 1e-3).errors[0], abs=1e-15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": [[1.0]]}, "values: got (1, 1), wanted one pool (n,); with targets (m,)"),
        ({"values": [np.inf]}, "values: got inf, wanted finite numbers only."),
        ({"eps": -1}, "eps: got -1.0, wanted a number above 0."),
        ({"max_size": 7}, "max_size: got 7, wanted a whole number from 1 to 6."),
        ({"rounds": 0}, "rounds: got 0, wanted 1 or more."),
        ({"cost_kept": 3}, "cost_kept: got 3, wanted a number from 0 to cost_new, 2."),
        ({"kept": [True]}, "kept: got 'bool (1,)', wanted bool of the shape (2,) of the values."),
        ({"kept": [0, 1]}, "kept: got 'int64 (2,)', wanted bool"),
        ({"engine": "nunpy"}, "did you mean numpy"),
    ],
)
def test_bad_input_is_one_sentence(options: dict[str, Any], message: str) -> None:
    given = {"values": [0.5, 0.25], "targets": [0.7], "eps": 0.1, **options}
    with pytest.raises(UltError) as caught:
        allocate(given.pop("values"), given.pop("targets"), given.pop("eps"), **given)
    assert message in str(caught.value)
