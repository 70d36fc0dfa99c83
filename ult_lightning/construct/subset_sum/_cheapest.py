"""One target as a sum of pool elements, where elements that are kept anyway are cheaper than new ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ult_lightning.construct.subset_sum._numpy_engine import nearest, subset_sums, subsets_of
from ult_lightning.construct.subset_sum._solvers import sparsest

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_MOST_KEPT, _MOST_NEW = 3, 2
_LARGEST = {2: 700, 3: 60}  # elements from which sums of two, of three are listed: at most 250,000


@dataclass(frozen=True)
class Choice:
    """Indices into the kept and the new elements, what they cost, and how far their sum is from the target."""

    kept: Indices
    new: Indices
    cost: int
    error: float


def cheapest(
    kept: Floats,
    new: Floats,
    target: float,
    tolerance: float,
    *,
    new_cost: int = 2,
    max_cost: int = 7,
) -> Choice:
    """The cheapest sum of at most three ``kept`` elements (cost 1 each) and two ``new`` ones within ``tolerance``.

    Among equally cheap sums the one with the smallest error; where none is within ``tolerance``, the one with the smallest
    error of all. Exhaustive, but that sums of three are left out for more than 60 kept elements.
    """
    none = np.empty(0, dtype=np.int64)
    best = Choice(none, none, 0, abs(target))
    if best.error <= tolerance:
        return best
    sums: dict[tuple[bool, int], tuple[Floats, Indices]] = {}

    def listed(is_new: bool, size: int) -> tuple[Floats, Indices] | None:
        values = new if is_new else kept
        if size > len(values) or len(values) > _LARGEST.get(size, len(values)):
            return None
        if (is_new, size) not in sums:
            sums[is_new, size] = _sorted_sums(values, size)
        return sums[is_new, size]

    pairs = [(k, n) for n in range(_MOST_NEW + 1) for k in range(_MOST_KEPT + 1)]
    for cost in range(1, max_cost + 1):
        for of_kept, of_new in pairs:
            if of_kept + new_cost * of_new != cost:
                continue
            first, second = listed(False, of_kept), listed(True, of_new)
            if first is None or second is None:
                continue
            few = int(len(first[0]) > len(second[0]))  # the shorter side asks
            error, *places = nearest((first, second)[few][0], (first, second)[1 - few][0], target)
            i, j = places[few], places[1 - few]
            if error < best.error:
                best = Choice(first[1][i], second[1][j], cost, error)
        if best.error <= tolerance:
            return best
    return best


def serve(
    values: Floats,
    kept: Indices,
    new: Indices,
    every: Indices,
    target: float,
    tolerance: float,
) -> tuple[Indices, float]:
    """The elements of ``values`` (n,) whose sum serves the target, and its error.

    The choice of `cheapest` among the elements ``kept`` and ``new``, or, where that misses ``tolerance``, of `sparsest` among
    ``every`` if it is closer.
    """
    best = cheapest(values[kept], values[new], target, tolerance)
    chosen, error = np.concatenate([kept[best.kept], new[best.new]]), best.error
    if error > tolerance and len(every):
        more = sparsest(values[None, every], np.array([target]), tolerance)
        if more.errors[0] < error:
            chosen, error = every[more.chosen[0]], float(more.errors[0])
    return chosen, error


def _sorted_sums(values: Floats, size: int) -> tuple[Floats, Indices]:
    subsets = subsets_of(len(values), size)
    sums = subset_sums(values, subsets)
    order = np.argsort(sums)
    return sums[order], subsets[order].astype(np.int64)
