"""Linear heads for functions: W b(x) + c fitted by least squares (Burkholz et al. 2022, definition of a universal ticket)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import Registry, fault, unknown
from ult_lightning.heads._linear import at_least

Floats = NDArray[np.float64]
_LEAST_POINTS = 6000


@dataclass(frozen=True, eq=False)
class FunctionFit:
    """Heads of k functions: weights (k, d) and biases (k,) float64, on raw features; what they were fitted on.

    `rank` is that of the standardised features (n_train, d): below d, some features say nothing new.
    """

    weights: Floats
    biases: Floats
    n_train: int
    rank: int

    def __call__(self, features: Floats) -> Floats:
        values: Floats = features @ self.weights.T + self.biases  # (b, k)
        return values

    @property
    def norms(self) -> Floats:
        """The norm ||W||_1 of each function's head (k,): how much an error of the features can grow."""
        norms: Floats = np.abs(self.weights).sum(1)
        return norms


Sample = Callable[[int], tuple[Floats, Floats]]
FUNCTION_HEADS: Registry[Callable[..., FunctionFit]] = Registry("head")
"""Fits `(sample, *, dim: int, **options) -> FunctionFit`: `sample(n)` has features (n, d) and values (n, k)."""


@FUNCTION_HEADS.register("lstsq")
def lstsq(sample: Sample, *, dim: int, points: int | None = None, rcond: float = 1e-10) -> FunctionFit:
    """Plain least squares in float64 on `points` training points (None: the larger of 6,000 and 4 * dim).

    Singular values below `rcond` times the largest are taken for 0; there is no ridge, which would cost accuracy in
    the sup norm. Raises UltError for fewer points than features and for an `rcond` outside [0, 1).
    """
    number = isinstance(rcond, int | float) and not isinstance(rcond, bool)
    if not number or not 0 <= rcond < 1:
        raise fault("head.options.rcond", rcond, "a number from 0 to below 1")
    if points is None:
        points = max(_LEAST_POINTS, 4 * dim)
    elif at_least("head.options.points", points, 1) <= dim:
        wanted = f"more points than the {dim:,} features of the ticket"
        raise fault("head.options.points", points, wanted, "leave it out for max(6000, 4 * features)")
    features, values = sample(points)
    weights, biases, rank = least_squares(features, values, rcond=rcond)
    return FunctionFit(weights, biases, points, rank)


def least_squares(features: Floats, values: Floats, *, rcond: float = 1e-10) -> tuple[Floats, Floats, int]:
    """Weights (k, d), biases (k,) and the rank for features (n, d) and values (n, k), in float64.

    The features are standardised first, so that their scale does not matter; constant ones get the weight 0. Of all
    solutions it is the one of least norm on standardised features.
    """
    centre, spread = features.mean(0), features.std(0)
    level = values.mean(0)
    alive = spread > 1e-12 * np.abs(features).max(0, initial=0.0)
    scale = np.where(alive, spread, 1.0)
    standard = np.where(alive, (features - centre) / scale, 0.0)
    solved, _, rank, _ = np.linalg.lstsq(standard, values - level, rcond=rcond)
    weights = (solved / scale[:, None]).T  # (k, d)
    return weights, level - weights @ centre, int(rank)


def function_head_options(head: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All options of a function head, those that are not given at their defaults; UltError for an unknown head."""
    parameters = inspect.signature(FUNCTION_HEADS.get(head)).parameters
    defaults = {name: p.default for name, p in parameters.items() if name not in ("sample", "dim")}
    return defaults | dict(options or {})


def check_function_options(head: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options as keywords; UltError for an unknown head or option."""
    known = function_head_options(head)
    for name in options or {}:
        if name not in known:
            raise unknown(f"head.{head} option", str(name), known)
    return dict(options or {})
