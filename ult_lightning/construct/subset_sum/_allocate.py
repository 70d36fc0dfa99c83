"""One pool for many targets: every element serves at most one of them, and elements that are kept anyway are cheaper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from ult_lightning.base import fault
from ult_lightning.construct._arrays import Bools, Floats, Indices
from ult_lightning.construct.subset_sum._numpy_engine import mixed
from ult_lightning.construct.subset_sum._solvers import (
    Engine,
    as_floats,
    as_tolerance,
    check_size,
    fits,
    fixed_size,
    kernels_of,
    sparsest_within,
)

_MIXED_SUMS = 300_000


@dataclass(frozen=True)
class Allocation:
    """Disjoint subsets of a pool: ``chosen``, for each target the indices of its elements, ascending; ``errors`` (m,),
    the distances |sum - target|; and ``cost``, the sum over all chosen elements.
    """

    chosen: list[Indices]
    errors: Floats
    cost: float


def allocate(
    values: ArrayLike,
    targets: ArrayLike,
    eps: ArrayLike,
    *,
    kept: ArrayLike | None = None,
    cost_new: float = 2,
    cost_kept: float = 1,
    max_size: int = 4,
    rounds: int = 2,
    engine: Engine = "auto",
) -> Allocation:
    """Disjoint subsets of ``values`` (n,) whose sums come within eps of ``targets`` (m,), at a small total cost.

    The question of Pensia et al. (2020) where one pool serves several weights.

    Args:
        values: the pool.
        targets: served in order of size, the largest first.
        eps: the tolerance, > 0, a scalar or (m,).
        kept: (n,) bool, the elements that cost ``cost_kept`` instead of ``cost_new`` (default: none).
        cost_new: above 0, and at least ``cost_kept``.
        cost_kept: 0 or more.
        max_size: 1..6, the sizes in which the cheapest subset is looked for; larger ones only where those miss.
        rounds: 1 or more; in each round after the first, missed targets first, every target that would be served better by
            the whole pool takes what it wants, those it takes from are served again, and the change stays if fewer targets
            are missed, or as many at a smaller cost.
        engine: as in ``sparsest``.

    Each target's subset is the cheapest within eps of what is free, and among equals the one with the smallest error
    (subsets of kept and new elements together are looked for where each part has at most 300,000 choices);
    the allocation as a whole is greedy. A target that is not reached gets the best that was found. Raises ``UltError`` for
    values that are not finite, shapes that do not fit and arguments out of range.
    """
    pool, wanted = as_floats("values", values), as_floats("targets", targets)
    if pool.ndim != 1 or wanted.ndim != 1:
        raise fault("values", pool.shape, "one pool (n,)", f"with targets (m,); theirs is {wanted.shape}")
    tolerance = as_tolerance(eps, len(wanted))
    check_size("max_size", max_size, least=1)
    if rounds < 1:
        raise fault("rounds", rounds, "1 or more")
    if not (cost_new > 0 and 0 <= cost_kept <= cost_new):
        raise fault("cost_kept", cost_kept, f"a number from 0 to cost_new, {cost_new}")
    cheap = np.zeros(len(pool), dtype=np.bool_) if kept is None else np.asarray(kept)
    if cheap.dtype != np.bool_ or cheap.shape != pool.shape:
        raise fault("kept", f"{cheap.dtype} {cheap.shape}", f"bool of the shape {pool.shape} of the values")
    state = _State(pool, cheap, wanted, tolerance, (float(cost_new), float(cost_kept)), max_size, engine)
    for place in np.argsort(-np.abs(wanted), kind="stable"):
        state.give(place, state.cheapest(place, np.flatnonzero(state.owner < 0)))
    for _ in range(rounds - 1):
        hardest = np.lexsort((-np.abs(wanted), state.errors() <= tolerance))
        if not sum([state.reconsider(place) for place in hardest]):
            break
    return Allocation(state.chosen, state.errors(), state.cost(state.chosen))


class _State:
    """Which target (m,) has which elements: ``owner`` (n,), -1 where an element is free, and the members ``chosen``."""

    def __init__(
        self,
        values: Floats,
        kept: Bools,
        targets: Floats,
        eps: Floats,
        costs: tuple[float, float],
        max_size: int,
        engine: Engine,
    ) -> None:
        self.values, self.kept, self.targets, self.eps = values, kept, targets, eps
        self.costs, self.max_size = np.where(kept, costs[1], costs[0]), max_size
        self.engine, self.kernels = engine, kernels_of(engine)
        self.owner = np.full(len(values), -1)
        self.chosen = [np.empty(0, dtype=np.intp)] * len(targets)
        sizes = [(old, new) for old in range(max_size + 1) for new in range(max_size + 1 - old) if old + new]
        self.classes: dict[float, list[tuple[int, int]]] = {}
        for old, new in sorted(sizes, key=lambda pair: (pair[0] * costs[1] + pair[1] * costs[0], sum(pair))):
            self.classes.setdefault(old * costs[1] + new * costs[0], []).append((old, new))

    def give(self, place: int, members: Indices) -> None:
        self.owner[self.chosen[place]] = -1
        self.owner[members] = place
        self.chosen[place] = members

    def cost(self, chosen: Iterable[Indices]) -> float:
        return sum(float(self.costs[members].sum()) for members in chosen)

    def errors(self) -> Floats:
        sums = np.array([self.values[members].sum() for members in self.chosen], dtype=np.float64)
        return np.abs(sums - self.targets)

    def reconsider(self, place: int) -> bool:
        """Gives a target what it would take of the whole pool and serves the robbed again, if that is better."""
        wanted = self.cheapest(place, np.arange(len(self.values)))
        if self.rank({place: wanted}) >= self.rank({place: self.chosen[place]}):
            return False
        robbed = [int(owner) for owner in np.unique(self.owner[wanted]) if owner not in (-1, place)]
        robbed.sort(key=lambda other: -abs(self.targets[other]))
        before = {other: self.chosen[other] for other in (place, *robbed)}
        for other in before:
            self.give(other, wanted[:0])
        self.give(place, wanted)
        for other in robbed:
            self.give(other, self.cheapest(other, np.flatnonzero(self.owner < 0)))
        if self.rank({other: self.chosen[other] for other in before}) < self.rank(before):
            return True
        for other in before:
            self.give(other, wanted[:0])
        for other, members in before.items():
            self.give(other, members)
        return False

    def rank(self, chosen: dict[int, Indices]) -> tuple[int, float, float]:
        """Targets missed, cost, and how far the missed ones are off: less is better."""
        off = {place: abs(self.values[members].sum() - self.targets[place]) for place, members in chosen.items()}
        missed = [error for place, error in off.items() if error > self.eps[place]]
        return len(missed), 0.0 if missed else self.cost(chosen.values()), float(sum(missed))

    def cheapest(self, place: int, free: Indices) -> Indices:
        """The members of the cheapest subset within eps of what is free, or of the best found; ascending."""
        target, eps = self.targets[place], self.eps[place]
        if abs(target) <= eps or not len(free):
            return free[:0]
        cheap = self.kept[free]
        if cheap.any() and not cheap.all():
            for sizes in self.classes.values():
                tried = [self._of_sizes(free[cheap], free[~cheap], old, new, target) for old, new in sizes]
                error, members = min(tried, key=lambda pair: pair[0])
                if error <= eps:
                    members.sort()
                    return members
        pool = self.values[free][None]
        (best,) = sparsest_within(self.kernels, pool, np.array([target]), np.array([eps]), self.max_size)
        return np.asarray(free[best])

    def _of_sizes(self, old: Indices, new: Indices, few: int, others: int, target: float) -> tuple[float, Indices]:
        """The best subset with so many kept and so many new members; an infinite error where there are too many."""
        none = (np.inf, old[:0])
        if few > len(old) or others > len(new):
            return none
        if not few or not others:
            one, size = (new, others) if others else (old, few)
            if not fits(len(one), size):
                return none
            best = fixed_size(self.values[one], [target], size, engine=self.engine)
            return float(best.errors[0]), one[best.chosen[0]]
        if max(comb(len(old), few), comb(len(new), others)) > _MIXED_SUMS:
            return none
        error, first, second = mixed(self.values[old], self.values[new], few, others, target)
        return error, np.concatenate([old[first], new[second]])
