from __future__ import annotations

from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ult_lightning.base import UltError
from ult_lightning.construct.subset_sum import _numpy_engine, _solvers
from ult_lightning.construct.subset_sum._solvers import Engine, fixed_size, low_noise, min_error, sparsest

Floats = NDArray[np.float64]
ENGINES: list[Engine] = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
needs_both = pytest.mark.skipif(len(ENGINES) < 2, reason="numba is not installed")
each_engine = pytest.mark.parametrize("engine", ENGINES)
few = settings(max_examples=25, deadline=None)


def problems(m: int, n: int, seed: int, reach: float = 1.0) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (m, n)), random.uniform(-reach, reach, m)


def every_subset(values: Floats, targets: Floats) -> tuple[Floats, Floats, Floats]:
    """Brute force: the errors (m, 2^n) of all subsets, their sizes (2^n,) and their sums of squares (m, 2^n)."""
    members = np.array(list(product([0, 1], repeat=values.shape[1])), dtype=float)
    return np.abs(values @ members.T - targets[:, None]), members.sum(1), values**2 @ members.T


@st.composite
def dyadic(draw: st.DrawFn, most: int = 9) -> tuple[Floats, float, float]:
    """A pool, a target and an eps in multiples of 1/64, so that every sum is exact."""
    values = draw(st.lists(st.integers(-64, 64), min_size=1, max_size=most))
    return np.array(values) / 64, draw(st.integers(-160, 160)) / 64, draw(st.integers(1, 24)) / 64


@each_engine
@pytest.mark.parametrize("n", [1, 2, 3, 7, 12])
def test_min_error_and_fixed_sizes_equal_brute_force(engine: Engine, n: int) -> None:
    values, targets = problems(12, n, seed=n, reach=2.0)
    errors, sizes, _ = every_subset(values, targets)
    np.testing.assert_allclose(min_error(values, targets, engine=engine).errors, errors.min(1), atol=1e-12)
    for size in range(min(n, 6) + 1):
        best = fixed_size(values, targets, size, engine=engine)
        assert (best.sizes == size).all()
        np.testing.assert_allclose(best.errors, errors[:, sizes == size].min(1), atol=1e-12)


@each_engine
@pytest.mark.parametrize("n", [1, 5, 9, 12])
@pytest.mark.parametrize("eps", [0.2, 1e-2, 1e-4])
def test_sparsest_equals_brute_force(engine: Engine, n: int, eps: float) -> None:
    values, targets = problems(20, n, seed=n, reach=2.5)
    errors, sizes, _ = every_subset(values, targets)
    best = sparsest(values, targets, eps, max_size=3, engine=engine)
    reached = (errors <= eps).any(1)
    fewest = np.where(errors <= eps, sizes, np.inf).min(1)
    assert (best.sizes[reached] == fewest[reached]).all()
    wanted = np.where(sizes == fewest[:, None], errors, np.inf).min(1)
    np.testing.assert_allclose(best.errors, np.where(reached, wanted, errors.min(1)), atol=1e-12)
    assert (best.within(eps) == reached).all()


@each_engine
@pytest.mark.parametrize("n", [4, 9, 12])
def test_low_noise_equals_brute_force(engine: Engine, n: int) -> None:
    values, targets = problems(20, n, seed=n, reach=1.5)
    errors, sizes, squares = every_subset(values, targets)
    eps = np.linspace(0.02, 0.1, 20)
    best = low_noise(values, targets, eps, engine=engine)
    quietest = np.where((errors <= eps[:, None]) & (sizes <= 6), squares, np.inf).min(1)
    reached = np.isfinite(quietest)
    assert reached.sum() >= 5
    assert best.within(eps)[reached].all()
    np.testing.assert_allclose((values**2 * best.chosen).sum(1)[reached], quietest[reached], atol=1e-12)
    fallback = sparsest(values, targets, eps, engine=engine)
    np.testing.assert_allclose(best.errors[~reached], fallback.errors[~reached], atol=1e-12)


@pytest.mark.parametrize("n", [8, 15])
def test_min_error_equals_mixed_integer_programming(n: int) -> None:
    from scipy.optimize import Bounds, LinearConstraint, milp

    values, targets = problems(2, n, seed=n)
    for row, target in zip(values, targets, strict=True):
        # minimise the last variable, e, with -e <= values x - target <= e
        rows = LinearConstraint(np.array([[*row, -1.0], [*row, 1.0]]), [-np.inf, target], [target, np.inf])
        bounds = Bounds(np.zeros(n + 1), [*np.ones(n), 10.0])
        solution = milp([*np.zeros(n), 1.0], constraints=rows, integrality=[*np.ones(n), 0], bounds=bounds)
        chosen = solution.x[:n].round()
        exact = min_error(row, [target]).errors[0]
        assert exact <= abs(row @ chosen - target) + 1e-12
        assert exact == pytest.approx(solution.x[-1], abs=2e-6)  # milp is exact to its feasibility tolerance


@needs_both
@pytest.mark.parametrize(
    ("m", "n", "eps"),
    [(300, 15, 1e-2), (60, 15, 1e-3), (60, 20, 1e-3), (30, 30, 1e-3), (6, 60, 1e-4), (3, 140, 1e-3), (40, 22, 1e-4)],
)
def test_engines_agree(m: int, n: int, eps: float) -> None:
    values, targets = problems(m, n, seed=m + n)
    targets[0] = np.maximum(values[0], 0).sum() * 0.9  # needs many terms
    plain, fast = (sparsest(values, targets, eps, engine=engine) for engine in ENGINES)
    np.testing.assert_allclose(plain.errors, fast.errors, atol=1e-12)
    assert (plain.sizes == fast.sizes).all()
    quiet = [low_noise(values[:4], targets[:4], eps, max_size=4, engine=engine) for engine in ENGINES]
    noise = [(values[:4] ** 2 * subsets.chosen).sum(1) for subsets in quiet]
    np.testing.assert_allclose(noise[0], noise[1], atol=1e-12)


@needs_both
@pytest.mark.parametrize("n", [16, 21, 26])
def test_engines_agree_on_exact_minima(n: int) -> None:
    values, targets = problems(10, n, seed=n)
    plain, fast = (min_error(values, targets, engine=engine) for engine in ENGINES)
    np.testing.assert_allclose(plain.errors, fast.errors, atol=1e-14)
    for size in (3, 5, 6):
        plain, fast = (fixed_size(values, targets, size, engine=engine) for engine in ENGINES)
        np.testing.assert_allclose(plain.errors, fast.errors, atol=1e-14)


@each_engine
def test_one_pool_serves_every_target(engine: Engine) -> None:
    values, targets = problems(9, 18, seed=3)
    pool = values[0]
    copies = np.tile(pool, (9, 1))
    for shared, own in (
        (sparsest(pool, targets, 1e-3, engine=engine), sparsest(copies, targets, 1e-3, engine=engine)),
        (min_error(pool, targets, engine=engine), min_error(copies, targets, engine=engine)),
        (fixed_size(pool, targets, 5, engine=engine), fixed_size(copies, targets, 5, engine=engine)),
        (low_noise(pool, targets, 1e-2, engine=engine), low_noise(copies, targets, 1e-2, engine=engine)),
    ):
        assert (shared.chosen == own.chosen).all()


@each_engine
def test_many_targets_are_solved_in_parts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    values, targets = problems(50, 10, seed=4)
    eps = np.linspace(1e-3, 0.1, 50)
    whole = sparsest(values, targets, eps, engine=engine)
    monkeypatch.setattr(_solvers, "_CELLS", 70)
    parts = sparsest(values, targets, eps, engine=engine)
    assert (whole.chosen == parts.chosen).all()
    assert (whole.errors == parts.errors).all()


@each_engine
def test_the_largest_exact_pool(engine: Engine) -> None:
    values, targets = problems(1, 40, seed=5)
    best = min_error(values, targets, engine=engine)
    assert best.errors[0] < 1e-9  # the median is some 1e-12


@each_engine
def test_targets_beyond_reach_take_every_value_of_their_sign(engine: Engine) -> None:
    values, _ = problems(2, 30, seed=6)
    best = sparsest(values, [50.0, -50.0], 1e-2, engine=engine)
    assert (best.chosen[0] == (values[0] > 0)).all()
    assert (best.chosen[1] == (values[1] < 0)).all()


@each_engine
def test_small_subsets_that_miss_give_way_to_larger_ones(engine: Engine) -> None:
    """A target of 20 large terms in a pool of 100, where only a prefix of the largest values leads there."""
    values, _ = problems(1, 100, seed=7)
    target = np.sort(values[0])[-20:].sum()
    best = sparsest(values, [target], 1e-3, max_size=3, engine=engine)
    assert best.errors[0] <= 1e-3
    assert best.sizes[0] <= 21


@each_engine
def test_failures_and_sizes_of_random_pools(engine: Engine) -> None:
    """n = 15, eps = 1e-2: published statistics over 100,000 repetitions say 0.0040 and 0.0355 failures, size 2.30."""
    random = np.random.default_rng(8)
    m = 20_000
    values, targets = random.uniform(-1, 1, (m, 15)), random.uniform(-1, 1, m)
    single = sparsest(values, targets, 1e-2, engine=engine)
    assert 0.0028 <= (~single.within(1e-2)).mean() <= 0.0052
    assert 2.25 <= single.sizes.mean() <= 2.35
    double = sparsest(values * random.uniform(0, 1, (m, 15)), targets, 1e-2, engine=engine)
    assert 0.03 <= (~double.within(1e-2)).mean() <= 0.04


def test_median_error_of_twenty_values() -> None:
    assert 1.4e-6 <= np.median(min_error(*problems(4_000, 20, seed=9)).errors) <= 2.0e-6


@few
@given(dyadic(), st.sampled_from(ENGINES), st.randoms(use_true_random=False))
def test_order_does_not_matter(problem: tuple[Floats, float, float], engine: Engine, random: Any) -> None:
    values, target, eps = problem
    shuffled = np.array(random.sample(list(values), len(values)))
    for solve in (sparsest, low_noise):
        one, other = (solve(pool, [target], eps, engine=engine) for pool in (values, shuffled))
        assert one.errors[0] == other.errors[0] or solve is low_noise
        assert one.within(eps)[0] == other.within(eps)[0]
    assert (
        sparsest(values, [target], eps, engine=engine).sizes == sparsest(shuffled, [target], eps, engine=engine).sizes
    )


@few
@given(dyadic(), st.sampled_from(ENGINES), st.sampled_from([-4.0, -1.0, 0.5, 8.0]))
def test_scale_does_not_matter(problem: tuple[Floats, float, float], engine: Engine, scale: float) -> None:
    values, target, eps = problem
    one = sparsest(values, [target], eps, engine=engine)
    other = sparsest(values * scale, [target * scale], eps * abs(scale), engine=engine)
    assert other.errors[0] == one.errors[0] * abs(scale)
    assert other.sizes[0] == one.sizes[0]


@few
@given(dyadic(), st.sampled_from(ENGINES), st.integers(-64, 64))
def test_another_element_never_hurts(problem: tuple[Floats, float, float], engine: Engine, more: int) -> None:
    values, target, eps = problem
    for solve in (min_error, lambda v, t, engine: sparsest(v, t, eps, engine=engine)):
        before = solve(values, [target], engine=engine)
        after = solve(np.append(values, more / 64), [target], engine=engine)
        if solve is min_error:
            assert after.errors[0] <= before.errors[0]
        elif before.within(eps)[0]:
            assert after.within(eps)[0]
            assert after.sizes[0] <= before.sizes[0]


@few
@given(dyadic(), st.sampled_from(ENGINES))
def test_errors_are_those_of_the_chosen_and_sizes_are_least(
    problem: tuple[Floats, float, float],
    engine: Engine,
) -> None:
    values, target, eps = problem
    best = sparsest(values, [target], eps, engine=engine)
    assert best.errors[0] == abs(values[best.chosen[0]].sum() - target)
    errors, sizes, _ = every_subset(values[None], np.array([target]))
    if best.within(eps)[0]:
        assert not (errors[0, sizes < best.sizes[0]] <= eps).any()
    else:
        assert best.errors[0] == errors.min()


@each_engine
def test_no_targets_give_no_subsets(engine: Engine) -> None:
    for best in (sparsest([1.0, 2.0], [], 0.1, engine=engine), min_error(np.zeros((0, 3)), [], engine=engine)):
        assert len(best.chosen) == len(best.errors) == len(best.sizes) == 0


def test_tables_list_every_subset_once() -> None:
    subsets = _numpy_engine.subsets_of(9, 4)
    assert len({tuple(row) for row in subsets.tolist()}) == len(subsets) == 126
    assert (np.diff(subsets, axis=1) > 0).all()
    assert _numpy_engine.subsets_of(3, 0).shape == (1, 0)


POOL = np.linspace(-1, 1, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sparsest([1, np.nan], [1], 0.1), "values: got nan, wanted finite numbers only."),
        (lambda: sparsest(POOL, [np.inf], 0.1), "targets: got inf, wanted finite numbers only."),
        (lambda: min_error(["a"], [1]), "values: got ['a'], wanted an array of real numbers."),
        (lambda: sparsest(POOL, [1], 0), "eps: got 0.0, wanted a number above 0."),
        (lambda: low_noise(POOL, [1, 1], [0.1, -2]), "eps: got -2.0, wanted a number above 0."),
        (lambda: sparsest(POOL, [1, 1], [0.1] * 3), "eps: got (3,), wanted a number or the shape (2,)"),
        (lambda: sparsest(POOL, 1.0, 0.1), "targets: got (), wanted one dimension (m,)."),
        (lambda: sparsest(POOL[None], [1, 1], 0.1), "values: got (1, 9), wanted a pool for each of the 2"),
        (lambda: sparsest(np.zeros((2, 0)), [1, 1], 0.1), "values: got (2, 0), wanted the shape (n,)"),
        (lambda: min_error(np.zeros(41), [1]), "values: got 41, wanted at most 40 per target; sparsest"),
        (lambda: fixed_size(POOL, [1], 7), "size: got 7, wanted a whole number from 0 to 6."),
        (lambda: fixed_size(POOL, [1], -1), "size: got -1, wanted a whole number from 0 to 6."),
        (lambda: fixed_size(POOL[:3], [1], 4), "size: got 4, wanted at most the 3 values of a pool."),
        (lambda: fixed_size(np.zeros(200), [1], 5), "values: got 200, wanted fewer per target for size 5"),
        (lambda: sparsest(POOL, [1], 0.1, max_size=0), "max_size: got 0, wanted a whole number from 1 to 6."),
        (lambda: low_noise(POOL, [1], 0.1, max_size=2.5), "max_size: got 2.5, wanted a whole number from 1"),
        (lambda: min_error(POOL, [1], engine="nunba"), "did you mean numba"),
    ],
)
def test_bad_input_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(UltError) as caught:
        call()
    assert message in str(caught.value)


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """What numba is for is said where it is missing; "auto" then means NumPy."""
    _solvers.kernels_of.cache_clear()
    monkeypatch.setattr(_solvers, "find_spec", lambda name: None)
    with pytest.raises(UltError, match=r"pip install 'ult_lightning\[fast\]'"):
        min_error(POOL, [0.3], engine="numba")
    calls = []
    monkeypatch.setattr(_numpy_engine, "min_error", lambda *given: calls.append(given) or np.zeros((1, 9), bool))
    min_error(POOL, [0.3])
    _solvers.kernels_of.cache_clear()
    assert len(calls) == 1
