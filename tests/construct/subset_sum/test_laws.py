from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ult_lightning.base import UltError
from ult_lightning.construct.subset_sum._laws import (
    SECOND_MOMENT,
    Distribution,
    elements_needed,
    failure_rate,
    median_error,
    unreachable_rate,
)
from ult_lightning.construct.subset_sum._solvers import fixed_size, min_error

Floats = NDArray[np.float64]


def pools(distribution: str, m: int, n: int, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    if distribution == "normal":
        return random.normal(size=(m, n))
    values = random.uniform(-1, 1, (m, n))
    return values * random.uniform(0, 1, (m, n)) if distribution == "product" else values


def uniform_targets(m: int) -> Floats:
    return np.random.default_rng(99).uniform(-1, 1, m)


@pytest.mark.parametrize(("distribution", "n"), [("uniform", 12), ("uniform", 16), ("normal", 14)])
@pytest.mark.parametrize("target", [0.1, 0.5, -0.9])
def test_median_error_is_that_of_simulated_pools(distribution: str, n: int, target: float) -> None:
    m = 3_000
    simulated = np.median(min_error(pools(distribution, m, n, seed=n), np.full(m, target)).errors)
    law = median_error(n, target, second_moment=SECOND_MOMENT[distribution])
    assert law == pytest.approx(simulated, rel=0.2)


def test_median_error_of_products() -> None:
    simulated = np.median(min_error(pools("product", 3_000, 18, seed=1), np.full(3_000, 0.3)).errors)
    assert median_error(18, 0.3, second_moment=1 / 9) == pytest.approx(simulated, rel=0.25)


@pytest.mark.parametrize(("n", "size"), [(15, 2), (15, 3), (30, 3)])
def test_median_error_of_a_fixed_size(n: int, size: int) -> None:
    m, target = 2_000, 0.4
    simulated = np.median(fixed_size(pools("uniform", m, n, seed=n), np.full(m, target), size).errors)
    law = median_error(n, target, second_moment=1 / 3, size=size)
    assert law == pytest.approx(simulated, rel=0.25)


def test_median_error_halves_with_an_element() -> None:
    ratio = median_error(31, 0.2, second_moment=1.0) / median_error(30, 0.2, second_moment=1.0)
    assert ratio == pytest.approx(0.5 * (31 / 30) ** 0.5, rel=1e-2)


@pytest.mark.parametrize(("n", "eps"), [(1, 0.1), (6, 0.01), (15, 0.01), (20, 0.3)])
def test_unreachable_uniform_targets_follow_the_closed_form(n: int, eps: float) -> None:
    """2^-n sum_j C(n, j) (1 - eps)^(j + 1) / (j + 1)!, by Irwin and Hall."""
    falling = [factorial(n) // factorial(n - j) / factorial(j) for j in range(n + 1)]
    exact = sum(falling[j] * (1 - eps) ** (j + 1) / factorial(j + 1) for j in range(n + 1)) / 2**n
    assert unreachable_rate(n, eps) == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize("distribution", ["uniform", "product", "normal"])
def test_unreachable_targets_are_counted_right(distribution: Distribution) -> None:
    m, n, eps = 200_000, 6, 0.05
    reach = np.maximum(pools(distribution, m, n, seed=2), 0).sum(1)
    simulated = (reach < np.abs(uniform_targets(m)) - eps).mean()
    assert simulated > 0.01
    assert unreachable_rate(n, eps, distribution=distribution) == pytest.approx(simulated, rel=0.03)


@pytest.mark.parametrize(
    ("distribution", "n", "eps"),
    [("uniform", 10, 1e-2), ("uniform", 13, 1e-3), ("product", 10, 1e-2), ("product", 15, 1e-2), ("normal", 11, 1e-2)],
)
def test_failure_rate_is_that_of_simulated_pools(distribution: Distribution, n: int, eps: float) -> None:
    m = 8_000
    errors = min_error(pools(distribution, m, n, seed=3), uniform_targets(m)).errors
    simulated = (errors > eps).mean()
    assert simulated > 0.01
    assert simulated / 2 < failure_rate(n, eps, distribution=distribution) < simulated * 2


def test_failure_rates_that_were_published() -> None:
    """100,000 repetitions with n = 15 and eps = 1e-2: 0.0040 for one random layer, 0.0355 for products of two."""
    assert failure_rate(15, 1e-2) == pytest.approx(0.0040, rel=0.1)
    assert failure_rate(15, 1e-2, distribution="product") == pytest.approx(0.0355, rel=0.1)


def test_failures_fall_with_elements_and_with_tolerance() -> None:
    for distribution in SECOND_MOMENT:
        by_n = [failure_rate(n, 1e-3, distribution=distribution) for n in range(1, 60)]  # type: ignore[arg-type]
        assert by_n[0] == 1.0
        assert (np.diff(by_n) <= 0).all()
        assert 0 < by_n[-1] < 1e-6
    assert failure_rate(15, 1e-4) > failure_rate(15, 1e-3) > failure_rate(15, 1e-2)
    assert unreachable_rate(8, 1.5) == 0.0


def test_elements_needed_are_the_fewest_that_keep_the_promise() -> None:
    for distribution in SECOND_MOMENT:
        n = elements_needed(1e-2, 0.05, 1_000, distribution=distribution)  # type: ignore[arg-type]
        rates = [1_000 * failure_rate(k, 1e-2, distribution=distribution) for k in (n - 1, n)]  # type: ignore[arg-type]
        assert rates[1] <= 0.05 < rates[0]


def test_elements_needed_grow_like_a_logarithm() -> None:
    counts = [elements_needed(1e-2, 0.1, 10**power) for power in (2, 4, 6)]
    steps = np.diff(counts)
    assert abs(steps[0] - steps[1]) <= 1  # a hundred times the problems: as many more elements each time
    assert 25 <= elements_needed(1e-2, 0.9, 266_000) <= 30


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: median_error(0, 0.1, second_moment=1.0), "n: got 0, wanted a whole number, 1 or more."),
        (lambda: median_error(5, 0.1, second_moment=0.0), "second_moment: got 0.0, wanted a number above 0."),
        (lambda: median_error(5, 0.1, second_moment=1.0, size=6), "size: got 6, wanted a whole number from 1 to"),
        (lambda: unreachable_rate(5, 0.0), "eps: got 0.0, wanted a number above 0."),
        (lambda: failure_rate(5, 0.1, distribution="gaussian"), "distribution: got 'gaussian', wanted one of"),  # type: ignore[arg-type]
        (lambda: failure_rate(5, 0.1, distribution="unifrom"), "did you mean uniform"),  # type: ignore[arg-type]
        (lambda: elements_needed(0.1, 1.0), "delta: got 1.0, wanted a probability in (0, 1)."),
        (lambda: elements_needed(0.1, 0.1, 0), "problems: got 0, wanted a whole number, 1 or more."),
    ],
)
def test_bad_input_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(UltError) as caught:
        call()
    assert message in str(caught.value)
