"""Choosing a positive number from a grid that grows until the best lies inside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Score = Callable[[Sequence[float]], Sequence[float]]


@dataclass(frozen=True)
class Grown:
    """What a grid came to.

    `path` has every value with its score, None where that is not finite, in the order tried; `best` is one of its values;
    `edge` says that `best` is still the smallest or the largest of several, since the grid grew no further.
    """

    path: tuple[tuple[float, float | None], ...]
    best: float
    edge: bool

    @property
    def score(self) -> float:
        """The score of the best value; minus infinity where no score is finite."""
        score = dict(self.path)[self.best]
        return -math.inf if score is None else score


def grow_grid(values: Sequence[float], score: Score, *, factor: float = 3.0, most: int = 3) -> Grown:
    """The value with the highest score, from a grid that is extended while its best lies at its edge.

    `values` are positive and distinct, in order of preference: of equal scores the one tried first wins. `score` takes
    several values at once and gives as many scores; one that is not finite is the worst. While the best is the largest
    value, the grid grows by `factor` upwards, while it is the smallest, downwards, at most `most` times on each side. A
    single value is a choice and no grid, and where no score is finite there is no direction: neither grows.

    >>> grow_grid([0.1, 1.0], lambda rates: [-abs(rate - 5) for rate in rates]).best
    3.0
    """
    scores = dict(zip(values, map(_finite, score(values)), strict=True))
    below, above = (list(reversed(side)) for side in _beyond(values, factor, most))
    best = _best(scores)
    while scores[best] is not None:
        side = below if best == min(scores) else above if best == max(scores) else []
        if not side:
            break
        value = side.pop()
        (scores[value],) = map(_finite, score([value]))
        best = _best(scores)
    return Grown(tuple(scores.items()), best, len(values) > 1 and best in (min(scores), max(scores)))


def grid_reach(values: Sequence[float], *, factor: float = 3.0, most: int = 3) -> tuple[float, ...]:
    """All values that `grow_grid` may try: those given, then what lies below and above them.

    For scores that cost less together than one after the other.

    >>> grid_reach([1.0, 0.1], factor=10, most=2)
    (1.0, 0.1, 0.01, 0.001, 10.0, 100.0)
    """
    below, above = _beyond(values, factor, most)
    return (*values, *below, *above)


def _beyond(values: Sequence[float], factor: float, most: int) -> tuple[list[float], list[float]]:
    """What may follow below and above the grid, the nearest first."""
    if len(values) == 1:
        return [], []
    steps = range(1, most + 1)
    low, high = min(values), max(values)
    below = [_rounded(low / factor**step) for step in steps]
    above = [_rounded(high * factor**step) for step in steps if high < math.inf / factor**step]
    return [value for value in below if value > 0], [value for value in above if value < math.inf]


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")  # 0.3, not 0.30000000000000004


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _best(scores: dict[float, float | None]) -> float:
    """The first of the values whose score is highest."""

    def rank(value: float) -> float:
        score = scores[value]
        return -math.inf if score is None else score

    return max(scores, key=rank)
