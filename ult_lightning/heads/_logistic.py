"""Multinomial logistic regression by L-BFGS, on features that are kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ult_lightning.heads._linear import HEADS, OPTIONS, HeadFit, HeadPath, at_least, choose, numbers
from ult_lightning.heads._ridge import inverse_std

if TYPE_CHECKING:
    from ult_lightning.heads._features import FeatureStream

Floats = NDArray[np.float64]

PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
"""The default path of L2 penalties."""

MAX_ITER = 200
_ROWS = 2_048


class Objective:
    """Mean cross-entropy + penalty / 2 * |W|^2 over standardised features z (n, d) with labels (n,); c is free.

    Parameters are one float64 vector: W (k, d), then c (k,). Products are float32, the softmax float64.
    """

    def __init__(self, z: Tensor, labels: Tensor, classes: int) -> None:
        self.z, self.labels, self.classes = z, labels, classes
        self.chosen = F.one_hot(labels, classes).double()

    def __call__(self, flat: Floats, penalty: float) -> tuple[float, Floats]:
        """Value and gradient."""
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


def logistic_path(
    features: Tensor,
    labels: Tensor,
    classes: int,
    penalties: Sequence[float] = PENALTIES,
    *,
    max_iter: int = MAX_ITER,
) -> tuple[HeadPath, list[int]]:
    """The heads of all ``penalties``, largest first, each started from the one before, and their iterations.

    **Overwrites ``features``** (n, d) with their standardised form. In scikit-learn's terms C = 1 / (penalty * n).
    """
    from scipy.optimize import minimize

    mean, inverse = standardise_(features)
    objective = Objective(features, labels, classes)
    flat: Floats = np.zeros(classes * (features.shape[1] + 1))
    values, weights, biases, iterations = sorted(penalties, reverse=True), [], [], []
    limits = {"maxiter": max_iter, "gtol": 1e-5, "ftol": 1e-9}
    for penalty in values:
        found = minimize(objective, flat, args=(penalty,), jac=True, method="L-BFGS-B", options=limits)
        flat = found.x
        weight, bias = objective.unpack(flat)
        folded = weight.double() * inverse
        weights.append(folded.float())
        biases.append((bias.double() - folded @ mean).float())
        iterations.append(int(found.nit))
    return HeadPath(tuple(values), torch.stack(weights), torch.stack(biases)), iterations


@OPTIONS.register("logistic")
def logistic_options(
    *,
    penalties: Sequence[float] = PENALTIES,
    max_iter: int = MAX_ITER,
) -> tuple[tuple[float, ...], int]:
    """The penalties as floats, and the limit; raises ``UltError`` for what they cannot be."""
    return numbers("head.options.penalties", penalties), at_least("head.options.max_iter", max_iter, 1)


@HEADS.register("logistic")
def fit_logistic(stream: FeatureStream, *, seed: int = 0, **options: Any) -> HeadFit:
    """One pass, then L-BFGS per L2 penalty, with the penalty chosen on validation (ties: the larger one).

    ``penalties`` weigh |W|^2 / 2 against the mean cross-entropy on standardised features; ``max_iter`` is per penalty.
    All features are kept: n * d * 4 bytes. ``seed`` is not used: nothing is random here.
    """
    values, limit = logistic_options(**options)
    features, labels = stream.collect("train")
    path, iterations = logistic_path(features, labels, stream.classes, values, max_iter=limit)
    best, accuracies = choose(path, stream.batches("valid"))
    hyper: dict[str, Any] = {"penalty": path.values[best], "iterations": iterations[best]}
    sizes = stream.sizes
    return HeadFit(path.head(best), accuracies[best][1], hyper, sizes["train"], sizes["valid"], accuracies)
