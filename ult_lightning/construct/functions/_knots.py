"""Which random units of a one-input net serve as knots: phi(x) = w relu(tau - x) or w relu(x - tau)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ult_lightning.construct._arrays import Bools, Floats, Ints
from ult_lightning.construct._draft import Layer
from ult_lightning.construct.functions._smooth_functions import Function, best_knots

_NEAR_END = 1e-6  # of the interval: knots closer to its ends bend nothing
_STEEP = 0.05  # units of a smaller slope would need large coefficients


@dataclass(frozen=True)
class Candidates:
    """Ways to make knots, one per entry: the unit (column of the next layer), slope w > 0 and place tau in x, its side
    (``left``: the unit is active for x < tau), how many parameters it costs beyond those all share, and what it is made
    of: ``first``, the unit of the layer before that gives the slope, ``own``, whether its own bias is kept, and
    ``terms``, the units of the layer before whose biases are added, as a place in ``sums``.
    """

    layers: tuple[Layer, ...]
    sums: list[Ints]
    unit: Ints
    slope: Floats
    tau: Floats
    left: Bools
    cost: Ints
    first: Ints
    own: Bools
    terms: Ints

    def switch_on(self, entry: int) -> None:
        """Keep the parameters that make this knot."""
        *before, here = self.layers
        row, first = self.unit[entry], self.first[entry]
        here.weight_mask[row, first] = True
        here.bias_mask[row] |= self.own[entry]
        for layer in before:
            others = self.sums[self.terms[entry]]
            layer.weight_mask[first, 0] = True
            layer.bias_mask[others] = True
            here.weight_mask[row, others] = True

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


def pieces_within(widths: tuple[int, ...]) -> int:
    """How many linear pieces a chain of these hidden widths holds; of one random layer, how many most likely."""
    return widths[1] if len(widths) == 3 else widths[0] // 4


def candidates(layers: tuple[Layer, ...], scale: float, *, slopes: int = 6, biases: int = 6) -> Candidates:
    """All candidates of one random layer ("direct") or two; the net's input is ``scale`` x >= 0.

    Unit r of the second layer takes its slope from one unit of the first (whose bias is pruned) and its shift from its
    own bias and at most two units of the first whose weight is pruned: relu(b) = b for b > 0. All share those few
    units. Of one layer, the units are as they are, with their bias or without it.
    """
    *before, here = layers
    up, ready = _shared_units(before[0], slopes, biases) if before else (np.zeros(1, np.int64), np.zeros(0, np.int64))
    gains, offsets = (before[0].u[up, 0], before[0].v[ready]) if before else (np.ones(1), np.zeros(0))
    places = [list(c) for size in range(3) for c in combinations(range(len(ready)), size)]
    parts = here.u[:, ready] * offsets  # (r, biases)
    sums = np.stack([parts[:, c].sum(1) for c in places], axis=1)  # (r, terms)
    shift = sums[:, None, None, :] + np.array([0.0, 1.0])[:, None] * here.v[:, None, None, None]
    weight = here.u[:, up] * gains  # (r, slopes)
    shape = (len(here.v), len(up), 2, len(places))
    weight, shift = (np.broadcast_to(a, shape).ravel() for a in (weight[:, :, None, None], shift))
    fine = np.flatnonzero(weight != 0)
    unit, slope, own, terms = np.unravel_index(fine, shape)
    weight, shift = weight[fine], shift[fine]
    return Candidates(
        layers=layers,
        sums=[ready[c] for c in places],
        unit=unit,
        slope=np.abs(weight) * scale,
        tau=-shift / weight / scale,
        left=weight < 0,
        cost=1 + own + np.array([len(c) for c in places])[terms],
        first=up[slope],
        own=own.astype(np.bool_),
        terms=terms,
    )


def _shared_units(first: Layer, slopes: int, biases: int) -> tuple[Ints, Ints]:
    """The units of the first layer that give slopes, the steepest ones, and a spread of those that give biases."""
    up = np.flatnonzero(first.u[:, 0] > 0)
    up = up[np.argsort(-first.u[up, 0])][:slopes]
    ready = np.setdiff1d(np.flatnonzero(first.v > 0), up)
    ready = ready[np.argsort(-first.v[ready])]
    spread = np.unique(np.linspace(0, max(len(ready) * 2 // 3 - 1, 0), biases).astype(int))
    return up, ready[spread] if len(ready) else ready


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
