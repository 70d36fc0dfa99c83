"""Functions of one variable, and their best piecewise-linear approximations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ult_lightning.base import UltError
from ult_lightning.construct import FUNCTIONS, Function
from ult_lightning.construct.functions._smooth_functions import (
    best_knots,
    minimax_values,
    minus_cosine,
    negative_exp,
    triangle_wave,
)


@pytest.mark.parametrize("name", FUNCTIONS.names())
def test_registered_functions_keep_their_promises(name):
    function = FUNCTIONS.get(name)()
    x = np.linspace(function.low, function.high, 20_001)
    second = np.abs(np.diff(function.f(x), 2)) / (x[1] - x[0]) ** 2
    assert second.max() <= function.curvature * (1 + 1e-4)
    assert second.max() >= 0.9 * function.curvature  # the bound is no wild guess


def test_the_error_laws_of_theory():
    log = Function("log", lambda x: -np.log(0.5 * (1 + x)), 0.0, 1.0, 1.0)
    assert log.best_error(10) * 100 == pytest.approx(math.log(2) ** 2 / 16, rel=1e-3)  # 0.0300
    m = 4
    exp = negative_exp(m * math.log(2))
    assert exp.best_error(40) * 1600 == pytest.approx((2 * (1 - 2 ** (-m / 2))) ** 2 / 16, rel=1e-3)  # 0.141
    assert minus_cosine(1.0).best_error(21) * 441 == pytest.approx(1.435, rel=5e-3)
    assert exp.pieces_for(exp.best_error(17)) == 17


@pytest.mark.parametrize(("function", "pieces"), [(negative_exp(3.0), 12), (minus_cosine(1.0), 24)])
def test_the_law_is_what_the_best_knots_reach(function, pieces):
    knots = best_knots(function, pieces)
    values, error = minimax_values(function, knots)
    assert error == pytest.approx(function.best_error(pieces), rel=0.2)
    fine = np.linspace(function.low, function.high, 50_001)
    seen = np.abs(np.interp(fine, knots, values) - function.f(fine)).max()
    assert seen == pytest.approx(error, rel=0.02)
    interpolation = np.abs(np.interp(fine, knots, function.f(knots)) - function.f(fine)).max()
    assert error < 0.6 * interpolation  # a line through the ends is off by twice the best


def test_knots_that_fall_on_an_inflection_are_moved():
    cosine = minus_cosine(1.0)
    x, measure = cosine.measure()
    even = np.interp(np.linspace(0, measure[-1], 49), measure, x)
    assert minimax_values(cosine, even)[1] > 1.4 * cosine.best_error(48)
    assert minimax_values(cosine, best_knots(cosine, 48))[1] < 1.15 * cosine.best_error(48)


def test_weights_move_the_error_where_it_counts_less():
    plain = negative_exp(3.0)
    weighted = Function("exp", plain.f, 0.0, 3.0, 1.0, lambda z: np.where(z < 1.5, 1.0, 0.01))
    x, measure = weighted.measure()
    knots = np.interp(np.linspace(0, measure[-1], 9), measure, x)
    values, _ = minimax_values(weighted, knots)
    error = np.abs(np.interp(x, knots, values) - plain.f(x))
    assert error[x < 1.4].max() < 0.5 * error[x > 1.6].max()


def test_a_triangle_wave_is_its_kinks():
    triangle = triangle_wave(2.0)
    _, error = minimax_values(triangle, np.arange(0, 2.01, 0.5))
    assert error < 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curvature": 0.5}, r"curvature: got 0\.5, wanted at least (1|0\.99).* which samples of exp show"),
        ({"curvature": 0.0}, r"curvature: got 0\.0, wanted a number above 0"),
        ({"low": 2.0, "high": 1.0}, r"interval: got \[2\.0, 1\.0\], wanted two numbers, 0 <= low < high"),
        ({"low": -1.0}, r"interval: got \[-1\.0, 3\.0\]"),
        ({"f": lambda z: np.log(z)}, r"function: got 'exp', wanted a function that maps .* to \(n,\) finite numbers"),
        ({"f": lambda z: z[:-1]}, r"function: got 'exp', wanted a function that maps"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_is_no_such_function_is_refused(change, message):
    settings = {"name": "exp", "f": lambda z: np.exp(-z), "low": 0.0, "high": 3.0, "curvature": 1.0, **change}
    with pytest.raises(UltError, match=message):
        Function(**settings)
