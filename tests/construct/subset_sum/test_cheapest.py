"""The search for the cheapest sum, against trying everything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ult_lightning.construct.subset_sum._cheapest import cheapest

pools = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed))


def everything(kept, new, target, tolerance, new_cost, max_cost):
    """(cost, error) by brute force over at most three kept and two new elements."""
    sums = []
    for k in range(4):
        for n in range(3):
            cost = k + new_cost * n
            if cost <= max_cost:
                for a in combinations(range(len(kept)), k):
                    for b in combinations(range(len(new)), n):
                        sums.append((cost, abs(kept[list(a)].sum() + new[list(b)].sum() - target)))
    fine = [pair for pair in sums if pair[1] <= tolerance]
    return min(fine) if fine else min(sums, key=lambda pair: pair[1])


@settings(max_examples=80, deadline=None)
@given(
    rng=pools,
    kept=st.integers(0, 7),
    new=st.integers(0, 6),
    tolerance=st.sampled_from([0.3, 0.05, 0.01, 1e-9]),
    new_cost=st.sampled_from([1, 2, 3]),
    max_cost=st.integers(1, 7),
)
def test_it_is_what_trying_everything_finds(rng, kept, new, tolerance, new_cost, max_cost):
    old, fresh, target = rng.uniform(-1, 1, kept), rng.uniform(-1, 1, new), rng.uniform(-1.5, 1.5)
    choice = cheapest(old, fresh, target, tolerance, new_cost=new_cost, max_cost=max_cost)
    cost, error = everything(old, fresh, target, tolerance, new_cost, max_cost)
    assert choice.error == pytest.approx(error, abs=1e-12)
    assert choice.cost == len(choice.kept) + new_cost * len(choice.new)
    if error <= tolerance:
        assert choice.cost == cost
    total = old[choice.kept].sum() + fresh[choice.new].sum()
    assert abs(total - target) == pytest.approx(choice.error, abs=1e-12)
    assert len(set(choice.kept.tolist())) == len(choice.kept)
    assert len(set(choice.new.tolist())) == len(choice.new)


def test_nothing_is_chosen_for_a_target_near_zero():
    choice = cheapest(np.array([0.5]), np.array([0.4]), 0.01, 0.02)
    assert (choice.cost, choice.error) == (0, 0.01)
    assert len(choice.kept) == len(choice.new) == 0


def test_kept_elements_are_preferred_to_new_ones():
    choice = cheapest(np.array([0.3, 0.2]), np.array([0.5]), 0.5, 1e-6)
    assert sorted(choice.kept.tolist()) == [0, 1]
    choice = cheapest(np.array([0.3, 0.2]), np.array([0.5]), 0.5, 1e-6, new_cost=1)
    assert choice.new.tolist() == [0]


def test_sums_of_three_among_many_kept_elements_are_left_out():
    few, many = np.full(60, 0.1), np.full(61, 0.1)
    none = np.empty(0)
    assert cheapest(few, none, 0.3, 1e-6).error < 1e-12
    assert cheapest(many, none, 0.3, 1e-6).error == pytest.approx(0.1)
