"""The study of subset sums: their error against the size of the block, simulated and by the laws."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import numpy as np

from ult_lightning.construct import SECOND_MOMENT, Distribution, failure_rate, median_error, min_error
from ult_lightning.results import StudyAxes
from ult_lightning.studies._study_runner import STUDIES, Options, Point, Result, Study

_TAIL = 0.01  # the share of targets beyond the 99 % quantile
_LAW_TARGETS = 2_001
_LARGEST_EPS = 1e-2  # the law of failures holds up to it
_POOLS: dict[Distribution, str] = {"uniform": "U(−1, 1)", "product": "products U(0, 1) · U(−1, 1)"}


def _points(options: Options) -> Iterator[Point]:
    """Simulated errors per pool, block and seed, then the laws on the same blocks."""
    for pool in options["pools"]:
        for n, seed in product(options["blocks"], options["seeds"]):
            science = {"pool": pool, "block": n, "targets": options["targets"]}
            measure = partial(_simulated, pool, n, options["targets"], seed)
            yield Point(_POOLS[pool], seed, science, ("median_error", "error_99"), measure)
        for n in options["blocks"]:
            for metric, law in (("median_error", _median_law), ("error_99", _tail_law)):
                if (value := law(pool, n)) is not None:
                    science, given = {"pool": pool, "block": n}, partial(Result, {metric: value}, n, 1)
                    yield Point(_POOLS[pool], 0, science, (metric,), given, kind="law")


def _simulated(pool: Distribution, n: int, targets: int, seed: int) -> Result:
    """Quantiles of the smallest error over all 2^n subsets, a fresh pool per target."""
    start = time.perf_counter()
    rng = np.random.default_rng([seed, n, list(_POOLS).index(pool)])
    values = rng.uniform(-1, 1, (targets, n))
    if pool == "product":
        values *= rng.uniform(0, 1, (targets, n))
    errors = min_error(values, rng.uniform(-1, 1, targets)).errors
    quantiles = {"median_error": float(np.median(errors)), "error_99": float(np.quantile(errors, 1 - _TAIL))}
    extra = {"above_0.01": float((errors > 1e-2).mean()), "seconds": time.perf_counter() - start}
    return Result(quantiles, n, targets, extra=extra)


def _median_law(pool: Distribution, n: int) -> float:
    """The median over targets U(-1, 1) of errors that are exponential with the median ``median_error`` at each target."""
    targets = np.linspace(-1.0, 1.0, _LAW_TARGETS)
    medians = np.array([median_error(n, float(t), second_moment=SECOND_MOMENT[pool]) for t in targets])
    return _crossing(lambda error: float((0.5 ** (error / medians)).mean()), 0.5)


def _tail_law(pool: Distribution, n: int) -> float | None:
    """The eps that one target in a hundred misses, None where it is larger than the law of failures holds for."""
    eps = _crossing(lambda eps: failure_rate(n, eps, distribution=pool), _TAIL)
    return eps if eps <= _LARGEST_EPS else None


def _crossing(falls: Callable[[float], float], level: float) -> float:
    """Where a function that falls on [1e-16, 10] passes ``level``, to 1 in 1,000."""
    low, high = math.log(1e-16), math.log(10.0)
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if falls(math.exp(middle)) > level else (low, middle)
    return math.exp(0.5 * (low + high))


STUDIES.add(
    "block_size",
    Study(
        name="block_size",
        claim="The error of a random subset sum halves with each further element, as the closed form says; the worst target in "
        "a hundred follows some six elements later, for products of two weights up to ten.",
        title="Error of exact subset sums against block size",
        axes=StudyAxes(
            x="block size n",
            panels={"median_error": "smallest error, median", "error_99": "smallest error, 99 % quantile"},
            share_y=True,
            law="closed form (99 %: fitted tail)",
        ),
        options={
            "blocks": [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24],
            "pools": ["uniform", "product"],
            "targets": 2_000,
            "seeds": [0, 1, 2],
        },
        fast={"blocks": [4, 8, 12], "targets": 200, "seeds": [0]},
        choices={"pools": tuple(_POOLS)},
        points=_points,
    ),
)
