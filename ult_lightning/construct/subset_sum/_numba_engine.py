"""The numba engine of the subset sums: up to six terms by enumeration down to two pointers, else sorted halves.

Imported only where numba is installed; shapes and meaning as in the NumPy engine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ult_lightning.construct.subset_sum._numba_tables import compiled, meet, quietest, search
from ult_lightning.construct.subset_sum._numpy_engine import WHOLE, larger, noise_size, pick, searched_size

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

_ROUNDING = 1e-12


def sparsest(pools: Floats, targets: Floats, eps: Floats, max_size: int) -> Bools:
    m, n = len(targets), pools.shape[1]
    chosen = np.zeros((m, n), dtype=np.bool_)
    if not m:
        return chosen
    least, errors = np.empty(m, np.int64), np.empty(m)
    searched = searched_size(n, max_size)
    _fewest(pools, targets, eps, searched, least, chosen, errors)
    rows = np.flatnonzero((least <= n) & (errors > eps))
    if n <= WHOLE:
        _all_sizes(pools, targets, eps, searched + 1, rows, least, chosen, errors)
        return chosen
    for row in rows:
        pool = pools[0 if len(pools) == 1 else row]
        members = larger(pool, targets[row], eps[row], searched, int(least[row]), fixed_size, min_error)
        if abs(pool[members].sum() - targets[row]) < errors[row]:
            chosen[row] = False
            chosen[row, members] = True
    return chosen


def _all_sizes(
    pools: Floats,
    targets: Floats,
    eps: Floats,
    first: int,
    rows: Indices,
    least: Ints,
    chosen: Bools,
    errors: Floats,
) -> None:
    """The fewest terms from ``first`` on for some rows of a small pool; for those still missed, the smallest error."""
    if len(rows) and first <= pools.shape[1]:
        better, off_by = chosen[rows], errors[rows]
        search(pick(pools, rows), targets[rows], eps[rows], least[rows], first, better, off_by)
        chosen[rows], errors[rows] = better, off_by
        rows = rows[off_by > eps[rows]]
    if len(rows):  # fewer terms than may reach eps can still be the nearest
        chosen[rows] = min_error(pick(pools, rows), targets[rows])


def min_error(pools: Floats, targets: Floats) -> Bools:
    chosen = np.zeros((len(targets), pools.shape[1]), dtype=np.bool_)
    if len(targets):
        meet(pools, targets, chosen)
    return chosen


def fixed_size(pools: Floats, targets: Floats, size: int) -> Bools:
    chosen = np.zeros((len(targets), pools.shape[1]), dtype=np.bool_)
    if size and len(targets):
        _of_size(pools, targets, size, chosen)
    return chosen


def low_noise(pools: Floats, targets: Floats, eps: Floats, max_size: int) -> Bools:
    chosen = np.zeros((len(targets), pools.shape[1]), dtype=np.bool_)
    if not len(targets):
        return chosen
    missed = np.zeros(len(targets), dtype=np.bool_)
    quietest(pools, targets, eps, noise_size(pools.shape[1], max_size), chosen, missed)
    if missed.any():
        chosen[missed] = sparsest(pick(pools, missed), targets[missed], eps[missed], max_size)
    return chosen


@compiled
def _fewest(pools: Floats, targets: Floats, eps: Floats, most: int, least: Ints, chosen: Bools, errors: Floats) -> None:
    """Sizes 0..most, fewest terms first; where all values of the target's sign fall short, those."""
    n = pools.shape[1]
    members = np.empty(max(most, 1), np.int64)
    order = np.argsort(pools[0])
    values = pools[0][order]
    for row in range(targets.shape[0]):
        if row and pools.shape[0] > 1:
            order = np.argsort(pools[row])
            values = pools[row][order]
        target = targets[row]
        need = abs(target) - eps[row]
        need -= _ROUNDING * (abs(target) + eps[row])
        total, terms = 0.0, 0
        while total < need and terms < n:
            value = values[n - 1 - terms] if target > 0 else -values[terms]
            if value <= 0:
                break
            total += value
            terms += 1
        short = total < need
        least[row] = n + 1 if short else terms
        best, reached = abs(target), 0
        if short:
            for taken in range(terms):
                chosen[row, order[n - 1 - taken if target > 0 else taken]] = True
            best = abs(target) - total
        elif best > eps[row]:
            for size in range(max(terms, 1), most + 1):
                closer = _closest(values, target, size, best, members)
                if closer < best:
                    best, reached = closer, size
                if best <= eps[row]:
                    break
        # a later size overwrites members only when it is closer
        for taken in range(reached):
            chosen[row, order[members[taken]]] = True
        errors[row] = best


@compiled
def _of_size(pools: Floats, targets: Floats, size: int, chosen: Bools) -> None:
    members = np.empty(size, np.int64)
    order = np.argsort(pools[0])
    values = pools[0][order]
    for row in range(targets.shape[0]):
        if row and pools.shape[0] > 1:
            order = np.argsort(pools[row])
            values = pools[row][order]
        _closest(values, targets[row], size, np.inf, members)
        for taken in range(size):
            chosen[row, order[members[taken]]] = True


@compiled
def _closest(values: Floats, target: float, size: int, best: float, members: Ints) -> float:
    """The smallest error below ``best`` over subsets of one size of ascending values (n,), its places in ``members``.

    All but the last two members are enumerated in ascending order, those two found by two pointers; prefixes whose
    smallest or largest completion is off by ``best`` or more are left out.
    """
    n, depth = values.shape[0], size - 2
    if size == 1:
        for place in range(n):
            if abs(values[place] - target) < best:
                best = abs(values[place] - target)
                members[0] = place
        return best
    if depth == 0:
        return _pair(values, 0, target, best, members, members, 0)
    sums = np.zeros(n + 1)
    for place in range(n):
        sums[place + 1] = sums[place] + values[place]
    slack = _ROUNDING * (n * max(abs(values[0]), abs(values[n - 1])) + abs(target))
    places, bases = np.empty(depth, np.int64), np.zeros(depth)
    level, places[0] = 0, -1
    while level >= 0:
        places[level] += 1
        place, others = places[level], size - level - 1
        if place + others >= n:
            level -= 1
            continue
        base = bases[level] + values[place]
        if base + sums[place + 1 + others] - sums[place + 1] - target - slack >= best:
            level -= 1  # and larger ones are worse
        elif target - base - (sums[n] - sums[n - others]) - slack >= best:
            continue
        elif level == depth - 1:
            best = _pair(values, place + 1, target - base, best, members, places, depth)
        else:
            level += 1
            bases[level], places[level] = base, place
    return best


@compiled
def _pair(values: Floats, start: int, target: float, best: float, members: Ints, places: Ints, depth: int) -> float:
    """The best pair of values[start:]; one better than ``best`` is written into ``members`` behind the ``places``."""
    i, j, first, second = start, values.shape[0] - 1, -1, -1
    while i < j:
        off = values[i] + values[j] - target
        if abs(off) < best:
            best, first, second = abs(off), i, j
        up = off > 0
        j -= up
        i += 1 - up
    if first >= 0:
        for level in range(depth):
            members[level] = places[level]
        members[depth], members[depth + 1] = first, second
    return best
