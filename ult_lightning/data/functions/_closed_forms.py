"""Functions on the unit cube that are known as formulas: polynomials and trigonometric polynomials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.data._data_error import data_fault

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """The k functions sum_j coefficients[:, j] * prod_i x_i^exponents[j, i] of x (b, d).

    `exponents` (p, d) int64, at least 0; `coefficients` (k, p) float64. Raises DataError for other shapes.
    """

    exponents: Wholes
    coefficients: Floats

    def __post_init__(self) -> None:
        _check_shapes("exponents", self.exponents, self.coefficients)
        if self.exponents.min(initial=0) < 0:
            raise data_fault("exponents", int(self.exponents.min()), "whole numbers, 0 or more")

    def __call__(self, x: Floats) -> Floats:
        monomials = np.ones((len(x), len(self.exponents)))
        for i, column in enumerate(self.exponents.T):
            powers = x[:, i : i + 1] ** np.arange(column.max(initial=0) + 1)  # (b, degree + 1)
            there = np.flatnonzero(column)
            monomials[:, there] *= powers[:, column[there]]
        values: Floats = monomials @ self.coefficients.T  # (b, k)
        return values


@dataclass(frozen=True, eq=False)
class Trigonometric:
    """The k functions constant + sum_j cosine[:, j] cos(2 pi n_j.x) + sine[:, j] sin(2 pi n_j.x) of x (b, d).

    `frequencies` n (p, d) int64; `cosine` and `sine` (k, p), `constant` (k,), float64. Raises DataError for other
    shapes.
    """

    frequencies: Wholes
    cosine: Floats
    sine: Floats
    constant: Floats

    def __post_init__(self) -> None:
        _check_shapes("frequencies", self.frequencies, self.cosine)
        if self.sine.shape != self.cosine.shape or self.constant.shape != self.cosine.shape[:1]:
            shapes = (self.cosine.shape, self.sine.shape, self.constant.shape)
            raise data_fault("coefficients", shapes, "cosine and sine (k, p) and constant (k,)")

    def __call__(self, x: Floats) -> Floats:
        turns = x @ self.frequencies.T.astype(np.float64)  # (b, p)
        angles = 2 * np.pi * turns
        values: Floats = np.cos(angles) @ self.cosine.T + np.sin(angles) @ self.sine.T + self.constant  # (b, k)
        return values


def exponents_up_to(inputs: int, degree: int) -> Wholes:
    """All (p, inputs) exponents of total degree at most `degree`, the lowest first; p = C(inputs + degree, degree).

    >>> exponents_up_to(2, 1).tolist()
    [[0, 0], [1, 0], [0, 1]]
    """
    exponents = np.zeros((monomial_count(inputs, degree), inputs), dtype=np.int64)
    chosen = (places for total in range(degree + 1) for places in combinations_with_replacement(range(inputs), total))
    for row, places in zip(exponents, chosen, strict=True):
        np.add.at(row, list(places), 1)
    return exponents


def frequencies_up_to(inputs: int, bound: int) -> Wholes:
    """All (p, inputs) frequencies n with 1 <= sum |n_i| <= `bound`, one of n and -n (its first entry is positive).

    >>> frequencies_up_to(2, 1).tolist()
    [[1, 0], [0, 1]]
    """
    signed = [row for plain in exponents_up_to(inputs, bound)[1:] for row in _signed(plain)]
    return np.array(signed, dtype=np.int64).reshape(-1, inputs)


def monomial_count(inputs: int, degree: int) -> int:
    """How many rows `exponents_up_to` has."""
    return comb(inputs + degree, degree)


def frequency_count(inputs: int, bound: int) -> int:
    """How many rows `frequencies_up_to` has: half of the points of the l1 ball without its centre."""
    ball: int = sum(2**j * comb(inputs, j) * comb(bound, j) for j in range(min(inputs, bound) + 1))
    return (ball - 1) // 2


def _signed(plain: Wholes) -> Iterator[Wholes]:
    places = np.flatnonzero(plain)
    for signs in product((1, -1), repeat=len(places) - 1):
        row = plain.copy()
        row[places[1:]] *= np.array(signs, dtype=np.int64)
        yield row


def _check_shapes(argument: str, rows: NDArray[Any], coefficients: Floats) -> None:
    shapes = (rows.shape, coefficients.shape)
    if rows.ndim != 2 or coefficients.ndim != 2 or rows.shape[0] != coefficients.shape[1]:
        raise data_fault(argument, shapes, "the shapes (p, d) and (k, p)")
