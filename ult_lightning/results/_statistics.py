"""Means over seeds with their intervals, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ult_lightning.base import fault


@dataclass(frozen=True)
class Interval:
    """A mean over `n` values with its confidence interval, `low` = `mean` - `half` to `high` = `mean` + `half`.

    One value has no interval: then `low`, `high` and `half` are NaN, and the text says so.
    """

    mean: float
    low: float
    high: float
    n: int
    half: float

    def __str__(self) -> str:
        if math.isnan(self.half):
            return f"{self.mean:.4f} (n = 1, no interval)"
        return f"{self.mean:.4f} ± {self.half:.4f} (n = {self.n})"


def interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """The mean of independent values and its Student t interval, mean ± t * s / sqrt(n) with n - 1 degrees.

    Raises UltError for no values, a value that is not finite, and a confidence outside (0, 1).
    """
    sample = np.asarray(list(values), dtype=np.float64)  # (n,)
    if sample.ndim != 1 or sample.size == 0:
        raise fault("values", sample.tolist(), "at least one number")
    if not np.isfinite(sample).all():
        raise fault("values", sample.tolist(), "finite numbers")
    if not 0 < confidence < 1:
        raise fault("confidence", confidence, "a number between 0 and 1", "0.95 is the custom")
    mean, n = float(sample.mean()), int(sample.size)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, math.nan)
    from scipy.special import stdtrit

    student = float(stdtrit(n - 1, 0.5 + confidence / 2))  # the two-sided critical value
    half = student * float(sample.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, half)


def paired(a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95) -> Interval:
    """The mean of a - b over the seeds that both have, with its t interval: seed against equal seed.

    Raises UltError where they share no seed.
    """
    shared = sorted(set(a) & set(b))
    if not shared:
        got, mend = f"{sorted(a)} and {sorted(b)}", "run both arms on equal seeds"
        raise fault("seeds", got, "at least one seed in both", mend)
    return interval([a[seed] - b[seed] for seed in shared], confidence)
