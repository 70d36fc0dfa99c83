"""Weight inits by name: each maps raw words of one parameter's stream to its values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import Registry
from ult_lightning.nets import _streams as streams

Draw = Callable[[NDArray[np.uint64], tuple[int, ...]], NDArray[np.float64]]
INITS: Registry[Draw] = Registry("init")
"""Draws of unit scale: an entry maps (raw words, shape) to float64 values whose mean square is 1 on average."""


def fan_in(shape: tuple[int, ...]) -> int:
    """Inputs that one output unit sees: the product of all dimensions but the first."""
    return math.prod(shape[1:])


def weight_scale(shape: tuple[int, ...], scale_fan: float | None) -> float:
    """Standard deviation sqrt(2 / fan_in) for ReLU nets (He et al. 2015), times 1 / sqrt(density) with ``scale_fan``."""
    return math.sqrt(2.0 / fan_in(shape)) / math.sqrt(1.0 if scale_fan is None else scale_fan)


@INITS.register("kaiming_normal")
def kaiming_normal(words: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Standard normals."""
    return streams.normal(words).reshape(shape)


@INITS.register("kaiming_uniform")
def kaiming_uniform(words: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Uniforms on (-sqrt 3, sqrt 3)."""
    return ((2.0 * streams.uniform(words) - 1.0) * math.sqrt(3.0)).reshape(shape)


@INITS.register("signed_constant")
def signed_constant(words: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Fair signs (Ramanujan et al. 2020)."""
    return streams.signs(words).reshape(shape)


@INITS.register("orthogonal")
def orthogonal(words: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Orthonormal rows (or columns, whichever are fewer) of the matrix (out, fan_in), scaled to mean square 1.

    LAPACK's QR gives other bits on another number of threads, so this is a Gram-Schmidt of normals whose every sum
    runs in one fixed order.
    """
    rows, columns = shape[0], fan_in(shape)
    gaussian = streams.normal(words).reshape(rows, columns)
    basis = _gram_schmidt(gaussian if rows <= columns else gaussian.T.copy())
    values = basis if rows <= columns else basis.T
    return (
        (values * math.sqrt(max(rows, columns))).reshape(shape) if len(shape) > 1 else values.reshape(shape)
    )


def _gram_schmidt(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal rows spanning the rows of ``vectors`` (n, m), n <= m: modified Gram-Schmidt in a fixed order."""
    columns = np.ascontiguousarray(
        vectors.T
    )  # (m, n): a sum over axis 0 adds row by row, in order, on any machine
    for k in range(columns.shape[1]):
        unit = columns[:, k : k + 1]
        unit /= np.sqrt(_column_sums(unit * unit))
        rest = columns[:, k + 1 :]
        rest -= unit * _column_sums(rest * unit)
    return np.ascontiguousarray(columns.T)


def _column_sums(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over axis 0, row after row: a lone column would be summed pairwise, in an order of NumPy's choosing."""
    if matrix.shape[1] == 1:
        sums: NDArray[np.float64] = np.add.accumulate(matrix, axis=0)[-1]
        return sums
    sums = np.add.reduce(np.ascontiguousarray(matrix), axis=0)
    return sums
