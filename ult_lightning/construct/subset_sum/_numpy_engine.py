"""The NumPy engine of the subset sums: lists of subsets for small pools, meeting in the middle for large ones.

All functions take pools (m, n), or (1, n) where every target shares one, with targets (m,) and eps (m,).
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from ult_lightning.construct._arrays import Bools, Floats, Indices, Ints

_TABLE = 1 << 20
_CELLS = 1 << 21
_COMMON = 1 << 18


def by_size(pools: Floats, targets: Floats, eps: Floats, first: Ints, last: int, chosen: Bools, errors: Floats) -> None:
    """Subsets of ``first`` (m,) to ``last`` terms, fewest first until one is within eps: closer ones replace, in place,
    the subsets ``chosen`` (m, n) with their ``errors`` (m,).
    """
    for size in range(int(first.min()), last + 1):
        rows = np.flatnonzero((first <= size) & (errors > eps))
        members, off_by = _of_size(pools if len(pools) == 1 else pools[rows], targets[rows], size)
        better = off_by < errors[rows]
        rows = rows[better]
        errors[rows], chosen[rows] = off_by[better], False
        chosen[rows[:, None], members[better]] = True


def _of_size(pools: Floats, targets: Floats, size: int) -> tuple[Indices, Floats]:
    """Members (m, size) and errors (m,) of the best subsets of one size."""
    m, n = len(targets), pools.shape[1]
    members, errors = np.empty((m, size), dtype=np.intp), np.empty(m)
    if comb(n, size) * n > _TABLE:
        for row, target in enumerate(targets):
            members[row], errors[row] = _split(pools[0 if len(pools) == 1 else row], target, size)
        return members, errors
    subsets, table = subsets_of(n, size), _table(n, size)
    rows = max(1, _CELLS // len(subsets))
    for start in range(0, m, rows):
        part = slice(start, start + rows)
        off = (pools if len(pools) == 1 else pools[part]) @ table - targets[part, None]
        np.abs(off, out=off)
        best = off.argmin(1)
        members[part], errors[part] = subsets[best], off[np.arange(len(off)), best]
    return members, errors


def min_error(pools: Floats, targets: Floats) -> Bools:
    """The smallest error of all 2^n subsets."""
    n = pools.shape[1]
    chosen = np.zeros((len(targets), n), dtype=np.bool_)
    half = n // 2
    for row, target in enumerate(targets):
        if row == 0 or len(pools) > 1:
            left, right = all_sums(pools[row, :half]), all_sums(pools[row, half:])
            left_order, right_order = np.argsort(left), np.argsort(right)
        _, first, second = nearest(left[left_order], right[right_order], target)
        chosen[row] = _members(int(left_order[first]) | int(right_order[second]) << half, n)
    return chosen


def fewest(pools: Floats, targets: Floats, eps: Floats) -> Bools:
    """The fewest terms within eps among all 2^n subsets, or the smallest error."""
    n = pools.shape[1]
    chosen = np.zeros((len(targets), n), dtype=np.bool_)
    for row, target in enumerate(targets):
        off = np.abs(all_sums(pools[0 if len(pools) == 1 else row]) - target)
        fine = np.flatnonzero(off <= eps[row])
        if len(fine):
            sizes = _bit_counts(n)[fine]
            fine = fine[sizes == sizes.min()]
        chosen[row] = _members(int(fine[off[fine].argmin()] if len(fine) else off.argmin()), n)
    return chosen


def quietest(pools: Floats, targets: Floats, eps: Floats, size: int) -> Bools:
    """Among the subsets of up to ``size`` terms within eps, the smallest sum of squares; none where none is."""
    n = pools.shape[1]
    chosen = np.zeros((len(targets), n), dtype=np.bool_)
    for row, target in enumerate(targets):
        pool, least = pools[0 if len(pools) == 1 else row], np.inf
        for subsets in (subsets_of(n, terms) for terms in range(size + 1)):
            fine = subsets[np.abs(subset_sums(pool, subsets) - target) <= eps[row]]
            noise = np.square(pool)[fine].sum(1)
            if noise.min(initial=np.inf) < least:
                least = noise.min()
                chosen[row] = False
                chosen[row, fine[noise.argmin()]] = True
    return chosen


def _split(pool: Floats, target: float, size: int) -> tuple[Indices, float]:
    """The best subset of one size: so many members from the first half, the rest from the second."""
    half = len(pool) // 2
    least, members = np.inf, np.empty(0, dtype=np.intp)
    for count in range(max(0, size - (len(pool) - half)), min(size, half) + 1):
        error, first, second = mixed(pool[:half], pool[half:], count, size - count, target)
        if error < least:
            least, members = error, np.concatenate([first, second + half])
    return members, least


def mixed(
    left: Floats,
    right: Floats,
    count_left: int,
    count_right: int,
    target: float,
) -> tuple[float, Indices, Indices]:
    """The smallest error of so many values from the left and so many from the right, and their places on each side."""
    subsets = subsets_of(len(left), count_left), subsets_of(len(right), count_right)
    sums = subset_sums(left, subsets[0]), subset_sums(right, subsets[1])
    few = int(len(sums[1]) <= len(sums[0]))  # the shorter side is sorted, the longer one asks
    order = np.argsort(sums[few])
    error, place, key = nearest(sums[1 - few], sums[few][order], target)
    places = (place, order[key]) if few else (order[key], place)
    return error, subsets[0][places[0]].astype(np.intp), subsets[1][places[1]].astype(np.intp)


def nearest(values: Floats, keys: Floats, target: float) -> tuple[float, int, int]:
    """The smallest |value + key - target| over all pairs, and its two places; ``keys`` ascend."""
    need = target - values
    above = np.searchsorted(keys, need)
    below = np.maximum(above - 1, 0)
    np.minimum(above, len(keys) - 1, out=above)
    low, high = np.abs(need - keys[below]), np.abs(need - keys[above])
    place = int(np.minimum(low, high).argmin())
    key = below[place] if low[place] <= high[place] else above[place]
    return float(min(low[place], high[place])), place, int(key)


def all_sums(values: Floats) -> Floats:
    """The sums of all 2^n subsets; bit i of a sum's place says whether value i is in it."""
    sums = np.zeros(1 << len(values))
    for place, value in enumerate(values):
        np.add(sums[: 1 << place], value, out=sums[1 << place : 2 << place])
    return sums


def subset_sums(pool: Floats, subsets: NDArray[np.int32]) -> Floats:
    """The sums (p,) of subsets (p, size); the empty subset's is 0."""
    sums = np.zeros(len(subsets))
    for members in subsets.T:
        sums += pool[members]
    return sums


def subsets_of(n: int, size: int) -> NDArray[np.int32]:
    """All subsets (p, size) of 0..n-1 of one size, as indices; few of the large lists are kept in memory."""
    return _common(n, size) if comb(n, size) * size <= _COMMON else _rare(n, size)


def _listed(n: int, size: int) -> NDArray[np.int32]:
    subsets = np.zeros((1, 0), dtype=np.int32)
    for member in range(size):
        last = subsets[:, -1] if member else np.full(1, -1, dtype=np.int32)
        longer = n - 1 - last  # each subset goes on with every index above its last one
        rows = np.repeat(np.arange(len(subsets)), longer)
        following = np.arange(len(rows)) - (np.cumsum(longer) - longer)[rows] + last[rows] + 1
        subsets = np.column_stack([subsets[rows], following.astype(np.int32)])
    return subsets


_common = lru_cache(maxsize=48)(_listed)
_rare = lru_cache(maxsize=2)(_listed)


@lru_cache(maxsize=8)
def _table(n: int, size: int) -> Floats:
    """The subsets of one size as columns (n, p) of zeros and ones."""
    subsets = subsets_of(n, size)
    table = np.zeros((n, len(subsets)))
    table[subsets.T, np.arange(len(subsets))] = 1.0
    return table


def _members(code: int, n: int) -> Bools:
    return ((code >> np.arange(n)) & 1).astype(np.bool_)


@lru_cache(maxsize=2)
def _bit_counts(n: int) -> NDArray[np.int8]:
    return all_sums(np.ones(n)).astype(np.int8)
