"""A proven bound for a linear head on a constructed ticket: sup |W b + c - f| over the whole cube."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct._index_sets import monomials

if TYPE_CHECKING:
    from ult_lightning.tickets import Ticket


_MOST_ENTRIES = 200_000
_DEGREE = 24
_SLACK = 1e-9  # float64 rounding of the bounds themselves, relative to the size of the head


def head_bound(ticket: Ticket, weights: Floats, biases: Floats, task: Any) -> Floats | None:
    """Bounds (k,) on sup |W b(x) + c - f(x)| over [0, 1]^d for W (k, features), c (k,), and the k functions of ``task``.

    This is the universality of Burkholz et al. 2022 made a number: sup ||W b + c - f|| <= eps for f of the family. It is
    sum_j |W_j| bound_j, with the ticket's certificate, plus a bound on sup |W e + c - f|, e the exact features. ``task`` has a
    ``closed_form``: ``exponents`` and ``coefficients`` of polynomials in x for a polynomial ticket, ``frequencies``,
    ``cosine``, ``sine`` and ``constant`` for a Fourier ticket. None without a certificate or a closed form that fits.
    """
    certificate = ticket.provenance.get("certificate")
    form, config = getattr(task, "closed_form", None), ticket.provenance.get("config", {})
    if not isinstance(certificate, dict) or form is None:
        return None
    bounds = np.asarray(certificate.get("bounds", []), dtype=np.float64)
    if bounds.shape != (weights.shape[1],):
        return None
    family = config.get("family")
    if family == "polynomial" and hasattr(form, "exponents"):
        rows = config.get("exponents")
        exponents = monomials(int(config["inputs"]), int(config["degree"])) if rows is None else np.array(rows)
        rest = _polynomial_rest(exponents, weights, biases, form)
    elif family == "fourier" and hasattr(form, "frequencies"):
        rest = _fourier_rest(certificate, weights, biases, form)
    else:
        return None
    size = np.abs(weights).sum(1) + np.abs(biases)
    total: Floats = np.abs(weights) @ bounds + rest + _SLACK * (1.0 + size)
    return total


def _polynomial_rest(exponents: Ints, weights: Floats, biases: Floats, form: Any) -> Floats:
    """Bounds (k,) on the sup of a polynomial with known coefficients: the largest Bernstein coefficient, or where there would
    be too many of them the sum of all coefficients.
    """
    inputs = exponents.shape[1]
    terms: list[dict[tuple[int, ...], float]] = []
    for head, bias, wanted in zip(weights, biases, form.coefficients, strict=True):
        rest: dict[tuple[int, ...], float] = {(0,) * inputs: float(bias)}
        for row, weight in zip(exponents, head, strict=True):
            _add_shifted(rest, tuple(int(r) for r in row), float(weight))
        for row, coefficient in zip(form.exponents, wanted, strict=True):
            key = tuple(int(r) for r in row)
            rest[key] = rest.get(key, 0.0) - float(coefficient)
        terms.append(rest)
    degree = max(max(key) for rest in terms for key in rest)
    fine = min(_DEGREE, int(_MOST_ENTRIES ** (1.0 / inputs)) - 1)
    if fine < degree:
        return np.array([sum(map(abs, rest.values())) for rest in terms])
    return np.array([_bernstein_bound(rest, inputs, fine) for rest in terms])


def _add_shifted(rest: dict[tuple[int, ...], float], powers: tuple[int, ...], weight: float) -> None:
    """Add weight * prod ((1 + x_i) / 2)^r_i, expanded in powers of x."""
    expanded: dict[tuple[int, ...], float] = {(): weight * 0.5 ** sum(powers)}
    for r in powers:
        expanded = {(*key, e): value * math.comb(r, e) for key, value in expanded.items() for e in range(r + 1)}
    for key, value in expanded.items():
        rest[key] = rest.get(key, 0.0) + value


def _bernstein_bound(terms: dict[tuple[int, ...], float], inputs: int, degree: int) -> float:
    """Max |Bernstein coefficient| of degree ``degree`` in each variable, which bounds |p| on [0, 1]^d."""
    tensor = np.zeros((degree + 1,) * inputs)
    for key, value in terms.items():
        tensor[key] += value
    i, k = np.indices((degree + 1, degree + 1))
    binomial = np.vectorize(math.comb, otypes=[np.float64])
    change = np.where(k <= i, binomial(i, k) / binomial(degree, k), 0.0)
    for axis in range(inputs):
        tensor = np.moveaxis(np.tensordot(change, tensor, axes=(1, axis)), 0, axis)
    return float(np.abs(tensor).max())


def _fourier_rest(certificate: dict[str, Any], weights: Floats, biases: Floats, form: Any) -> Floats:
    """Bounds (k,) on the sup of a trigonometric polynomial: the sum of its amplitudes."""
    angles = 2 * math.pi * np.asarray(certificate["phases"], dtype=np.float64)
    rows = [tuple(map(int, row)) for row in certificate["frequencies"]]
    cosine: dict[tuple[int, ...], Floats] = {}
    sine: dict[tuple[int, ...], Floats] = {}
    nothing = np.zeros(len(biases))
    for j, row in enumerate(rows):
        cosine[row] = cosine.get(row, nothing) + weights[:, j] * math.cos(angles[j])
        sine[row] = sine.get(row, nothing) - weights[:, j] * math.sin(angles[j])
    for j, row in enumerate(tuple(map(int, row)) for row in form.frequencies):
        sign = 1.0 if row in cosine or tuple(-n for n in row) not in cosine else -1.0
        key = row if sign > 0 else tuple(-n for n in row)
        cosine[key] = cosine.get(key, nothing) - form.cosine[:, j]
        sine[key] = sine.get(key, nothing) - sign * form.sine[:, j]
    amplitudes = [np.hypot(cosine[row], sine[row]) for row in cosine]
    total: Floats = np.abs(biases - form.constant) + np.sum(amplitudes, axis=0)
    return total
