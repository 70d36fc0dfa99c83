"""Linear heads for functions: W b(x) + c fitted by least squares (Burkholz et al. 2022, definition of a universal ticket)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import Options, Registry, fault, option
from ult_lightning.heads._linear import Head

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
FUNCTION_HEADS: Registry[Head[FunctionFit]] = Registry("head")
"""Heads for functions, by name: ``sample(n)`` of ``Head.fit`` has features (n, d) and values (n, k)."""


@dataclass(frozen=True)
class LstsqOptions(Options):
    """``points``: of training, None for the larger of 6,000 and 4 * d.

    ``rcond``: the share of the largest singular value below which others count as 0.
    """

    points: int | None = option(None, least=1)
    rcond: float = option(1e-10, least=0, below=1)


def lstsq(sample: Sample, options: LstsqOptions, *, dim: int) -> FunctionFit:
    """Plain least squares in float64; there is no ridge, which would cost accuracy in the sup norm.

    Raises UltError for fewer points than features.
    """
    points = max(_LEAST_POINTS, 4 * dim) if options.points is None else options.points
    if points <= dim:
        wanted = f"more points than the {dim:,} features of the ticket"
        raise fault("head.options.points", points, wanted, "leave it out for max(6000, 4 * features)")
    features, values = sample(points)
    weights, biases, rank = least_squares(features, values, rcond=options.rcond)
    return FunctionFit(weights, biases, points, rank)


FUNCTION_HEADS.add("lstsq", Head(LstsqOptions, lstsq))


def least_squares(features: Floats, values: Floats, *, rcond: float = 1e-10) -> tuple[Floats, Floats, int]:
    """Weights (k, d), biases (k,) and the rank for features (n, d) and values (n, k), in float64.

    The W and c of the definition of a universal ticket, sup ||W b(x) + c - f(x)|| <= eps (Burkholz et al. 2022), on a
    sample. The features are standardised first, so that their scale does not matter; constant ones get the weight 0. Of
    all solutions it is the one of least norm on standardised features.
    """
    centre, spread = features.mean(0), features.std(0)
    level = values.mean(0)
    alive = spread > 1e-12 * np.abs(features).max(0, initial=0.0)
    scale = np.where(alive, spread, 1.0)
    standard = np.where(alive, (features - centre) / scale, 0.0)
    solved, _, rank, _ = np.linalg.lstsq(standard, values - level, rcond=rcond)
    weights = (solved / scale[:, None]).T  # (k, d)
    return weights, level - weights @ centre, int(rank)
