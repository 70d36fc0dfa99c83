"""Weight inits by name: how the raw words of one parameter's stream become its values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import Registry
from ult_lightning.nets import _streams as streams

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]
Draw = Callable[[Words, tuple[int, ...]], Floats]


@dataclass(frozen=True)
class Init:
    """How the weights and the non-zero biases of a layer are drawn.

    ``weight`` and ``bias`` map (raw words, shape) to float64 values of unit scale. Weights are multiplied by
    sqrt(2 / fan_in), or by 1 with ``fan=False``. ``unit`` is the scale s_l that the product rule of biases counts for a
    layer, in multiples of that factor (a uniform init counts the half-width, a normal one the standard deviation).
    ``mirrored`` repeats one half of each layer with the opposite sign ("looks linear").
    """

    weight: Draw
    bias: Draw
    unit: float = 1.0
    fan: bool = True
    mirrored: bool = False

    def factor(self, shape: tuple[int, ...], scale_fan: float | None) -> float:
        """What the unit draws of a weight of ``shape`` are multiplied by (He et al. 2015 for ReLU nets).

        With ``scale_fan``, a density, it is larger by 1 / sqrt(density).
        """
        base = math.sqrt(2.0 / fan_in(shape)) if self.fan else 1.0
        return base / math.sqrt(1.0 if scale_fan is None else scale_fan)

    def scale(self, shape: tuple[int, ...], scale_fan: float | None) -> float:
        """The scale s_l of a layer: biases have the scale s_1 * ... * s_l."""
        return self.unit * self.factor(shape, scale_fan)


INITS: Registry[Init] = Registry("init")


def fan_in(shape: tuple[int, ...]) -> int:
    """Inputs that one output unit sees: the product of all dimensions but the first."""
    return math.prod(shape[1:])


def normal(words: Words, shape: tuple[int, ...]) -> Floats:
    """Standard normals."""
    return streams.normal(words).reshape(shape)


def uniform(half_width: float) -> Draw:
    """Uniforms on (-half_width, half_width)."""
    return lambda words, shape: ((2.0 * streams.uniform(words) - 1.0) * half_width).reshape(shape)


def signs(words: Words, shape: tuple[int, ...]) -> Floats:
    """Fair signs."""
    return streams.signs(words).reshape(shape)


def orthogonal(words: Words, shape: tuple[int, ...]) -> Floats:
    """Orthonormal rows (or columns, whichever are fewer) of the matrix (out, fan_in), scaled to mean square 1.

    LAPACK's QR gives other bits on another number of threads, so this is a Gram-Schmidt of normals whose every sum
    runs in one fixed order.
    """
    rows, columns = shape[0], fan_in(shape)
    gaussian = streams.normal(words).reshape(rows, columns)
    basis = _gram_schmidt(gaussian if rows <= columns else gaussian.T.copy())
    values = basis if rows <= columns else basis.T
    return (values * math.sqrt(max(rows, columns))).reshape(shape) if len(shape) > 1 else values.reshape(shape)


def _gram_schmidt(vectors: Floats) -> Floats:
    """Orthonormal rows spanning the rows of ``vectors`` (n, m), n <= m: modified Gram-Schmidt in a fixed order."""
    columns = np.ascontiguousarray(vectors.T)  # (m, n): a sum over axis 0 adds row by row, in order, on any machine
    for k in range(columns.shape[1]):
        unit = columns[:, k : k + 1]
        unit /= np.sqrt(_column_sums(unit * unit))
        rest = columns[:, k + 1 :]
        rest -= unit * _column_sums(rest * unit)
    return np.ascontiguousarray(columns.T)


def _column_sums(matrix: Floats) -> Floats:
    """Sums over axis 0, row after row: a lone column would be summed pairwise, in an order of NumPy's choosing."""
    if matrix.shape[1] == 1:
        sums: Floats = np.add.accumulate(matrix, axis=0)[-1]
        return sums
    sums = np.add.reduce(np.ascontiguousarray(matrix), axis=0)
    return sums


def mirror(half: Floats, rows: bool, columns: bool) -> Floats:
    """[M; -M] for ``rows``, [M, -M] for ``columns``, [[M, -M], [-M, M]] for both, M for neither; M is (out, in, ...)."""
    wide = np.concatenate([half, -half], axis=1) if columns else half
    return np.concatenate([wide, -wide]) if rows else wide


_ROOT3 = math.sqrt(3.0)

INITS.add("kaiming_normal", Init(normal, normal))
INITS.add("kaiming_uniform", Init(uniform(_ROOT3), uniform(1.0), unit=_ROOT3))
INITS.add("signed_constant", Init(signs, normal))  # Ramanujan et al. 2020
INITS.add("orthogonal", Init(orthogonal, normal))
INITS.add("looks_linear", Init(normal, normal, mirrored=True))  # Balduzzi et al. 2017; Burkholz & Dubatovka 2019
INITS.add("uniform", Init(uniform(1.0), uniform(1.0), fan=False))
INITS.add("burkholz_uniform", Init(uniform(2.0), uniform(1.0), fan=False))  # the public script of Burkholz et al. 2022
