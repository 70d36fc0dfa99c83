"""Smooth functions of one variable, and the piecewise-linear functions that come closest to them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ult_lightning.base import Registry, fault
from ult_lightning.construct._arrays import Floats

Map = Callable[[Floats], Floats]

_GRID = 4001
_POINTS_PER_PIECE = 24
_OFFSETS = (0.0, 0.25, 0.5, 0.75)
_MUCH_LESS = 0.9


@dataclass(frozen=True)
class Function:
    """A function on [low, high] with |f''| <= ``curvature``; errors at x count ``weight(x)`` times.

    ``f`` maps (n,) to (n,) float64. Raises ``UltError`` for an interval that is none, values that are not finite, and a
    curvature that sampling contradicts.
    """

    name: str
    f: Map
    low: float
    high: float
    curvature: float
    weight: Map = field(default=np.ones_like)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and 0 <= self.low < self.high):
            raise fault("interval", [self.low, self.high], "two numbers, 0 <= low < high", "shift the variable")
        x = self.grid()
        values = self._values(x)
        step = x[1] - x[0]
        steepest = float(np.abs(np.diff(values, 2)).max()) / step**2
        noise = 8 * np.finfo(float).eps * float(np.abs(values).max()) / step**2
        if not (math.isfinite(self.curvature) and self.curvature > 0):
            raise fault("curvature", self.curvature, "a number above 0 that bounds |f''|")
        if steepest > self.curvature * (1 + 1e-6) + noise:
            wanted = f"at least {steepest:.6g}, which samples of {self.name} show"
            raise fault("curvature", self.curvature, wanted, "give a bound on |f''|")

    def _values(self, x: Floats) -> Floats:
        values = np.asarray(self.f(x), dtype=np.float64)
        if values.shape != x.shape or not np.isfinite(values).all():
            wanted = f"a function that maps (n,) points of [{self.low:g}, {self.high:g}] to (n,) finite numbers"
            raise fault("function", self.name, wanted)
        return values

    def grid(self) -> Floats:
        """4,001 points, evenly over the interval."""
        return np.linspace(self.low, self.high, _GRID)

    def measure(self) -> tuple[Floats, Floats]:
        """Points x and G(x), the integral of sqrt(weight |f''|) from ``low``: N knots evenly spaced in G are optimal."""
        x = self.grid()
        step = x[1] - x[0]
        bend = np.empty_like(x)
        bend[1:-1] = np.abs(np.diff(self._values(x), 2)) / step**2
        bend[0], bend[-1] = bend[1], bend[-2]
        weighted = bend * self.weight(x)
        density = np.sqrt(np.maximum(weighted, 1e-6 * weighted.max() + 1e-300))
        return x, np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * step)])

    def best_error(self, pieces: int) -> float:
        """The weighted sup error of the best piecewise-linear function with that many pieces: (int sqrt(w |f''|))^2 / 16 N^2.

        Asymptotic in the number of pieces; exact where w f'' is constant.
        """
        return float(self.measure()[1][-1] / pieces) ** 2 / 16.0

    def pieces_for(self, error: float) -> int:
        """The fewest pieces whose `best_error` is at most ``error``."""
        return max(1, math.ceil(float(self.measure()[1][-1]) / (4.0 * math.sqrt(error))))


class TriangleWave(Function):
    """A function that is linear but for kinks, which are all its knots."""

    def __post_init__(self) -> None:
        """Kinks have no curvature to check."""

    def measure(self) -> tuple[Floats, Floats]:
        """Knots evenly spaced in x itself."""
        x = self.grid()
        return x, x.copy()


def triangle_wave(high: float) -> TriangleWave:
    """dist(x, Z) on [0, high], high a multiple of 1/2, with kinks at 1/2, 1, ...

    Errors weigh |sin(2 pi x)|, as they do under a cosine: near the kinks they hardly count.
    """

    def weight(x: Floats) -> Floats:
        return np.abs(np.sin(2 * math.pi * x)) + 0.02

    return TriangleWave("dist(x, Z)", lambda x: np.abs(x - np.round(x)), 0.0, high, 0.0, weight)


def best_knots(function: Function, pieces: int) -> Floats:
    """Knots (pieces + 1,) for a good approximation, both ends among them: evenly spaced in G, but for their offset.

    Where f'' changes its sign a knot cannot serve both sides, and the law holds only if a piece straddles the place: of four
    offsets at either end the one with the least error is taken, where that is much less.
    """
    x, measure = function.measure()
    signs = np.sign(np.diff(function.f(x), 2))
    bends = isinstance(function, TriangleWave) or not (signs.min() < 0 < signs.max())
    offsets = [(0.0, 0.0)] if bends or pieces < 3 else [(a, b) for a in _OFFSETS for b in _OFFSETS]
    tried: list[tuple[float, Floats]] = []
    for first, last in offsets:
        step = float(measure[-1]) / (pieces - first - last)
        places = np.concatenate([[0.0], step * (np.arange(1, pieces) - first), [measure[-1]]])
        knots = np.interp(places, measure, x)
        tried.append((minimax_values(function, knots)[1] if len(offsets) > 1 else 0.0, knots))
    best = min(tried, key=lambda pair: pair[0])
    return best[1] if best[0] < _MUCH_LESS * tried[0][0] else tried[0][1]


def minimax_values(function: Function, knots: Floats) -> tuple[Floats, float]:
    """Values (n,) at ``knots`` (n,), increasing and covering the interval, with the least weighted sup error; that error.

    A linear program on a grid of 24 points per piece (HiGHS).
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix, csr_matrix, hstack, vstack

    ends = [np.linspace(a, b, _POINTS_PER_PIECE, endpoint=False) for a, b in itertools.pairwise(knots)]
    x = np.append(np.concatenate(ends), knots[-1])
    piece = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    right = (x - knots[piece]) / (knots[piece + 1] - knots[piece])
    weight, rows = function.weight(x), np.arange(len(x))
    entries = np.concatenate([(1.0 - right) * weight, right * weight])
    hats = coo_matrix((entries, (np.tile(rows, 2), np.concatenate([piece, piece + 1]))), (len(x), len(knots)))
    slack = csr_matrix(np.ones((len(x), 1)))
    wanted = function.f(x) * weight
    matrix = vstack([hstack([hats, -slack]), hstack([-hats, -slack])]).tocsr()
    bounds = [(None, None)] * len(knots) + [(0, None)]
    cost = np.append(np.zeros(len(knots)), 1.0)
    solution = linprog(cost, A_ub=matrix, b_ub=np.concatenate([wanted, -wanted]), bounds=bounds, method="highs")
    assert solution.status == 0, solution.message
    values: Floats = solution.x[:-1]
    return values, float(solution.x[-1])


def negative_exp(high: float) -> Function:
    """exp(-z) on [0, high]."""
    return Function("exp(-z)", lambda z: np.exp(-z), 0.0, high, 1.0)


def minus_cosine(high: float) -> Function:
    """-cos(2 pi u) on [0, high]."""
    return Function("-cos(2 pi u)", lambda u: -np.cos(2 * math.pi * u), 0.0, high, 4 * math.pi**2)


FUNCTIONS: Registry[Callable[[], Function]] = Registry("function")
"""Functions of one variable that ``ult construct family=univariate function=NAME`` knows."""


def _add(name: str, f: Map, low: float, high: float, curvature: float) -> None:
    FUNCTIONS.add(name, lambda: Function(name, f, low, high, curvature))


_add("log", lambda x: -np.log(0.5 * (1.0 + x)), 0.0, 1.0, 1.0)
_add("exp", lambda z: np.exp(-z), 0.0, 4 * math.log(2) + 0.07, 1.0)
_add("sin", lambda x: np.sin(2 * math.pi * x), 0.0, 1.0, 4 * math.pi**2)
_add("cos", lambda x: np.cos(2 * math.pi * x), 0.0, 1.0, 4 * math.pi**2)
_add("square", lambda x: x * x, 0.0, 1.0, 2.0)
_add("sigmoid", lambda x: 1.0 / (1.0 + np.exp(-8.0 * (x - 0.5))), 0.0, 1.0, 64 / (6 * math.sqrt(3)) * 1.0001)
_add("tanh", lambda x: np.tanh(4.0 * (x - 0.5)), 0.0, 1.0, 16 * 4 / (3 * math.sqrt(3)) * 1.0001)
