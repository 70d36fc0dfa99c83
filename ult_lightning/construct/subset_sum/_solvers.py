"""Subset sums, batched over targets: which of n given numbers add up to t?

Legend of shapes: m targets, n candidates per target. Two engines give the same sizes and errors: NumPy, and numba
(``pip install 'ult_lightning[fast]'``), some ten times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import comb
from typing import Literal, Protocol, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from ult_lightning.base import fault, unknown
from ult_lightning.construct._arrays import Bools, Floats, Indices, Ints

Engine = Literal["auto", "numpy", "numba"]

LARGEST_SIZE = 6
MOST_VALUES = 40
"""The largest pool of ``min_error``: 2^20 sums on each of two sides."""

_WHOLE = 22
"""Up to so many values, all 2^n subsets are looked at for a target that small subsets miss."""

_HALF_SUMS = 3_000_000
_NOISE_SUBSETS = 1 << 20
_CELLS = 1 << 21
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Subsets:
    """One subset per target: ``chosen`` (m, n) bool, and ``errors`` (m,), the distances |sum of the chosen - target|."""

    chosen: Bools
    errors: Floats

    @property
    def sizes(self) -> Ints:
        """The number of terms (m,)."""
        sizes: Ints = self.chosen.sum(1, dtype=np.int64)
        return sizes

    def within(self, eps: ArrayLike) -> Bools:
        """Which errors are at most eps, (m,); eps is a scalar or (m,)."""
        return self.errors <= np.asarray(eps, dtype=np.float64)


class Kernels(Protocol):
    """What an engine provides: pools (m, n), or (1, n) for a shared one, targets (m,), eps (m,); returns chosen (m, n).

    ``by_size`` improves in place; ``fewest`` takes pools of up to 22 values, ``quietest`` chooses nothing where it
    finds nothing.
    """

    def by_size(
        self,
        pools: Floats,
        targets: Floats,
        eps: Floats,
        first: Ints,
        last: int,
        chosen: Bools,
        errors: Floats,
    ) -> None: ...
    def min_error(self, pools: Floats, targets: Floats) -> Bools: ...
    def fewest(self, pools: Floats, targets: Floats, eps: Floats) -> Bools: ...
    def quietest(self, pools: Floats, targets: Floats, eps: Floats, size: int) -> Bools: ...


def sparsest(
    values: ArrayLike,
    targets: ArrayLike,
    eps: ArrayLike,
    *,
    max_size: int = 6,
    engine: Engine = "auto",
) -> Subsets:
    """The fewest terms whose sum is within eps of the target, and among those subsets the one with the smallest error.

    What a weight of a target costs in a random layer: that some subset comes close is Lueker's theorem (1998), on which
    Pensia et al. (2020) build their tickets.

    Args:
        values: (m, n), a pool per target, or (n,), one pool that serves every target and is not used up.
        targets: (m,).
        eps: the tolerance, > 0, a scalar or (m,).
        max_size: 1..6. Every subset of up to so many terms is looked at (fewer where n is above about 75: as many as
            leave at most 3 million sums to each half of the pool). Only for a target that none of them reaches, more
            terms are taken: exactly, over all 2^n subsets, for n <= 22; above, the largest values of the target's sign
            are fixed first, and, up to n = 40, ``min_error`` has the last word.
        engine: "numba", "numpy", or "auto" for the faster one that is installed.

    Where no subset within eps exists or is found, the one with the smallest error that was found: the smallest of all for
    n <= 40, and for a target beyond the sum of all values of its sign. Raises ``UltError`` for values that are not finite,
    shapes that do not fit and arguments out of range.
    """
    pools, wanted = _problems(values, targets)
    tolerance = as_tolerance(eps, len(wanted))
    check_size("max_size", max_size, least=1)
    kernels = kernels_of(engine)
    return _solved(pools, wanted, lambda pool, t, part: sparsest_within(kernels, pool, t, tolerance[part], max_size))


def min_error(values: ArrayLike, targets: ArrayLike, *, engine: Engine = "auto") -> Subsets:
    """The subset with the smallest error among all 2^n, n <= 40: exact, by meeting in the middle (Horowitz and Sahni 1974).

    Shapes and errors as in ``sparsest``; two halves of 2^(n/2) sums each, so n = 40 takes a good part of a second.
    """
    pools, wanted = _problems(values, targets)
    if pools.shape[1] > MOST_VALUES:
        raise fault("values", pools.shape[1], f"at most {MOST_VALUES} per target", "sparsest takes larger pools")
    kernels = kernels_of(engine)
    return _solved(pools, wanted, lambda pool, t, _: kernels.min_error(pool, t))


def fixed_size(values: ArrayLike, targets: ArrayLike, size: int, *, engine: Engine = "auto") -> Subsets:
    """The subset of exactly ``size`` terms, 0..6, with the smallest error: exact, by halves as in Horowitz and Sahni
    (1974).

    Shapes and errors as in ``sparsest``. Raises ``UltError`` too where ``size`` is above n, or where half the pool has
    more than 3 million subsets of that size (n above 186 for size 4, 106 for 5, 76 for 6).
    """
    pools, wanted = _problems(values, targets)
    check_size("size", size, least=0)
    if size > pools.shape[1]:
        raise fault("size", size, f"at most the {pools.shape[1]} values of a pool")
    if not fits(pools.shape[1], size):
        raise fault("values", pools.shape[1], f"fewer per target for size {size}", "or choose a smaller size")
    kernels = kernels_of(engine)
    return _solved(pools, wanted, lambda pool, t, _: _of_size(kernels, pool, t, size))


def low_noise(
    values: ArrayLike,
    targets: ArrayLike,
    eps: ArrayLike,
    *,
    max_size: int = 6,
    engine: Engine = "auto",
) -> Subsets:
    """Within eps of the target, the subset whose chosen values have the smallest sum of squares.

    For the copies of Burkholz (2022), whose errors the chosen terms amplify: small terms are worth more than few.
    Arguments as in ``sparsest``. Looks at every subset of up to ``max_size`` terms, or of as many as leave 2^20 subsets
    to look at (5 terms from n = 32 on, 3 at n = 100). A target that none of them reaches gets the answer of
    ``sparsest``.
    """
    pools, wanted = _problems(values, targets)
    tolerance = as_tolerance(eps, len(wanted))
    check_size("max_size", max_size, least=1)
    kernels = kernels_of(engine)

    def solve(pool: Floats, t: Floats, part: slice) -> Bools:
        chosen = kernels.quietest(pool, t, tolerance[part], noise_size)
        missed = ~chosen.any(1) & (np.abs(t) > tolerance[part])
        if missed.any():
            chosen[missed] = sparsest_within(kernels, _pick(pool, missed), t[missed], tolerance[part][missed], max_size)
        return chosen

    counts = np.cumsum([comb(pools.shape[1], size) for size in range(min(max_size, pools.shape[1]) + 1)])
    noise_size = max(1, int((counts <= _NOISE_SUBSETS).sum()) - 1)
    return _solved(pools, wanted, solve)


def fits(n: int, size: int) -> bool:
    """Whether all subsets of a size can be searched: at most 3 million of them in half the pool."""
    return comb(n - n // 2, min(size, n - n // 2)) <= _HALF_SUMS


@cache
def _largest_searched(n: int, max_size: int) -> int:
    return max(size for size in range(1, min(max_size, n) + 1) if size == 1 or fits(n, size))


def sparsest_within(kernels: Kernels, pools: Floats, targets: Floats, eps: Floats, max_size: int) -> Bools:
    """What ``sparsest`` chooses (m, n), for arguments that have been checked."""
    n = pools.shape[1]
    least, right = _reach(pools, targets, eps)
    chosen: Bools = right & (least > n)[:, None]
    errors = np.abs(targets)
    searched = _largest_searched(n, max_size)
    kernels.by_size(pools, targets, eps, np.maximum(least, 1), searched, chosen, errors)
    rows = np.flatnonzero((least <= n) & (errors > eps))
    if len(rows) and n <= _WHOLE:
        chosen[rows] = kernels.fewest(_pick(pools, rows), targets[rows], eps[rows])
        return chosen
    for row in rows:
        pool = pools[0 if len(pools) == 1 else row]
        members = _larger(kernels, pool, targets[row], eps[row], searched, int(least[row]))
        if abs(pool[members].sum() - targets[row]) < errors[row]:
            chosen[row] = False
            chosen[row, members] = True
    return chosen


def _of_size(kernels: Kernels, pools: Floats, targets: Floats, size: int) -> Bools:
    m = len(targets)
    chosen, errors = np.zeros((m, pools.shape[1]), dtype=np.bool_), np.full(m, np.inf)
    if size:
        kernels.by_size(pools, targets, np.full(m, -1.0), np.full(m, size), size, chosen, errors)
    return chosen


def _reach(pools: Floats, targets: Floats, eps: Floats) -> tuple[Ints, Bools]:
    """The fewest terms that may come within eps of each target (m,), n + 1 where none can, and who has its sign (m, n)."""
    negated = pools * -np.sign(targets)[:, None]
    right = negated < 0
    sums = np.minimum(negated, 0.0, out=negated)
    sums.sort(axis=1)
    np.cumsum(sums, axis=1, out=sums)
    need = np.abs(targets) - eps
    need -= _ROUNDING * (np.abs(targets) + eps)
    least = (sums > -need[:, None]).sum(1) + (need > 0)
    return np.where(need > 0, least, 0), right


def _larger(kernels: Kernels, pool: Floats, target: float, eps: float, searched: int, least: int) -> Indices:
    """A subset for a target that none of up to ``searched`` terms reaches; ``least`` is the fewest that may reach it.

    The largest values of the target's sign are fixed, ``searched`` terms make up the rest.
    """
    n = len(pool)
    order = np.argsort(-np.sign(target) * pool, kind="stable")
    error, members = np.inf, np.empty(0, dtype=np.intp)
    for size in range(max(searched + 1, least), min(max(searched, least) + LARGEST_SIZE, n) + 1):
        prefix, rest = order[: size - searched], order[size - searched :]
        remainder = np.array([target - pool[prefix].sum()])
        candidate = np.concatenate([prefix, rest[_of_size(kernels, pool[None, rest], remainder, searched)[0]]])
        off_by = abs(pool[candidate].sum() - target)
        if off_by < error:
            error, members = off_by, candidate
        if error <= eps:
            return members
    return np.flatnonzero(kernels.min_error(pool[None], np.array([target]))[0]) if n <= MOST_VALUES else members


def _pick(pools: Floats, rows: Indices | Bools) -> Floats:
    return pools if len(pools) == 1 else pools[rows]


def _problems(values: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
    """Pools (m, n), or (1, n) for a shared one, and targets (m,), both contiguous float64."""
    pools, wanted = as_floats("values", values), as_floats("targets", targets)
    if wanted.ndim != 1:
        raise fault("targets", wanted.shape, "one dimension (m,)")
    if pools.ndim not in (1, 2) or pools.shape[-1] == 0:
        raise fault("values", pools.shape, "the shape (n,) of one pool or (m, n) of a pool per target, n >= 1")
    if pools.ndim == 2 and len(pools) != len(wanted):
        raise fault("values", pools.shape, f"a pool for each of the {len(wanted)} targets")
    return np.ascontiguousarray(np.atleast_2d(pools)), np.ascontiguousarray(wanted)


def as_floats(argument: str, given: ArrayLike) -> Floats:
    """The array as float64; raises ``UltError`` unless all of it is finite numbers."""
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise fault(argument, given, "an array of real numbers") from None
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)]
        raise fault(argument, float(bad[0]), "finite numbers only")
    return array


def as_tolerance(eps: ArrayLike, m: int) -> Floats:
    tolerance = as_floats("eps", eps)
    if tolerance.shape not in ((), (m,)):
        raise fault("eps", tolerance.shape, f"a number or the shape ({m},) of the targets")
    if not (tolerance > 0).all():
        raise fault("eps", float(tolerance.min()), "a number above 0")
    return np.ascontiguousarray(np.broadcast_to(tolerance, (m,)))


def check_size(argument: str, size: int, *, least: int) -> None:
    whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
    if not whole or not least <= size <= LARGEST_SIZE:
        raise fault(argument, size, f"a whole number from {least} to {LARGEST_SIZE}")


@cache
def kernels_of(engine: str) -> Kernels:
    if engine not in get_args(Engine):
        raise unknown("engine", engine, get_args(Engine))
    installed = find_spec("numba") is not None
    if engine == "numba" and not installed:
        raise fault("engine", engine, "an engine that is installed", "pip install 'ult_lightning[fast]'")
    name = ("numba" if installed else "numpy") if engine == "auto" else engine
    return cast(Kernels, import_module(f"ult_lightning.construct.subset_sum._{name}_engine"))


def _solved(pools: Floats, targets: Floats, solve: Callable[[Floats, Floats, slice], Bools]) -> Subsets:
    """The solutions of all targets, a bounded number of them at a time.

    Errors are summed here, in one order whatever the engine.
    """
    m, n = len(targets), pools.shape[1]
    chosen, errors = np.zeros((m, n), dtype=np.bool_), np.empty(m)
    rows = max(1, _CELLS // n)
    for start in range(0, m, rows):
        part = slice(start, start + rows)
        some = pools if len(pools) == 1 else pools[part]
        chosen[part] = solve(some, targets[part], part)
        errors[part] = np.abs(np.where(chosen[part], some, 0.0).sum(1) - targets[part])
    return Subsets(chosen, errors)
