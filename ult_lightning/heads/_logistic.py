"""Multinomial logistic regression by L-BFGS, on features that are kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ult_lightning.base import Options, grow_grid, option
from ult_lightning.heads._linear import HEADS, Head, HeadFit, HeadPath, LinearHead, unstandardised, validated
from ult_lightning.heads._ridge import inverse_std

if TYPE_CHECKING:
    from ult_lightning.heads._features import FeatureStream

Floats = NDArray[np.float64]

PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
"""The default path of L2 penalties."""

MAX_ITER = 200
_DECADE = 10.0
_ROWS = 2_048


class Objective:
    """Mean cross-entropy + penalty / 2 * |W|^2 over standardised features z (n, d) with labels (n,); c is free.

    Parameters are one float64 vector: W (k, d), then c (k,). Products are float32, the softmax float64.
    """

    def __init__(self, z: Tensor, labels: Tensor, classes: int) -> None:
        self.z, self.labels, self.classes = z, labels, classes
        self.chosen = F.one_hot(labels, classes).double()

    def __call__(self, flat: Floats, penalty: float) -> tuple[float, Floats]:
        n, dim = self.z.shape
        weight, bias = self.unpack(flat)
        logits = torch.addmm(bias, self.z, weight.T).double()  # (n, k)
        log_p = F.log_softmax(logits, 1)
        loss = F.nll_loss(log_p, self.labels) + 0.5 * penalty * weight.double().square().sum()
        residual = (log_p.exp() - self.chosen) / n  # (n, k)
        gradient = np.empty_like(flat)
        slope = (residual.float().T @ self.z).cpu().numpy()  # (k, d)
        gradient[: self.classes * dim] = slope.ravel() + penalty * flat[: self.classes * dim]
        gradient[self.classes * dim :] = residual.sum(0).cpu().numpy()
        return float(loss), gradient

    def unpack(self, flat: Floats) -> tuple[Tensor, Tensor]:
        """W (k, d) and c (k,), float32."""
        values = torch.from_numpy(flat).to(self.z.device, torch.float32)
        split = self.classes * self.z.shape[1]
        return values[:split].view(self.classes, -1), values[split:]


def standardise_(features: Tensor) -> tuple[Tensor, Tensor]:
    """Standardise features (n, d) in place; returns the mean and 1 / std (0 where constant), (d,) float64."""
    n = len(features)
    mean = sum((part.double().sum(0) for part in torch.split(features, _ROWS)), torch.zeros(())) / n
    squares = ((part.double() - mean).square().sum(0) for part in torch.split(features, _ROWS))
    inverse = inverse_std(sum(squares, torch.zeros(())) / n, mean)
    for part in torch.split(features, _ROWS):
        part.copy_((part.double() - mean) * inverse)
    return mean, inverse


class LogisticSolver:
    """Heads of one training set for one penalty after another, each started from the one before.

    **Overwrites ``features``** (n, d) with their standardised form. ``iterations`` has those of every penalty so far.
    In scikit-learn's terms C = 1 / (penalty * n). L-BFGS-B as of Byrd et al. 1995.
    """

    def __init__(self, features: Tensor, labels: Tensor, classes: int, *, max_iter: int = MAX_ITER) -> None:
        self._mean, self._inverse = standardise_(features)
        self._objective = Objective(features, labels, classes)
        self._flat: Floats = np.zeros(classes * (features.shape[1] + 1))
        self._limits = {"maxiter": max_iter, "gtol": 1e-5, "ftol": 1e-9}
        self.iterations: dict[float, int] = {}

    def path(self, penalties: Sequence[float] = PENALTIES) -> HeadPath:
        """The heads of all ``penalties``, largest first."""
        from scipy.optimize import minimize

        values, heads = sorted(penalties, reverse=True), []
        for penalty in values:
            result = minimize(
                self._objective, self._flat, args=(penalty,), jac=True, method="L-BFGS-B", options=self._limits
            )
            self._flat = result.x
            heads.append(self._objective.unpack(self._flat))
            self.iterations[penalty] = int(result.nit)
        weights, biases = (torch.stack(parts).double() for parts in zip(*heads, strict=True))
        return unstandardised(values, weights, biases, self._mean, self._inverse)


@dataclass(frozen=True)
class LogisticOptions(Options):
    """``penalties``: L2 penalties, of which validation chooses one; ``max_iter``: iterations for each."""

    penalties: tuple[float, ...] = option(PENALTIES, above=0, distinct=True)
    max_iter: int = option(MAX_ITER, least=1)


def fit_logistic(stream: FeatureStream, options: LogisticOptions, *, seed: int = 0) -> HeadFit:
    """One pass, then L-BFGS per L2 penalty, with the penalty chosen on validation (ties: the larger one).

    Penalties weigh |W|^2 / 2 against the mean cross-entropy on standardised features, and grow by decades where the best
    is the smallest or the largest. All features are kept: n * d * 4 bytes. ``seed`` is not used: nothing is random here.
    """
    features, labels = stream.collect("train")
    solver = LogisticSolver(features, labels, stream.classes, max_iter=options.max_iter)
    heads: dict[float, LinearHead] = {}

    def score(some: Sequence[float]) -> list[float]:
        path = solver.path(some)
        heads.update((value, path.head(value)) for value in some)
        accuracies = validated(path, stream.batches("valid"))
        return [accuracies[value] for value in some]

    grown = grow_grid(sorted(options.penalties, reverse=True), score, factor=_DECADE)
    hyper: dict[str, Any] = {"penalty": grown.best, "iterations": solver.iterations[grown.best]}
    sizes = stream.sizes
    return HeadFit(heads[grown.best], grown.score, hyper, sizes["train"], sizes["valid"], grown)


HEADS.add("logistic", Head(LogisticOptions, fit_logistic))
