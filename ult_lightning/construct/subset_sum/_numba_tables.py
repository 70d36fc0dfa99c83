"""Compiled sums of each half of a pool, sorted by merging, and the two pointers that meet in them.

Imported only where numba is installed. A subset within a half is a code: one bit per member in halves of up to 62
values, else 15 bits per member (then at most 4 members are asked for).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba  # type: ignore[import-not-found,import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Table = tuple[Floats, Floats, Ints, Ints]
F = TypeVar("F", bound=Callable[..., Any])

_BITS = 62
_PACKED = 15


def compiled(function: F) -> F:
    """The function, compiled at its first call; the result is kept on disk."""
    return cast(F, numba.njit(cache=True)(function))


@compiled
def grow(values: Floats, most: int) -> Table:
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
def mark(code: int, size: int, h: int, shift: int, row: Bools) -> None:
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
def search(pools: Floats, targets: Floats, eps: Floats, least: Ints, first: int, chosen: Bools, errors: Floats) -> None:
    """All subsets of ``first`` and more terms, fewest first, up to eps; improves chosen (m, n) and errors (m,)."""
    n = pools.shape[1]
    half = n // 2
    left, right = grow(pools[0, :half], half), grow(pools[0, half:], n - half)
    for row in range(targets.shape[0]):
        if row and pools.shape[0] > 1:
            left, right = grow(pools[row, :half], half), grow(pools[row, half:], n - half)
        best, size_left, size_right, place_left, place_right = errors[row], -1, -1, 0, 0
        for size in range(max(first, least[row]), n + 1):
            for a in range(max(0, size - (n - half)), min(size, half) + 1):
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
        if size_left >= 0:
            errors[row] = best
            chosen[row, :] = False
            mark(left[2][place_left], size_left, half, 0, chosen[row])
            mark(right[2][place_right], size_right, n - half, half, chosen[row])


@compiled
def quietest(pools: Floats, targets: Floats, eps: Floats, most: int, chosen: Bools, missed: Bools) -> None:
    """Among the subsets of up to ``most`` terms within eps, the smallest sum of squares; ``missed`` where none is."""
    n = pools.shape[1]
    half = n // 2
    left, right = grow(pools[0, :half], most), grow(pools[0, half:], most)
    for row in range(targets.shape[0]):
        if row and pools.shape[0] > 1:
            left, right = grow(pools[row, :half], most), grow(pools[row, half:], most)
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
        missed[row] = best == np.inf
        if best < np.inf:
            mark(left[2][place_left], size_left, half, 0, chosen[row])
            mark(right[2][place_right], size_right, n - half, half, chosen[row])


@compiled
def _double(values: Floats, sums: Floats, codes: Ints) -> None:
    """All 2^h sums, ascending, after a sentinel of minus infinity: each value merges the sums with the sums plus it."""
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


@compiled
def meet(pools: Floats, targets: Floats, chosen: Bools) -> None:
    """The smallest error of all 2^n subsets: sorted sums of both halves, two pointers."""
    n = pools.shape[1]
    half = n // 2
    count_left, count_right = 1 << half, 1 << (n - half)
    left, codes_left = np.empty(count_left + 1), np.empty(count_left + 1, np.int64)
    right, codes_right = np.empty(count_right + 1), np.empty(count_right + 1, np.int64)
    for row in range(targets.shape[0]):
        if row == 0 or pools.shape[0] > 1:
            _double(pools[row, :half], left, codes_left)
            _double(pools[row, half:], right, codes_right)
        best, place_left, place_right, i, j = np.inf, 1, 1, 1, count_right
        while i <= count_left and j > 0:
            off = left[i] + right[j] - targets[row]
            if abs(off) < best:
                best, place_left, place_right = abs(off), i, j
            up = off > 0
            j -= up
            i += 1 - up
        mark(codes_left[place_left], half, half, 0, chosen[row])
        mark(codes_right[place_right], n - half, n - half, half, chosen[row])
