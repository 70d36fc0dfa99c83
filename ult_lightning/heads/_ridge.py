"""Ridge regression on streamed statistics: one pass, one factorisation, every lambda.

With features standardised on the training images, Z = (X - mean) / std (n, d), and one-hot labels Y (n, k), the
head of lambda is the solution of (Z^T Z + lambda n I) W = Z^T Y, and its bias, which is not penalised, the mean of Y.
Lambda is relative to n: the penalty of scikit-learn's ``Ridge`` on the same Z and Y is ``alpha = lambda * n``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ult_lightning.base import Options, UltError, fault, grid_reach, option
from ult_lightning.heads._linear import HEADS, Head, HeadFit, HeadPath, choose, unstandardised

if TYPE_CHECKING:
    from ult_lightning.heads._features import FeatureStream

Floats = NDArray[np.float64]

LAMBDAS = tuple(10.0 ** (half / 2) for half in range(2, -9, -1))
"""The default path: 10 down to 10^-4 in half decades. (Larger ones win ties in validation with a handful of images,
and lose a point or more on test.)"""

HALF_DECADE = 10.0**0.5
"""The factor by which the path grows where its best lies at an edge."""

CHUNK_ROWS = 2_048
_BLOCK = 256
_CONSTANT = 1e-6
_LAPACK_BLOCK = 64


class RidgeStatistics:
    """The sums a ridge head needs, accumulated over batches: memory d * d, whatever the number of images.

    Products are taken in float32 over chunks of ``CHUNK_ROWS`` rows (in float64 on a GPU, where TensorFloat-32
    may be on) and added up in float64. Features are shifted by the mean of the first batch, so that large means cost
    no digits. The order and size of the batches changes the sums by rounding only.
    """

    def __init__(self, dim: int, classes: int, *, device: str | torch.device = "cpu") -> None:
        self.dim, self.classes, self.n = dim, classes, 0
        self._shift: Tensor | None = None
        # sums of (x - shift)(x - shift)^T (upper triangle only), of y (x - shift)^T and of y
        self._upper = torch.zeros(dim, dim, dtype=torch.float64, device=device)
        self._class_sums = torch.zeros(classes, dim, dtype=torch.float64, device=device)
        self._counts = torch.zeros(classes, dtype=torch.float64, device=device)
        self._chunk = torch.empty(CHUNK_ROWS, dim, device=device)
        self._labels = torch.empty(CHUNK_ROWS, dtype=torch.int64, device=device)
        self._filled = 0

    def accumulate(self, features: Tensor, labels: Tensor) -> None:
        """Add features (b, d), float32 and finite, with labels (b,) in 0..k-1."""
        if self._shift is None and len(features):
            self._shift = features.double().mean(0).float()
        start, shift = 0, self._shift
        while shift is not None and start < len(features):
            rows = min(len(features) - start, CHUNK_ROWS - self._filled)
            place = slice(self._filled, self._filled + rows)
            torch.sub(features[start : start + rows], shift, out=self._chunk[place])
            self._labels[place] = labels[start : start + rows]
            self._filled, start = self._filled + rows, start + rows
            if self._filled == CHUNK_ROWS:
                self._flush()

    def moments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean (d,), upper triangle of the centred Gram matrix (d, d), centred class sums (k, d), counts (k,).

        All float64. Raises ``UltError`` if nothing was added or the products overflowed.
        """
        self._flush()
        if self._shift is None:
            raise fault("features", 0, "at least one row")
        offset = self._class_sums.sum(0) / self.n
        gram = torch.addr(self._upper, offset, offset, alpha=-self.n)
        if not bool(torch.isfinite(gram.diagonal()).all()):
            raise UltError(
                "The features are too large for float32 products; search with norm=batch or norm=layer, or with "
                "another init."
            )
        return (self._shift.double() + offset, gram, self._class_sums - torch.outer(self._counts, offset), self._counts)

    def _flush(self) -> None:
        rows, labels = self._chunk[: self._filled], self._labels[: self._filled]
        if self._filled == 0:
            return
        one_hot = F.one_hot(labels, self.classes)
        add_gram(self._upper, rows)
        self._class_sums += (one_hot.to(rows.dtype).T @ rows).double()
        self._counts += one_hot.sum(0)
        self.n += self._filled
        self._filled = 0


def add_gram(upper: Tensor, rows: Tensor) -> None:
    """Add rows^T rows, rows (r, m), to the upper triangle of ``upper`` (m, m) float64, in place.

    Blocks on the diagonal are written whole; what lies below them is left alone.
    """
    rows = rows.double() if rows.is_cuda else rows
    for start in range(0, rows.shape[1], _BLOCK):
        stop = start + _BLOCK
        upper[start:stop, start:] += rows[:, start:stop].T @ rows[:, start:]


def shifted_solves(upper: Floats, right: Floats, shifts: Sequence[float]) -> Floats:
    """Solutions (l, m, k) of (A + shift I) X = B for every shift, B (m, k), by one factorisation of A.

    A is symmetric positive semi-definite, (m, m) in row-major order; its upper triangle is read, and **A is
    overwritten**. It is reduced once to tridiagonal form, A = Q T Q^T (LAPACK ``dsytrd``, 4/3 m^3 operations); then each
    shift costs O(m k). Where rounding leaves A + shift I indefinite, the solution is NaN.
    """
    from scipy.linalg import lapack

    size, columns = right.shape
    if size == 1:
        alone: Floats = right[None] / (upper[0, 0] + np.asarray(shifts, dtype=np.float64))[:, None, None]
        return alone
    factor, diagonal, beside, tau, info = lapack.dsytrd(upper.T, lower=1, lwork=_LAPACK_BLOCK * size, overwrite_a=1)
    assert info == 0
    reflectors = np.asfortranarray(factor[1:, :-1])
    rotated = _apply(reflectors, tau, right, "T")
    solved = np.full((size, columns * len(shifts)), np.nan, order="F")
    for place, shift in enumerate(shifts):
        *_, solution, info = lapack.dptsv(diagonal + shift, beside, rotated)
        if info == 0:
            solved[:, place * columns : (place + 1) * columns] = solution
    turned = _apply(reflectors, tau, solved, "N").reshape(size, len(shifts), columns)
    return np.ascontiguousarray(turned.transpose(1, 0, 2))


def _apply(reflectors: Floats, tau: Floats, columns: Floats, trans: str) -> Floats:
    """Q (trans "N") or its transpose ("T") times columns (m, c); Q leaves the first row alone."""
    from scipy.linalg import lapack

    result: Floats = np.array(columns, order="F")
    work = _LAPACK_BLOCK * max(columns.shape[1], 1)
    below, _, info = lapack.dormqr("L", trans, reflectors, tau, np.asfortranarray(result[1:]), work)
    assert info == 0
    result[1:] = below
    return result


def ridge_path(statistics: RidgeStatistics, lambdas: Sequence[float] = LAMBDAS) -> HeadPath:
    """The heads of all ``lambdas``, largest first, from accumulated statistics: ridge regression (Hoerl and Kennard
    1970) in its primal form, (Z^T Z + lambda n I) W = Z^T Y, for n >= d.
    """
    mean, gram, class_sums, counts = statistics.moments()
    inverse = inverse_std(gram.diagonal() / statistics.n, mean)
    gram.mul_(inverse).mul_(inverse[:, None])
    right = (class_sums * inverse).T.cpu().numpy()  # (d, k)
    values = sorted(lambdas, reverse=True)
    solved = shifted_solves(gram.cpu().numpy(), right, [value * statistics.n for value in values])
    return _folded(values, solved, mean, inverse, counts)


def ridge_path_dual(features: Tensor, labels: Tensor, classes: int, lambdas: Sequence[float] = LAMBDAS) -> HeadPath:
    """The same heads from features (n, d) themselves by the dual form (Saunders et al. 1998), for n < d.

    W = Z^T A with (Z Z^T + lambda n I) A = Y: an n by n system instead of d by d.
    """
    n = len(features)
    wide = features.double()
    mean = wide.mean(0)
    wide = wide - mean
    inverse = inverse_std(wide.square().mean(0), mean)
    wide *= inverse
    if not bool(torch.isfinite(wide).all()):
        raise UltError("The features are too large to be standardised; search with norm=batch or another init.")
    one_hot = F.one_hot(labels, classes).double()
    counts = one_hot.sum(0)
    kernel = (wide @ wide.T).cpu().numpy()
    values = sorted(lambdas, reverse=True)
    solved = shifted_solves(kernel, (one_hot - counts / n).cpu().numpy(), [value * n for value in values])  # (l, n, k)
    weights = wide.T.cpu().numpy() @ solved  # (l, d, k)
    return _folded(values, weights, mean, inverse, counts)


def inverse_std(variance: Tensor, mean: Tensor) -> Tensor:
    """1 / std per feature (d,); 0 for a feature that is constant up to float32 rounding, so that it gets no weight."""
    varies = variance.sqrt() > _CONSTANT * mean.abs()
    return torch.where(varies, variance.rsqrt(), torch.zeros_like(variance))


def _folded(values: Sequence[float], solved: Floats, mean: Tensor, inverse: Tensor, counts: Tensor) -> HeadPath:
    """The path with standardisation folded into its weights; lambdas whose system was indefinite are left out."""
    fine = [i for i, solution in enumerate(solved) if np.isfinite(solution).all()]
    if not fine:
        raise fault("lambdas", list(values), "a lambda that is large enough for these features", "add a larger one")
    weights = torch.from_numpy(solved[fine]).to(mean.device).transpose(1, 2)  # (l, k, d)
    means = counts / counts.sum()
    means[counts == 0] = -torch.inf  # a class without a training image is never predicted
    return unstandardised([values[i] for i in fine], weights, means, mean, inverse)


@dataclass(frozen=True)
class RidgeOptions(Options):
    """``lambdas``: candidates relative to the number of training images, of which validation chooses one."""

    lambdas: tuple[float, ...] = option(LAMBDAS, above=0, distinct=True)


def fit_ridge(stream: FeatureStream, options: RidgeOptions, *, seed: int = 0) -> HeadFit:
    """One pass over the training images, then the lambda with the best validation accuracy (ties: the larger one).

    The lambdas hold for standardised features; where the best is the smallest or the largest, they grow in half decades.
    ``seed`` is not used: nothing is random here.
    """
    lambdas = sorted(options.lambdas, reverse=True)
    values = grid_reach(lambdas, factor=HALF_DECADE)  # a further lambda of the same factorisation costs next to nothing
    n = stream.sizes["train"]
    if n < stream.dim:
        path = ridge_path_dual(*stream.collect("train"), stream.classes, values)
    else:
        statistics = RidgeStatistics(stream.dim, stream.classes, device=stream.device)
        for features, labels in stream.batches("train"):
            statistics.accumulate(features, labels)
        path = ridge_path(statistics, values)
    grown = choose(path, stream.batches("valid"), lambdas, argument="head.options.lambdas", factor=HALF_DECADE)
    hyper: dict[str, Any] = {"lambda": grown.best, "form": "dual" if n < stream.dim else "primal"}
    return HeadFit(path.head(grown.best), grown.score, hyper, n, stream.sizes["valid"], grown)


HEADS.add("ridge", Head(RidgeOptions, fit_ridge))
