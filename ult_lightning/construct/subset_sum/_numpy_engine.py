"""The NumPy engine of the subset sums: tables of subsets for small pools, meeting in the middle for large ones.

All functions take pools (m, n), or (1, n) where every target shares one, with targets (m,) and eps (m,).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

LARGEST_SIZE = 6
WHOLE = 22
"""Up to so many values, all 2^n subsets are looked at for a target that small subsets miss."""
MEETING = 40
"""Up to so many values, two halves of 2^(n/2) sums fit into memory."""
HALF_SUMS = 3_000_000
NOISE_SUBSETS = 1 << 20
_TABLE = 1 << 20
_WHOLE_TABLE = 14
_CELLS = 1 << 21
_COMMON = 1 << 18
_ROUNDING = 1e-12


def fits(n: int, size: int) -> bool:
    """Whether all subsets of a size can be searched: at most ``HALF_SUMS`` of them in half the pool."""
    return comb(n - n // 2, min(size, n - n // 2)) <= HALF_SUMS


def searched_size(n: int, max_size: int) -> int:
    """The largest size up to ``max_size`` whose subsets of n values are all looked at."""
    return max(size for size in range(1, min(max_size, n) + 1) if size == 1 or fits(n, size))


def noise_size(n: int, max_size: int) -> int:
    """The largest size up to ``max_size`` with at most ``NOISE_SUBSETS`` subsets of that size or smaller."""
    counts = np.cumsum([comb(n, size) for size in range(min(max_size, n) + 1)])
    return max(1, int((counts <= NOISE_SUBSETS).sum()) - 1)


def reach(pools: Floats, targets: Floats, eps: Floats) -> tuple[NDArray[np.int64], Bools]:
    """The fewest terms that may come within eps of each target (m,), n + 1 where none can, and who has its sign (m, n)."""
    signed = pools * np.sign(targets)[:, None]
    sums = np.cumsum(-np.sort(-np.maximum(signed, 0.0), axis=1), axis=1)
    need = np.abs(targets) - eps
    need -= _ROUNDING * (np.abs(targets) + eps)
    least = (sums < need[:, None]).sum(1) + (need > 0)
    return np.where(need > 0, least, 0), signed > 0


def sparsest(pools: Floats, targets: Floats, eps: Floats, max_size: int) -> Bools:
    n = pools.shape[1]
    chosen = np.zeros((len(targets), n), dtype=np.bool_)
    if not len(targets):
        return chosen
    least, right = reach(pools, targets, eps)
    chosen[least > n] = right[least > n]
    errors = np.abs(targets)
    rows = np.flatnonzero((least <= n) & (errors > eps))
    most = searched_size(n, max_size)
    for size in range(1, most + 1):
        tried = rows[least[rows] <= size]
        if len(tried):
            members, off_by = _of_size(pick(pools, tried), targets[tried], size)
            better = off_by < errors[tried]
            tried, members = tried[better], members[better]
            errors[tried] = off_by[better]
            chosen[tried] = False
            chosen[tried[:, None], members] = True
            rows = rows[errors[rows] > eps[rows]]
    for row in rows:
        pool = pools[0 if len(pools) == 1 else row]
        members = larger(pool, targets[row], eps[row], most, int(least[row]), fixed_size, min_error)
        if abs(pool[members].sum() - targets[row]) < errors[row]:
            chosen[row] = False
            chosen[row, members] = True
    return chosen


def min_error(pools: Floats, targets: Floats) -> Bools:
    n = pools.shape[1]
    if n <= _WHOLE_TABLE:
        return _best_of_all(pools, targets)
    chosen = np.zeros((len(targets), n), dtype=np.bool_)
    half = n // 2
    for row, target in enumerate(targets):
        if row == 0 or len(pools) > 1:
            pool = pools[row]
            left, right = all_sums(pool[:half]), all_sums(pool[half:])
            left_sorted, right_sorted = np.sort(left), np.sort(right)
        _, first, second = _nearest(left_sorted, right_sorted, target)
        code = int(np.argmax(left == left_sorted[first]))
        code |= int(np.argmax(right == right_sorted[second])) << half
        chosen[row] = (code >> np.arange(n)) & 1
    return chosen


def fixed_size(pools: Floats, targets: Floats, size: int) -> Bools:
    chosen = np.zeros((len(targets), pools.shape[1]), dtype=np.bool_)
    if size and len(targets):
        members, _ = _of_size(pools, targets, size)
        chosen[np.arange(len(targets))[:, None], members] = True
    return chosen


def low_noise(pools: Floats, targets: Floats, eps: Floats, max_size: int) -> Bools:
    n = pools.shape[1]
    chosen = np.zeros((len(targets), n), dtype=np.bool_)
    missed = np.zeros(len(targets), dtype=np.bool_)
    most = noise_size(n, max_size)
    for row, target in enumerate(targets):
        pool = pools[0 if len(pools) == 1 else row]
        least, members = np.inf, None
        for size in range(most + 1):
            subsets = subsets_of(n, size)
            fine = np.flatnonzero(np.abs(subset_sums(pool, subsets) - target) <= eps[row])
            if len(fine):
                noise = np.square(pool)[subsets[fine]].sum(1)
                if noise.min() < least:
                    least, members = noise.min(), subsets[fine[noise.argmin()]]
        missed[row] = members is None
        if members is not None:
            chosen[row, members] = True
    if missed.any():
        chosen[missed] = sparsest(pick(pools, missed), targets[missed], eps[missed], max_size)
    return chosen


def all_sums(values: Floats) -> Floats:
    """The sums of all 2^n subsets; bit i of a sum's place says whether value i is in it."""
    sums = np.zeros(1 << len(values))
    for place, value in enumerate(values):
        np.add(sums[: 1 << place], value, out=sums[1 << place : 2 << place])
    return sums


def pick(pools: Floats, rows: NDArray[np.intp] | Bools) -> Floats:
    return pools if len(pools) == 1 else pools[rows]


def _of_size(pools: Floats, targets: Floats, size: int) -> tuple[Indices, Floats]:
    """Members (m, size) and errors (m,) of the best subsets of one size, 1 or more."""
    n, m = pools.shape[1], len(targets)
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
        members[part] = subsets[best]
        errors[part] = off[np.arange(len(off)), best]
    return members, errors


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
    error, asked, key = _nearest(sums[1 - few], sums[few][order], target)
    places = (asked, order[key]) if few else (order[key], asked)
    return error, subsets[0][places[0]].astype(np.intp), subsets[1][places[1]].astype(np.intp)


def _nearest(asked: Floats, keys: Floats, target: float) -> tuple[float, int, int]:
    """The smallest |asked + key - target| over all pairs, and its two places; keys ascend."""
    need = target - asked
    above = np.searchsorted(keys, need)
    below = np.maximum(above - 1, 0)
    np.minimum(above, len(keys) - 1, out=above)
    low, high = np.abs(need - keys[below]), np.abs(need - keys[above])
    place = int(np.minimum(low, high).argmin())
    key = below[place] if low[place] <= high[place] else above[place]
    return float(min(low[place], high[place])), place, int(key)


def larger(
    pool: Floats,
    target: float,
    eps: float,
    searched: int,
    least: int,
    of_size: Callable[[Floats, Floats, int], Bools],
    of_all: Callable[[Floats, Floats], Bools],
) -> Indices:
    """A subset for a target that none of up to ``searched`` terms reaches, by the engine's solvers.

    Above ``WHOLE`` values: the largest values of the target's sign are fixed, ``searched`` terms make up the rest. ``least``
    is the fewest terms that may reach the target.
    """
    n = len(pool)
    if n <= WHOLE:
        return _fewest_of_all(pool, target, eps)
    order = np.argsort(-np.sign(target) * pool, kind="stable")
    error, members = np.inf, np.empty(0, dtype=np.intp)
    for size in range(max(searched + 1, least), min(max(searched, least) + LARGEST_SIZE, n) + 1):
        prefix, rest = order[: size - searched], order[size - searched :]
        remainder = np.array([target - pool[prefix].sum()])
        candidate = np.concatenate([prefix, rest[of_size(pool[None, rest], remainder, searched)[0]]])
        off_by = abs(pool[candidate].sum() - target)
        if off_by < error:
            error, members = off_by, candidate
        if error <= eps:
            return members
    return np.flatnonzero(of_all(pool[None], np.array([target]))[0]) if n <= MEETING else members


def _fewest_of_all(pool: Floats, target: float, eps: float) -> Indices:
    """The fewest terms within eps among all 2^n subsets, or the smallest error."""
    off = np.abs(all_sums(pool) - target)
    fine = np.flatnonzero(off <= eps)
    if len(fine):
        sizes = _bit_counts(len(pool))[fine]
        fine = fine[sizes == sizes.min()]
    code = int(fine[off[fine].argmin()]) if len(fine) else int(off.argmin())
    return np.flatnonzero((code >> np.arange(len(pool))) & 1)


def _best_of_all(pools: Floats, targets: Floats) -> Bools:
    """The smallest error of all 2^n subsets by a table of them."""
    n = pools.shape[1]
    table = ((np.arange(1 << n)[None, :] >> np.arange(n)[:, None]) & 1).astype(np.float64)
    rows = max(1, _CELLS >> n)
    best = np.empty(len(targets), dtype=np.intp)
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        off = (pools if len(pools) == 1 else pools[part]) @ table - targets[part, None]
        best[part] = np.abs(off, out=off).argmin(1)
    return ((best[:, None] >> np.arange(n)) & 1).astype(np.bool_)


def subset_sums(pool: Floats, subsets: NDArray[np.int32]) -> Floats:
    """The sums (p,) of subsets (p, size); the empty subset's is 0."""
    sums = np.zeros(len(subsets))
    for member in range(subsets.shape[1]):
        sums += pool[subsets[:, member]]
    return sums


def subsets_of(n: int, size: int) -> NDArray[np.int32]:
    """All subsets (p, size) of 0..n-1 of one size, as indices; few of the large tables are kept in memory."""
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


@lru_cache(maxsize=2)
def _bit_counts(n: int) -> NDArray[np.int8]:
    return all_sums(np.ones(n)).astype(np.int8)
