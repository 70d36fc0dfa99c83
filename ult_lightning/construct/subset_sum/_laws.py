"""Laws of random subset sums: how close 2^n sums come to a target, how often they fail, how many elements are needed.

The elements are independent draws of one of three distributions, the targets uniform in (-1, 1) unless given:
"uniform", U(-1, 1); "product", the product of U(0, 1) and U(-1, 1), which the edges of two random layers in a row
offer; and "normal", N(0, 1).
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from math import comb, erf, exp, log, log2, pi, sqrt
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import fault, unknown

Distribution = Literal["uniform", "product", "normal"]

SECOND_MOMENT: dict[str, float] = {"uniform": 1 / 3, "product": 1 / 9, "normal": 1.0}
"""The mean square of one element."""

# P(error > 1e-2) of 15 uniform elements, simulated, and by how much its logarithm falls per further element
_FAILURE, _ELEMENTS, _EPS, _SLOPE = 0.0039, 15, 1e-2, 0.62
_LATTICE = 1024
_MOST = 4096


def median_error(n: int, target: float, *, second_moment: float, size: int | None = None) -> float:
    """The median over random pools of the smallest error at ``target``: ln 2 / (2 M p(target)).

    M is the number of subsets, 2^n, or C(n, size) where their size is fixed, and p the normal density that their sums
    follow, of variance n E[X^2] / 2, or size E[X^2]; ``second_moment`` is E[X^2] > 0 of elements of mean 0, as in
    ``SECOND_MOMENT``. Sums near the target are taken as a Poisson process, in the regime of Lueker (1998). Holds within 20 % for targets
    inside two standard deviations and M p(target) well above 1.
    """
    _check_count("n", n)
    if not second_moment > 0:
        raise fault("second_moment", second_moment, "a number above 0")
    if size is not None and not 1 <= size <= n:
        raise fault("size", size, f"a whole number from 1 to the {n} elements")
    variance = second_moment * (n / 2 if size is None else size)
    log_density = -(target**2) / (2 * variance) - log(2 * pi * variance) / 2
    log_subsets = n * log(2) if size is None else log(comb(n, size))
    return exp(log(log(2) / 2) - log_subsets - log_density)


def unreachable_rate(n: int, eps: float, *, distribution: Distribution = "uniform") -> float:
    """P(all elements of the target's sign together stay eps or more short of it), for a target U(-1, 1).

    Nothing is simulated: the distribution of the sum of the right-signed elements, truncated to [0, 1], is convolved on
    a lattice of 1,024 steps. For uniform elements it is, by the law of Irwin and Hall (1927), the mean over t of
    2^-n sum_j C(n, j) (t - eps)^j / j!.
    """
    _check(n, eps, distribution)
    if eps >= 1:
        return 0.0
    distances = np.arange(_LATTICE + 1) / _LATTICE
    short = np.interp(distances - eps, distances, _sum_cdf(n, distribution), left=0.0)
    return float((short[1:] + short[:-1]).mean() / 2)


def failure_rate(n: int, eps: float, *, distribution: Distribution = "uniform") -> float:
    """P(no subset of n elements comes within eps of a target U(-1, 1)): what is unreachable, and the rest by a fit.

    The rest is that of uniform elements, 0.0039 exp(-0.62 (n - 15 - log2(0.01 / eps))) less their unreachable share: fitted
    to simulations, in which one more element makes up for half the eps. Within a factor of 2 for failure rates from
    0.001 to 0.5 and eps <= 0.01; an estimate elsewhere. That
    n need only grow like log(1 / eps) is Lueker's theorem (1998).

    Raises ``UltError`` for n below 1, eps that is not above 0 and an unknown distribution.
    """
    _check(n, eps, distribution)
    exponent = -_SLOPE * (n - _ELEMENTS - log2(_EPS / eps))
    fitted = _FAILURE * exp(min(exponent, 50.0))
    rest = max(0.0, fitted - unreachable_rate(n, eps))
    return min(1.0, unreachable_rate(n, eps, distribution=distribution) + rest)


def elements_needed(eps: float, delta: float, problems: int = 1, *, distribution: Distribution = "uniform") -> int:
    """The fewest elements per pool with which all of ``problems`` independent problems succeed within eps.

    With probability 1 - delta, by a union bound over ``failure_rate``: it grows like the logarithm of
    1 / min(eps, delta / problems) (Lueker 1998; Pensia et al. 2020). Raises ``UltError`` where 4,096 are not enough.
    """
    _check(1, eps, distribution)
    if not 0 < delta < 1:
        raise fault("delta", delta, "a probability in (0, 1)")
    _check_count("problems", problems)

    def enough(n: int) -> bool:
        return problems * failure_rate(n, eps, distribution=distribution) <= delta

    fewest = 1 + bisect_left(range(1, _MOST + 1), True, key=enough)
    if fewest > _MOST:
        raise fault("delta", delta, f"one that {_MOST} elements can keep for {problems} problems")
    return fewest


@lru_cache(maxsize=256)
def _sum_cdf(n: int, distribution: str) -> NDArray[np.float64]:
    """P(sum of the positive ones of n elements <= x) for x on the lattice of [0, 1]."""
    edges = np.clip((np.arange(_LATTICE + 2) - 0.5) / _LATTICE, 0.0, None)
    positive = np.diff([_positive_cdf(float(edge), distribution) for edge in edges]) / 2
    positive[0] += 0.5
    power, total = positive, np.zeros(_LATTICE + 1)
    total[0] = 1.0
    while n:
        if n & 1:
            total = np.convolve(total, power)[: _LATTICE + 1]
        power = np.convolve(power, power)[: _LATTICE + 1]
        n >>= 1
    cdf: NDArray[np.float64] = np.cumsum(total) - total / 2  # a lattice point stands for what is half a step around it
    cdf[0] = total[0]
    return cdf


def _positive_cdf(x: float, distribution: str) -> float:
    """P(element <= x) for a positive element."""
    if distribution == "normal":
        return erf(x / sqrt(2))
    x = min(x, 1.0)
    if distribution == "product":
        return x - x * log(x) if x > 0 else 0.0
    return x


def _check(n: int, eps: float, distribution: str) -> None:
    _check_count("n", n)
    if not eps > 0:
        raise fault("eps", eps, "a number above 0")
    if distribution not in get_args(Distribution):
        raise unknown("distribution", distribution, get_args(Distribution))


def _check_count(argument: str, count: int) -> None:
    if isinstance(count, bool) or count != int(count) or count < 1:
        raise fault(argument, count, "a whole number, 1 or more")
