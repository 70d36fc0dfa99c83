"""Which random units of a one-input net serve as knots: phi(x) = w relu(tau - x) or w relu(x - tau)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ult_lightning.construct._arrays import Bools, Floats, Ints
from ult_lightning.construct._draft import Layer
from ult_lightning.construct.functions._smooth_functions import Function, best_knots

Recipe = tuple[int, bool, tuple[int, ...]]
"""The unit of the first layer that gives the slope, whether the own bias is kept, the units whose biases are added."""

_NEAR_END = 1e-6  # of the interval: knots closer to its ends bend nothing
_STEEP = 0.05  # units of a smaller slope would need large coefficients


@dataclass(frozen=True)
class Candidates:
    """Ways to make knots, one per entry: the unit (column of the next layer), slope w > 0 and place tau in x, its side
    (``left``: the unit is active for x < tau), how many parameters it costs beyond those all share, and its recipe.
    """

    unit: Ints
    slope: Floats
    tau: Floats
    left: Bools
    cost: Ints
    origin: Ints
    decode: Callable[[int], Recipe]
    layers: tuple[Layer, ...]

    def switch_on(self, entry: int) -> None:
        """Keep the parameters that make this knot."""
        first, own, biases = self.decode(int(self.origin[entry]))
        row = int(self.unit[entry])
        if len(self.layers) == 1:
            self.layers[0].weight_mask[row, 0] = True
            self.layers[0].bias_mask[row] |= own
            return
        before, here = self.layers
        before.weight_mask[first, 0] = True
        here.weight_mask[row, first] = True
        here.bias_mask[row] |= own
        for other in biases:
            before.bias_mask[other] = True
            here.weight_mask[row, other] = True

    def bends(self, function: Function) -> Bools:
        """Which knots are inside the interval."""
        margin = _NEAR_END * (function.high - function.low)
        inside = (self.tau > function.low + margin) & (self.tau < function.high - margin)
        return np.asarray((self.slope > _STEEP) & inside, dtype=np.bool_)

    def covers(self, function: Function) -> Bools:
        """Which units are active on the whole interval."""
        ends = np.where(self.left, self.tau >= function.high - 1e-12, self.tau <= function.low + 1e-12)
        return np.asarray((self.slope > _STEEP) & ends, dtype=np.bool_)


def chain_widths(pieces: int, wide: int, style: str) -> tuple[int, ...]:
    """Hidden widths of a chain that holds ``pieces`` linear pieces, its random layers ``wide``.

    In style "direct" a quarter of the first layer's units, the knots inside the interval, leave no gap above 1 / ``pieces``,
    most likely.
    """
    if style == "direct":
        return max(wide, math.ceil(8 * pieces * (math.log(pieces) + 1))), wide
    return wide, math.ceil(1.25 * pieces) + 2, wide


def candidates(layers: tuple[Layer, ...], scale: float, *, slopes: int = 6, biases: int = 6) -> Candidates:
    """All candidates of one random layer ("direct") or two; the net's input is ``scale`` x >= 0."""
    made = _direct(layers[0]) if len(layers) == 1 else _two_layers(layers[0], layers[1], slopes, biases)
    unit, weight, shift, cost, decode = made
    fine = np.flatnonzero(weight != 0)
    weight, shift = weight[fine], shift[fine]
    return Candidates(
        unit=unit[fine],
        slope=np.abs(weight) * scale,
        tau=-shift / weight / scale,
        left=weight < 0,
        cost=cost[fine],
        origin=fine,
        decode=decode,
        layers=layers,
    )


_Made = tuple[Ints, Floats, Floats, Ints, Callable[[int], Recipe]]


def _direct(layer: Layer) -> _Made:
    """Random ReLUs as they are, with their bias (two parameters) or without it."""
    n = len(layer.v)
    unit, weight = np.tile(np.arange(n), 2), np.tile(layer.u[:, 0], 2)
    shift = np.concatenate([layer.v, np.zeros(n)])
    own = np.repeat([True, False], n)
    weight = np.where(~own & (weight < 0), 0.0, weight)  # relu(-|u| x) is 0 for x >= 0
    return unit, weight, shift, own.astype(np.int64) + 1, lambda entry: (0, bool(own[entry]), ())


def _two_layers(first: Layer, second: Layer, slopes: int, biases: int) -> _Made:
    """Unit r of the second layer takes its slope from one unit of the first (whose bias is pruned) and its shift from its own
    bias and at most two units of the first whose weight is pruned: relu(b) = b for b > 0. All share those few units.
    """
    up = np.flatnonzero(first.u[:, 0] > 0)
    up = up[np.argsort(-first.u[up, 0])][:slopes]
    ready = np.setdiff1d(np.flatnonzero(first.v > 0), up)
    ready = ready[np.argsort(-first.v[ready])]
    spread = np.unique(np.linspace(0, max(len(ready) * 2 // 3 - 1, 0), biases).astype(int))
    ready = ready[spread] if len(ready) else ready
    terms = [c for size in range(3) for c in combinations(range(len(ready)), size)]
    rows = np.arange(len(second.v))
    parts = second.u[:, ready] * first.v[ready]  # (r, biases)
    sums = np.stack([parts[:, list(c)].sum(1) for c in terms], axis=1)  # (r, terms)
    shift = sums[:, None, None, :] + np.array([0.0, 1.0])[:, None] * second.v[:, None, None, None]
    weight = second.u[:, up] * first.u[up, 0]  # (r, slopes)
    shape = (len(rows), len(up), 2, len(terms))
    unit = np.broadcast_to(rows[:, None, None, None], shape)
    cost = np.broadcast_to(1 + np.arange(2)[:, None] + np.array([len(c) for c in terms]), shape)

    def decode(entry: int) -> Recipe:
        _, h, own, t = np.unravel_index(entry, shape)
        return int(up[h]), bool(own), tuple(int(ready[c]) for c in terms[t])

    wide = np.broadcast_to(weight[:, :, None, None], shape)
    return (unit.ravel(), wide.ravel(), np.broadcast_to(shift, shape).ravel(), cost.ravel(), decode)


class Knots(NamedTuple):
    """Chosen candidates: ``cover``, linear on the whole interval (None where there is none), and those ``inside`` (n,)."""

    cover: int | None
    inside: Ints


def choose_knots(function: Function, pool: Candidates, pieces: int, *, once: bool, economy: float) -> Knots:
    """A candidate that is linear on the whole interval and at most ``pieces`` - 1 knots inside.

    ``economy``: what one parameter counts against the squared distance from a wanted place, in steps.

    ``once``: every unit serves one knot (two-layer style); wanted places are then assigned to units (`linear_sum_assignment`).
    Otherwise the knots minimise the largest gap, measured in G, exactly.
    """
    if once:
        return _assign(function, pool, pieces, economy)
    place, total = _places(function, pool)
    knots = np.flatnonzero(pool.bends(function))
    inside = knots[_smallest_gap(place[knots], total, pieces - 1)]
    free = np.flatnonzero(pool.covers(function) & ~np.isin(pool.unit, pool.unit[inside]))
    cover = int(free[np.argmin(_cover_key(function, pool)[free])]) if len(free) else None
    return Knots(cover, inside)


def _places(function: Function, pool: Candidates) -> tuple[Floats, float]:
    """Where the candidates are in terms of G, and all of G."""
    x, measure = function.measure()
    return np.interp(pool.tau, x, measure), float(measure[-1])


def _cover_key(function: Function, pool: Candidates) -> Floats:
    end = np.where(pool.left, function.high, function.low)
    beyond: Floats = 0.3 * np.abs(pool.tau - end) + np.abs(np.log(np.maximum(pool.slope, 1e-300)))
    return pool.cost + 0.1 * beyond


def _assign(function: Function, pool: Candidates, pieces: int, economy: float) -> Knots:
    from scipy.optimize import linear_sum_assignment

    (place, total), inside, cover = _places(function, pool), pool.bends(function), pool.covers(function)
    step = total / pieces
    wanted = np.interp(best_knots(function, pieces)[1:-1], *function.measure())
    units = np.unique(pool.unit)
    column = np.searchsorted(units, pool.unit)
    far = 1e6
    price = np.full((pieces, len(units)), far)
    who = np.full(price.shape, -1)
    own = economy * (pool.cost + np.where(pool.slope < 0.3, 2.5, 0.0))
    for row in range(pieces):
        if row < pieces - 1:
            value = np.where(inside, ((place - wanted[row]) / step) ** 2 + own, far)
        else:
            value = np.where(cover, 0.01 * _cover_key(function, pool) + economy * pool.cost, far)
        order = np.lexsort((value, column))
        starts = order[np.searchsorted(column[order], np.arange(len(units)))]
        price[row], who[row] = value[starts], starts
    rows, columns = linear_sum_assignment(price)
    good = price[rows, columns] < far
    chosen = {int(r): int(who[r, c]) for r, c in zip(rows[good], columns[good], strict=True)}
    end = chosen.pop(pieces - 1, None)
    knots = np.array(sorted(chosen.values(), key=lambda i: float(pool.tau[i])), dtype=np.int64)
    if len(knots):
        knots = knots[np.r_[True, np.diff(place[knots]) > 0.05 * step]]
    return Knots(end, knots)


def _smallest_gap(place: Floats, total: float, count: int) -> Ints:
    """Indices of at most ``count`` of the points that leave the smallest largest gap in [0, total]: bisection over the gap,
    greedily taking the farthest point in reach.
    """
    order = np.argsort(place)
    points = place[order]

    def reach(gap: float) -> list[int] | None:
        at = 0.0
        taken: list[int] = []
        while total - at > gap:
            j = int(np.searchsorted(points, at + gap, side="right")) - 1
            if j < 0 or points[j] <= at + 1e-15 or len(taken) == count:
                return None
            taken.append(int(order[j]))
            at = float(points[j])
        return taken

    low, high = 0.0, total
    for _ in range(60):
        middle = 0.5 * (low + high)
        if reach(middle) is None:
            low = middle
        else:
            high = middle
    return np.array(reach(high) or [], dtype=np.int64)
