"""Which features a basis has: exponents of monomials, frequencies of a Fourier basis, one row of whole numbers each."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ult_lightning.construct._arrays import Floats, Ints


def monomials(inputs: int, degree: int) -> Ints:
    """Rows (k, d) of all monomials of d variables of total degree 1 to ``degree``, k = C(d + degree, d) - 1.

    ``inputs`` and ``degree`` are at least 1. The features of the polynomial family of Burkholz et al. 2022.
    """
    rows = []
    for total in range(1, degree + 1):
        for places in itertools.combinations_with_replacement(range(inputs), total):
            rows.append(np.bincount(places, minlength=inputs))
    return np.array(rows, dtype=np.int64)


def monomial_values(x: Floats, exponents: Ints) -> Floats:
    """prod_i ((1 + x_i) / 2)^r_ji of points (n, d) in [0, 1]^d for ``exponents`` (k, d): (n, k), in float64.

    The features of the polynomial family of Burkholz et al. 2022, in the variable (1 + x) / 2 whose logarithm is
    finite.
    """
    values: Floats = np.exp(np.log(0.5 * (1.0 + x)) @ exponents.T.astype(np.float64))
    return values


def frequencies(inputs: int, bound: int) -> Ints:
    """One of n and -n for every n in Z^d with 0 < |n|_1 <= ``bound``, (count, d): the first entry that is not 0 is positive.

    ``inputs`` and ``bound`` are at least 1. The frequencies of the Fourier family of Burkholz et al. 2022.
    """
    rows = []
    for row in itertools.product(range(-bound, bound + 1), repeat=inputs):
        if 0 < sum(map(abs, row)) <= bound and next(n for n in row if n) > 0:
            rows.append(row)
    return np.array(sorted(rows, key=lambda row: (sum(map(abs, row)), row[::-1])), dtype=np.int64)


def count_frequencies(inputs: int, bound: int) -> int:
    """How many rows `frequencies` has, without listing them."""
    inside: int = sum(2**j * math.comb(inputs, j) * math.comb(bound, j) for j in range(min(inputs, bound) + 1))
    return (inside - 1) // 2
