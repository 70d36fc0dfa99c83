"""Exact certificates for ReLU nets of one variable: their piecewise-linear function, its distance to a smooth one, and what
float32 arithmetic can add to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ult_lightning.construct._arrays import Floats, Ints

Weights = tuple[Floats, Floats]

UNIT_ROUNDOFF = 2.0**-24
"""Of float32, round to nearest."""

_FLOAT64_SLACK = 1e-11


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous piecewise-linear function of one variable, linear between neighbours of ``x`` (n,), increasing.

    ``y`` (n, outputs) are its values; ``rounding`` (n, outputs) bounds how far a float32 evaluation, in any order of its
    sums, is from it (linear between the points too).
    """

    x: Floats
    y: Floats
    rounding: Floats

    def __call__(self, at: Floats) -> Floats:
        """Values (m, outputs) at points (m,) inside the domain."""
        return np.stack([np.interp(at, self.x, column) for column in self.y.T], axis=1)

    @property
    def lipschitz(self) -> Floats:
        """The largest slope in absolute value, (outputs,)."""
        slopes: Floats = np.abs(np.diff(self.y, axis=0) / np.diff(self.x)[:, None]).max(0)
        return slopes


def gamma(terms: Ints) -> Floats:
    """The bound n u / (1 - n u) on the relative rounding error of sums of n products in float32 (Higham 2002, ch. 3)."""
    nu = np.asarray(terms, dtype=np.float64) * UNIT_ROUNDOFF
    bound: Floats = nu / (1.0 - nu)
    return bound


def propagate(layers: Sequence[Weights], low: float, high: float, *, last_relu: bool = False) -> PiecewiseLinear:
    """The function of the net with ``layers`` (weight (o, i), bias (o,)), ReLU between them, on [low, high].

    Exact up to float64 rounding: every zero crossing of every unit becomes a point. The input of the first layer is one number,
    exact in float32. With ``last_relu`` the outputs pass a ReLU too.
    """
    x = np.array([low, high])
    value, error = x[:, None].copy(), np.zeros((2, 1))
    for number, (weight, bias) in enumerate(layers):
        size = np.abs(weight)
        rate = gamma((weight != 0).sum(1) + 1)
        rounding = error @ size.T + rate * ((np.abs(value) + error) @ size.T + np.abs(bias))
        before = value @ weight.T + bias
        if number == len(layers) - 1 and not last_relu:
            return PiecewiseLinear(x, before, rounding)
        x, before, rounding = _with_crossings(x, before, rounding)
        value, error = np.maximum(before, 0.0), rounding
    return PiecewiseLinear(x, value, error)


def _with_crossings(x: Floats, y: Floats, extra: Floats) -> tuple[Floats, Floats, Floats]:
    """The same lines with a point wherever a column of ``y`` changes its sign."""
    place, unit = np.nonzero(y[:-1] * y[1:] < 0)
    if len(place) == 0:
        return x, y, extra
    part = y[place, unit] / (y[place, unit] - y[place + 1, unit])
    at = x[place] + part * (x[place + 1] - x[place])
    middle = [a[place] + part[:, None] * (a[place + 1] - a[place]) for a in (y, extra)]
    middle[0][np.arange(len(unit)), unit] = 0.0
    order = np.argsort(all_x := np.concatenate([x, at]), kind="stable")
    fresh = np.r_[True, np.diff(all_x[order]) > 1e-15]
    order = order[fresh]
    return (all_x[order], np.concatenate([y, middle[0]])[order], np.concatenate([extra, middle[1]])[order])


def sup_error(
    x: Floats,
    y: Floats,
    f: Callable[[Floats], Floats],
    curvature: float,
    *,
    tolerance: float = 1e-7,
) -> tuple[float, float]:
    """(lower, upper) bounds on sup |PL - f| over [x[0], x[-1]], PL through the points (x, y), |f''| <= curvature.

    On a cell of length h between two evaluations, both linear in PL, the error is at most the larger of its ends plus
    curvature h^2 / 8; h is chosen so that this term is at most ``tolerance``.
    """
    step = math.sqrt(8.0 * tolerance / max(curvature, 1e-12))
    grid = refine(x, step)
    error = np.abs(np.interp(grid, x, y) - f(grid))
    cells = np.maximum(error[:-1], error[1:]) + curvature * np.diff(grid) ** 2 / 8.0
    return float(error.max()), float(cells.max()) + _FLOAT64_SLACK


def refine(x: Floats, step: float) -> Floats:
    """The points ``x`` with as many evenly spaced ones between neighbours as keep distances at most ``step``."""
    counts = np.maximum(1, np.ceil(np.diff(x) / step)).astype(np.int64)
    starts = np.repeat(x[:-1], counts)
    widths = np.repeat(np.diff(x) / counts, counts)
    ranks = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    grid: Floats = np.append(starts + ranks * widths, x[-1])
    return grid
