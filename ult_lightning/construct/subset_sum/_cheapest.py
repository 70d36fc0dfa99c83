"""One target as a sum of pool elements, where elements that are kept anyway are cheaper than new ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct.subset_sum._numpy_engine import nearest, subset_sums, subsets_of
from ult_lightning.construct.subset_sum._solvers import sparsest

_MOST_KEPT, _MOST_NEW = 3, 2
_LARGEST = {2: 700, 3: 60}  # elements from which sums of two, of three are listed: at most 250,000


@dataclass(frozen=True)
class Choice:
    """Indices into the kept and the new elements, what they cost, and how far their sum is from the target."""

    kept: Ints
    new: Ints
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
    of_kept, of_new = (cache(partial(_sorted_sums, values)) for values in (kept, new))
    for cost in range(max_cost + 1):
        if best.error <= tolerance:
            break
        for news in range(_MOST_NEW + 1):
            olds = cost - new_cost * news
            if not 0 <= olds <= _MOST_KEPT:
                continue
            sides = of_kept(olds), of_new(news)
            if not len(sides[0][0]) or not len(sides[1][0]):
                continue
            few = int(len(sides[0][0]) > len(sides[1][0]))  # the shorter side asks
            error, *places = nearest(sides[few][0], sides[1 - few][0], target)
            if error < best.error:
                best = Choice(sides[0][1][places[few]], sides[1][1][places[1 - few]], cost, error)
    return best


def serve(values: Floats, kept: Ints, new: Ints, every: Ints, target: float, tolerance: float) -> tuple[Ints, float]:
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


def _sorted_sums(values: Floats, size: int) -> tuple[Floats, Ints]:
    """Ascending sums of ``size`` values with their members; none where there are too few values, or too many."""
    if size > len(values) or len(values) > _LARGEST.get(size, len(values)):
        return values[:0], np.empty((0, size), dtype=np.int64)
    subsets = subsets_of(len(values), size)
    sums = subset_sums(values, subsets)
    order = np.argsort(sums)
    return sums[order], subsets[order].astype(np.int64)
