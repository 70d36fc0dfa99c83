"""Exact piecewise-linear functions of nets, and how far they are from others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ult_lightning.construct.certificates._piecewise_linear import gamma, propagate, refine, sup_error


def random_net(seed: int, widths: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    pairs = itertools.pairwise(widths)
    return [(rng.uniform(-1, 1, (o, i)) * (rng.random((o, i)) < 0.7), rng.uniform(-1, 1, o)) for i, o in pairs]


def evaluate(net, x, dtype=np.float64, last_relu=False):
    h = x.astype(dtype)[:, None]
    for number, (weight, bias) in enumerate(net):
        h = h @ weight.T.astype(dtype) + bias.astype(dtype)
        if number < len(net) - 1 or last_relu:
            h = np.maximum(h, 0)
    return h


nets = st.builds(
    random_net, st.integers(0, 2**32), st.lists(st.integers(1, 9), min_size=0, max_size=4).map(lambda w: [1, *w, 2])
)


@settings(max_examples=60, deadline=None)
@given(net=nets, last_relu=st.booleans())
def test_propagation_is_the_net(net, last_relu):
    line = propagate(net, 0.25, 2.0, last_relu=last_relu)
    x = np.linspace(0.25, 2.0, 1501)
    assert line.x[0] == 0.25
    assert line.x[-1] == 2.0
    assert (np.diff(line.x) > 0).all()
    np.testing.assert_allclose(line(x), evaluate(net, x, last_relu=last_relu), atol=1e-11)
    slopes = np.abs(np.diff(evaluate(net, x, last_relu=last_relu), axis=0)) / (x[1] - x[0])
    assert (slopes.max(0) <= line.lipschitz + 1e-8).all()


@settings(max_examples=40, deadline=None)
@given(net=nets)
def test_float32_stays_within_the_rounding_bound(net):
    rounded = [(w.astype(np.float32).astype(np.float64), b.astype(np.float32).astype(np.float64)) for w, b in net]
    line = propagate(net, 0.0, 1.0)
    x = np.linspace(0, 1, 2001).astype(np.float32)
    error = np.abs(evaluate(rounded, x, np.float32).astype(np.float64) - evaluate(net, x.astype(np.float64)))
    allowed = np.stack([np.interp(x, line.x, column) for column in line.rounding.T], axis=1)
    assert (error <= allowed).all()
    assert allowed.max() < 1e-3  # and the bound says something


def test_the_rounding_bound_holds_for_a_sum_that_cancels():
    many = 64
    signs = np.where(np.arange(many) % 2 == 0, 1.0, -1.0)
    net = [(np.full((many, 1), 1 / 3), np.full(many, 0.1)), (signs[None, :] * 100, np.zeros(1))]
    line = propagate(net, 0.0, 1.0)
    assert np.abs(line.y).max() < 1e-12
    x = np.linspace(0, 1, 501).astype(np.float32)
    for order in (np.arange(many), np.argsort(signs, kind="stable")):
        h = np.zeros(len(x), np.float32)
        for unit in order:
            inner = np.maximum(x * np.float32(1 / 3) + np.float32(0.1), 0)
            h = h + np.float32(signs[unit] * 100) * inner
        assert np.abs(h).max() <= line.rounding.max()
    assert np.abs(h).max() > 0


def test_gamma_is_highams():
    np.testing.assert_allclose(gamma(np.array([0, 1, 10])), [0, 2.0**-24, 10 * 2.0**-24], rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), knots=st.integers(2, 12))
def test_sup_error_encloses_the_truth(seed, knots):
    rng = np.random.default_rng(seed)
    x = np.unique(np.r_[0.0, np.sort(rng.random(knots)), 1.0])
    y = np.sin(3 * x) + rng.normal(0, 0.01, len(x))
    lower, upper = sup_error(x, y, lambda t: np.sin(3 * t), 9.0, tolerance=1e-7)
    fine = np.linspace(0, 1, 200_001)
    seen = np.abs(np.interp(fine, x, y) - np.sin(3 * fine)).max()
    assert lower <= upper <= lower + 1.1e-7
    assert seen <= upper
    assert lower >= seen - 1e-6


def test_a_missed_bump_between_points_is_not_missed():
    """Both ends of the only cell are right, and the middle is off by curvature / 8."""
    _, upper = sup_error(np.array([0.0, 1.0]), np.zeros(2), lambda t: t * (1 - t), 2.0)
    assert upper == pytest.approx(0.25, abs=1e-6)
    assert upper >= 0.25


def test_refine_keeps_points_and_limits_steps():
    x = np.array([0.0, 0.3, 0.31, 2.0])
    grid = refine(x, 0.1)
    assert np.diff(grid).max() <= 0.1 + 1e-12
    assert (np.diff(grid) > 0).all()
    assert np.isin(x, grid).all()
