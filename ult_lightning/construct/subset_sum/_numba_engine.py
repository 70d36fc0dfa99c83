"""The numba engine of the subset sums: sizes by enumeration down to two pointers, else sorted sums of both halves.

Imported only where numba is installed; shapes and meaning as in the NumPy engine. A subset within a half is a code: one
bit per member in halves of up to 62 values, else 15 bits per member (then at most 4 members are asked for).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba  # type: ignore[import-not-found,import-untyped,unused-ignore]
import numpy as np

from ult_lightning.construct._arrays import Bools, Floats, Ints

Table = tuple[Floats, Floats, Ints, Ints]
F = TypeVar("F", bound=Callable[..., Any])

_ROUNDING = 1e-12
_BITS = 62
_PACKED = 15


def min_error(pools: Floats, targets: Floats) -> Bools:
    chosen = _none(pools, targets)
    _meet(pools, targets, np.zeros(len(targets)), False, chosen)
    return chosen


def fewest(pools: Floats, targets: Floats, eps: Floats) -> Bools:
    chosen = _none(pools, targets)
    _meet(pools, targets, eps, True, chosen)
    return chosen


def quietest(pools: Floats, targets: Floats, eps: Floats, size: int) -> Bools:
    chosen = _none(pools, targets)
    _quietest(pools, targets, eps, size, chosen)
    return chosen


def _none(pools: Floats, targets: Floats) -> Bools:
    return np.zeros((len(targets), pools.shape[1]), dtype=np.bool_)


def compiled(function: F) -> F:
    """The function, compiled at its first call; the result is kept on disk."""
    return cast(F, numba.njit(cache=True)(function))


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
def by_size(pools: Floats, targets: Floats, eps: Floats, first: Ints, last: int, chosen: Bools, errors: Floats) -> None:
    members = np.empty(last, np.int64)
    order = np.argsort(pools[0])
    values = pools[0][order]
    for row in range(targets.shape[0]):
        if first[row] > last or errors[row] <= eps[row]:
            continue
        if row and pools.shape[0] > 1:
            order = np.argsort(pools[row])
            values = pools[row][order]
        best, reached = errors[row], 0
        for size in range(first[row], last + 1):
            closer = _closest(values, targets[row], size, best, members)
            if closer < best:
                best, reached = closer, size
            if best <= eps[row]:
                break
        if reached:
            errors[row] = best
            chosen[row, :] = False
        # a later size overwrites members only when it is closer
        for taken in range(reached):
            chosen[row, order[members[taken]]] = True


@compiled
def _grow(values: Floats, most: int) -> Table:
    """All sums of up to ``most`` values: sums, their terms' squares summed, codes, and where each size starts.

    Sums of one size ascend; each size is headed by a sentinel of minus infinity. One value more merges the sums of size a
    with those of size a - 1 shifted by it, in place, from the back.
    """
    h = values.shape[0]
    most = min(most, h)
    starts = np.empty(most + 2, np.int64)
    total, count = 0, 1
    for size in range(most + 1):
        starts[size] = total
        total += count + 1
        count = count * (h - size) // (size + 1)
    starts[most + 1] = total
    sums, noise, codes = np.empty(total), np.empty(total), np.zeros(total, np.int64)
    counts = np.zeros(most + 1, np.int64)
    for size in range(most + 1):
        sums[starts[size]] = -np.inf
    sums[1], noise[1], codes[1], counts[0] = 0.0, 0.0, 0, 1
    for place in range(h):
        value, square = values[place], values[place] * values[place]
        for size in range(min(place + 1, most), 0, -1):
            i, j = starts[size] + counts[size], starts[size - 1] + counts[size - 1]
            counts[size] += counts[size - 1]
            for out in range(starts[size] + counts[size], starts[size], -1):
                if sums[i] >= sums[j] + value:
                    sums[out], noise[out], codes[out] = sums[i], noise[i], codes[i]
                    i -= 1
                else:
                    sums[out], noise[out] = sums[j] + value, noise[j] + square
                    if h <= _BITS:
                        codes[out] = codes[j] | (1 << place)
                    else:
                        codes[out] = (codes[j] << _PACKED) | place
                    j -= 1
    return sums, noise, codes, starts


@compiled
def _double(values: Floats) -> Table:
    """All 2^h sums as one ascending group, without squares: each value merges the sums with the sums plus it."""
    total = 1 << values.shape[0]
    sums, codes = np.empty(total + 1), np.empty(total + 1, np.int64)
    sums[0], sums[1], codes[1] = -np.inf, 0.0, 0
    count = 1
    for place in range(values.shape[0]):
        i = j = count
        for out in range(2 * count, 0, -1):
            plain, shifted = sums[i], sums[j] + values[place]
            keep = plain >= shifted
            sums[out] = plain if keep else shifted
            codes[out] = codes[i] if keep else codes[j] | (1 << place)
            i -= keep
            j -= 1 - keep
        count *= 2
    return sums, sums, codes, np.array([0, total + 1])


@compiled
def _mark(code: int, size: int, h: int, shift: int, row: Bools) -> None:
    """Sets the members of a code, in a half of h values that starts at ``shift``."""
    if h <= _BITS:
        for place in range(h):
            if (code >> place) & 1:
                row[shift + place] = True
    else:
        for left in range(size, 0, -1):
            member = code if left == 1 else code & ((1 << _PACKED) - 1)
            row[shift + member] = True
            code >>= _PACKED


@compiled
def _meet(pools: Floats, targets: Floats, eps: Floats, by_size: bool, chosen: Bools) -> None:
    """The smallest error of all 2^n subsets by two pointers; ``by_size`` fewest terms first, and no more once within
    eps.
    """
    n = pools.shape[1]
    half = n // 2
    for row in range(targets.shape[0]):
        if row == 0 or pools.shape[0] > 1:
            if by_size:
                left, right = _grow(pools[row, :half], half), _grow(pools[row, half:], n - half)
            else:
                left, right = _double(pools[row, :half]), _double(pools[row, half:])
        last_left, last_right = left[3].shape[0] - 2, right[3].shape[0] - 2
        best, size_left, size_right, place_left, place_right = np.inf, 0, 0, 1, 1
        for size in range(last_left + last_right + 1):
            for a in range(max(0, size - last_right), min(size, last_left) + 1):
                b = size - a
                i, end, j, head = left[3][a] + 1, left[3][a + 1], right[3][b + 1] - 1, right[3][b]
                while i < end and j > head:
                    off = left[0][i] + right[0][j] - targets[row]
                    if abs(off) < best:
                        best, size_left, size_right, place_left, place_right = abs(off), a, b, i, j
                    up = off > 0
                    j -= up
                    i += 1 - up
            if best <= eps[row]:
                break
        _mark(left[2][place_left], size_left, half, 0, chosen[row])
        _mark(right[2][place_right], size_right, n - half, half, chosen[row])


@compiled
def _quietest(pools: Floats, targets: Floats, eps: Floats, most: int, chosen: Bools) -> None:
    n = pools.shape[1]
    half = n // 2
    left, right = _grow(pools[0, :half], most), _grow(pools[0, half:], most)
    for row in range(targets.shape[0]):
        if row and pools.shape[0] > 1:
            left, right = _grow(pools[row, :half], most), _grow(pools[row, half:], most)
        target, best, size_left, size_right, place_left, place_right = targets[row], np.inf, 0, 0, 0, 0
        for a in range(min(most, half) + 1):
            for b in range(min(most - a, n - half) + 1):
                j, head = right[3][b + 1] - 1, right[3][b]
                for i in range(left[3][a] + 1, left[3][a + 1]):
                    while j > head and left[0][i] + right[0][j] - target > eps[row]:
                        j -= 1
                    q = j
                    while q > head and target - (left[0][i] + right[0][q]) <= eps[row]:
                        if left[1][i] + right[1][q] < best:
                            best = left[1][i] + right[1][q]
                            size_left, size_right, place_left, place_right = a, b, i, q
                        q -= 1
        if best < np.inf:
            _mark(left[2][place_left], size_left, half, 0, chosen[row])
            _mark(right[2][place_right], size_right, n - half, half, chosen[row])
