"""The families of functions that can be named as targets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from ult_lightning.data._data_error import data_fault
from ult_lightning.data.functions._closed_forms import (
    Floats,
    Polynomial,
    Trigonometric,
    Wholes,
    exponents_up_to,
    frequencies_up_to,
    frequency_count,
    monomial_count,
)
from ult_lightning.data.functions._function_task import FUNCTIONS, Drawn, Family, FunctionSpec, Stream

_MOST_TERMS = 20_000


def _polynomials(inputs: int, spec: FunctionSpec, stream: Stream) -> Drawn:
    """From one monomial of the full degree to all of them, with random coefficients."""
    degree = _bound(spec)
    _check_terms(spec, inputs, monomial_count(inputs, degree))
    exponents = exponents_up_to(inputs, degree)
    top = exponents.sum(1) == degree
    coefficients = _coefficients(len(exponents), top, spec, stream)
    return _of_polynomial(Polynomial(exponents, coefficients))


def _trigonometric(inputs: int, spec: FunctionSpec, stream: Stream) -> Drawn:
    """From one cosine or sine of the largest frequency to all of them, and the constant."""
    bound = _bound(spec)
    _check_terms(spec, inputs, 2 * frequency_count(inputs, bound) + 1)
    frequencies = frequencies_up_to(inputs, bound)
    p = len(frequencies)
    top = np.abs(frequencies).sum(1) == bound
    drawn = _coefficients(2 * p + 1, np.concatenate([top, top, [False]]), spec, stream)
    form = Trigonometric(frequencies, drawn[:, :p], drawn[:, p : 2 * p], drawn[:, 2 * p])
    words = [*(f"cos {_waves(n)}" for n in frequencies), *(f"sin {_waves(n)}" for n in frequencies), "1"]
    return Drawn(tuple(_named(row, words) for row in drawn), form, form)


def _products(inputs: int, spec: FunctionSpec, stream: Stream) -> Drawn:
    """The product of as many inputs as the bound allows, then of other subsets, no subset twice."""
    largest = min(inputs, spec.bound or inputs)
    sizes = [largest, *(1 + stream.below(largest, 20 * spec.count))]
    subsets: dict[tuple[int, ...], None] = {}
    for size in sizes:
        subsets[tuple(sorted(stream.order(inputs)[:size].tolist()))] = None
        if len(subsets) == spec.count:
            break
    if inputs <= 8 and len(subsets) < spec.count:  # few subsets: the rest in order
        for size in range(1, largest + 1):
            subsets.update(dict.fromkeys(combinations(range(inputs), size)))
    chosen = list(subsets)[: spec.count]
    exponents = np.zeros((len(chosen), inputs), dtype=np.int64)
    for row, subset in zip(exponents, chosen, strict=True):
        row[list(subset)] = 1
    return _of_polynomial(Polynomial(exponents, spec.norm * np.eye(len(chosen))))


def _outside(inputs: int, spec: FunctionSpec, stream: Stream) -> Drawn:
    """Smooth functions and kinks of which no finite sum of monomials or waves is any."""
    parts: list[tuple[str, Callable[[Floats], Floats]]] = [
        ("exp(-sum x)", lambda x: np.exp(-x.sum(1))),
        ("sin(3 sum x)", lambda x: np.sin(3 * x.sum(1))),
        ("|x1 - 0.5|", lambda x: np.abs(x[:, 0] - 0.5)),
        ("1 / (1 + 25 (mean x - 0.5)^2)", lambda x: 1 / (1 + 25 * (x.mean(1) - 0.5) ** 2)),
    ]
    for _ in range(len(parts), spec.count):
        parts.append(_kink(int(stream.below(inputs, 1)[0]), round(float(stream.uniform(1)[0]), 3)))
    chosen = parts[: spec.count]

    def function(x: Floats) -> Floats:
        return spec.norm * np.stack([one(x) for _, one in chosen], axis=1)  # (b, k)

    return Drawn(tuple(name for name, _ in chosen), function)


def _kink(place: int, at: float) -> tuple[str, Callable[[Floats], Floats]]:
    return f"|x{place + 1} - {at:g}|", lambda x: np.abs(x[:, place] - at)


def _coefficients(terms: int, first: Wholes, spec: FunctionSpec, stream: Stream) -> Floats:
    """(count, terms): function 0 has one term, function j terms^(j / (count - 1)) of them, one where `first` is true.

    The other terms are drawn without preference, the coefficients uniformly, and then scaled to the norm.
    """
    coefficients = np.zeros((spec.count, terms))
    for j, row in enumerate(coefficients):
        share = j / (spec.count - 1) if spec.count > 1 else 1.0
        wanted = 1 if j == 0 < spec.count - 1 else min(terms, max(2, round(terms**share)))
        order = stream.order(terms)
        order = order[np.argsort(~first[order], kind="stable")][:1].tolist() + order.tolist()
        places = list(dict.fromkeys(order))[:wanted]
        drawn = stream.signed(wanted) if wanted > 1 else np.ones(1)
        row[places] = spec.norm * drawn / np.abs(drawn).sum()
    return coefficients


def _of_polynomial(form: Polynomial) -> Drawn:
    words = [_monomial(row) for row in form.exponents]
    return Drawn(tuple(_named(row, words) for row in form.coefficients), form, form)


def _named(row: Floats, words: list[str]) -> str:
    places = np.flatnonzero(row)
    if len(places) != 1:
        return f"{len(places)} terms"
    value = float(row[places[0]])
    return words[places[0]] if value == 1 else f"{value:.3g} {words[places[0]]}"


def _monomial(exponents: Wholes) -> str:
    parts = [f"x{i + 1}" + (f"^{r}" if r > 1 else "") for i, r in enumerate(exponents.tolist()) if r]
    return " ".join(parts) or "1"


def _waves(frequency: Wholes) -> str:
    parts = [f"{n:+d} x{i + 1}" for i, n in enumerate(frequency.tolist()) if n]
    return f"2pi({' '.join(parts).removeprefix('+')})"


def _bound(spec: FunctionSpec) -> int:
    assert spec.bound is not None
    return spec.bound


def _check_terms(spec: FunctionSpec, inputs: int, terms: int) -> None:
    if terms > _MOST_TERMS:
        wanted = f"at most {_MOST_TERMS:,} terms, and {inputs} inputs give {terms:,}"
        raise data_fault("task", spec.id, wanted, "take a smaller bound")


FUNCTIONS.add("polynomials", Family(_polynomials, bound="a degree", default=3))
FUNCTIONS.add("trigonometric", Family(_trigonometric, bound="the largest sum of |n_i|", default=2))
FUNCTIONS.add("products", Family(_products, bound="the largest number of factors"))
FUNCTIONS.add("outside", Family(_outside, outside=True))
