"""Function tasks: families, formulas, points that training and test never share."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ult_lightning.data import (
    FUNCTIONS,
    DataError,
    FunctionSpec,
    Polynomial,
    Trigonometric,
    exponents_up_to,
    frequencies_up_to,
    load_functions,
)
from ult_lightning.data.functions._closed_forms import frequency_count


def by_hand(form: Any, x: np.ndarray) -> np.ndarray:
    """The formula term by term, in plain loops."""
    found = np.zeros((len(x), len(form.coefficients if isinstance(form, Polynomial) else form.cosine)))
    for row, function in itertools.product(range(len(x)), range(found.shape[1])):
        if isinstance(form, Polynomial):
            for a, r in zip(form.coefficients[function], form.exponents, strict=True):
                found[row, function] += a * np.prod([x[row, i] ** int(e) for i, e in enumerate(r)])
        else:
            found[row, function] += form.constant[function]
            for c, s, n in zip(form.cosine[function], form.sine[function], form.frequencies, strict=True):
                angle = 2 * np.pi * sum(x[row, i] * int(e) for i, e in enumerate(n))
                found[row, function] += c * np.cos(angle) + s * np.sin(angle)
    return found


def test_every_family_is_here() -> None:
    assert FUNCTIONS.names() == ("polynomials", "trigonometric", "products", "outside")


@pytest.mark.parametrize("inputs", [1, 2, 5, 12])
@pytest.mark.parametrize("name", FUNCTIONS.names())
def test_the_contract_of_a_family(name: str, inputs: int) -> None:
    task = load_functions(name, inputs=inputs, seed=3)
    x = task.train_points(50)
    values = task.values(x)
    assert values.shape == (50, len(task.names))
    assert 1 <= len(task.names) <= 8
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert task.outside == (task.closed_form is None) == (name == "outside")
    again = load_functions(FunctionSpec.parse(task.spec.to_dict()), inputs=inputs, seed=3)
    assert np.array_equal(again.values(x), values)
    assert np.array_equal(again.test_points(), task.test_points())
    assert again.names == task.names
    assert task.science() == again.science()
    if name in ("polynomials", "trigonometric"):
        other = load_functions(name, inputs=inputs, seed=4)
        assert not np.allclose(other.values(x), values)
    if task.closed_form is not None:
        assert values[:8] == pytest.approx(by_hand(task.closed_form, x[:8]), abs=1e-12)
        assert np.abs(values).max() <= 1 + 1e-12
    assert (values.max(0) > values.min(0)).all()  # no function is constant


@pytest.mark.parametrize("norm", [1.0, 2.5])
def test_coefficient_norms(norm: float) -> None:
    for name in ("polynomials", "trigonometric", "products"):
        form = load_functions({"name": name, "norm": norm, "count": 5}, inputs=3, seed=0).closed_form
        if isinstance(form, Polynomial):
            sizes = np.abs(form.coefficients).sum(1)
        else:
            assert isinstance(form, Trigonometric)
            sizes = np.abs(form.cosine).sum(1) + np.abs(form.sine).sum(1) + np.abs(form.constant)
        assert sizes == pytest.approx(np.full(5, norm))


def test_functions_go_from_one_term_to_all() -> None:
    form = load_functions("polynomials:4", inputs=2, seed=1).closed_form
    assert isinstance(form, Polynomial)
    terms = (form.coefficients != 0).sum(1)
    assert terms[0] == 1
    assert terms[-1] == len(form.exponents) == 15
    assert (np.diff(terms) >= 0).all()
    used = form.coefficients != 0
    assert all(form.exponents[row].sum(1).max() == 4 for row in used)


def test_products_are_of_distinct_inputs() -> None:
    form = load_functions("products", inputs=3, seed=0).closed_form
    assert isinstance(form, Polynomial)
    assert set(form.exponents.ravel().tolist()) == {0, 1}
    assert form.exponents[0].tolist() == [1, 1, 1]
    assert len({tuple(row) for row in form.exponents.tolist()}) == 7  # all subsets of three inputs but the empty one
    bounded = load_functions("products:2", inputs=6, seed=0).closed_form
    assert isinstance(bounded, Polynomial)
    assert bounded.exponents.sum(1).max() == 2


def test_the_functions_outside() -> None:
    task = load_functions("outside", inputs=2, seed=0)
    x = np.array([[0.25, 0.5]])
    found = dict(zip(task.names, task.values(x)[0], strict=True))
    assert found["exp(-sum x)"] == pytest.approx(np.exp(-0.75))
    assert found["sin(3 sum x)"] == pytest.approx(np.sin(2.25))
    assert found["|x1 - 0.5|"] == 0.25
    assert len(found) == 8


@settings(max_examples=20)
@given(inputs=st.integers(1, 4), bound=st.integers(1, 4))
def test_enumerations(inputs: int, bound: int) -> None:
    plain = {r for r in itertools.product(range(bound + 1), repeat=inputs) if sum(r) <= bound}
    found = exponents_up_to(inputs, bound)
    assert {tuple(row) for row in found.tolist()} == plain
    assert len(found) == len(plain)
    ball = itertools.product(range(-bound, bound + 1), repeat=inputs)
    half = {n for n in ball if 1 <= sum(map(abs, n)) <= bound and next(filter(None, n)) > 0}
    waves = frequencies_up_to(inputs, bound)
    assert {tuple(row) for row in waves.tolist()} == half
    assert len(waves) == len(half) == frequency_count(inputs, bound)


@settings(max_examples=10)
@given(inputs=st.integers(1, 12), seed=st.integers(0, 2**40))
def test_no_training_point_is_a_test_point(inputs: int, seed: int) -> None:
    task = load_functions("products", inputs=inputs, seed=seed)
    train, test = task.train_points(500), task.test_points()
    for points in (train, test):
        assert points.shape[1] == inputs
        assert np.array_equal(points.astype(np.float32).astype(np.float64), points)  # exact in float32
        assert points.min() >= 0
        assert points.max() <= 1
    assert (train * 2**24 % 2 == 1).all()
    assert (test * 2**24 % 2 == 0).all()


def test_test_points_hold_the_edges() -> None:
    corners = {tuple(c) for c in itertools.product((0.0, 1.0), repeat=10)}
    assert corners <= {tuple(row) for row in load_functions("products", inputs=10, seed=0).test_points().tolist()}
    line = np.unique(load_functions("products", inputs=1, seed=0).test_points())
    assert (line[0], line[-1]) == (0.0, 1.0)
    assert np.diff(line).max() <= 2.0**-15
    many = load_functions("products", inputs=11, seed=0).test_points()
    assert np.isin(many, (0.0, 1.0)).all(1).sum() == 1024


def test_points_are_uniform_and_streams_apart() -> None:
    task = load_functions("polynomials", inputs=2, seed=0)
    train, test = task.train_points(20_000), task.test_points()[:20_000]
    for points in (train, test):
        assert points.mean(0) == pytest.approx([0.5, 0.5], abs=0.01)
        assert points.std(0) == pytest.approx([12**-0.5] * 2, abs=0.01)
    assert abs(np.corrcoef(train[:, 0], test[:, 0])[0, 1]) < 0.03
    assert np.array_equal(task.train_points(10), train[:10])


def test_the_numbers_stay_as_they_are() -> None:
    """Rows of other machines and releases are about the same functions and points."""
    task = load_functions("polynomials:2", inputs=2, seed=7)
    assert task.train_points(1)[0].tolist() == POINT
    assert task.values(np.array([[0.25, 0.75]]))[0, :3].round(12).tolist() == VALUES


POINT = [0.9382111430168152, 0.35655003786087036]
VALUES = [0.1875, 0.535279553371, -0.138535240826]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("polynomials", ("polynomials:3", 3)),
        ("polynomials:5", ("polynomials:5", 5)),
        ("trigonometric", ("trigonometric:2", 2)),
        ("products", ("products", None)),
        ({"name": "outside", "count": 3}, ("outside", None)),
        (FunctionSpec("products", 2), ("products:2", 2)),
    ],
)
def test_what_a_user_types(text: object, known: tuple[str, int | None]) -> None:
    spec = FunctionSpec.parse(text)
    assert (spec.id, spec.bound) == known
    assert FunctionSpec.parse(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("polynomails", "did you mean polynomials"),
        ("polynomials:", "a degree behind the colon"),
        ("polynomials:-1", "a degree behind the colon"),
        ("polynomials:0", "bound of polynomials: got 0, wanted a degree, 1 or more"),
        ("outside:2", "wanted no bound; write outside"),
        ({"name": "outside", "bound": 2}, "got 'outside:2', wanted no bound"),
        ({"name": "products", "cuont": 2}, "did you mean count"),
        ({"bound": 2}, "function task: got ''"),
        ({"name": "products", "count": 0}, "count: got 0"),
        ({"name": "products", "norm": 0}, "norm: got 0"),
        ({"name": "products", "norm": float("inf")}, "norm: got inf"),
        (7, "task: got 7"),
    ],
)
def test_mistakes_in_a_spec(text: object, said: str) -> None:
    with pytest.raises(DataError) as caught:
        FunctionSpec.parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("products", {"inputs": 0, "seed": 0}, "inputs: got 0"),
        ("products", {"inputs": 2, "seed": -1}, "seed: got -1"),
        ("polynomials:3", {"inputs": 784, "seed": 0}, "at most 20,000 terms"),
        ("trigonometric:9", {"inputs": 20, "seed": 0}, "at most 20,000 terms"),
    ],
)
def test_mistakes_in_loading(name: str, more: dict[str, int], said: str) -> None:
    with pytest.raises(DataError) as caught:
        load_functions(name, **more)
    assert said in str(caught.value)


def test_points_that_are_none() -> None:
    task = load_functions("products", inputs=2, seed=0)
    with pytest.raises(DataError, match="the shape"):
        task.values(np.zeros((3, 1)))
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(DataError, match=r"points in \[0, 1\]"):
            task.values(np.array([[0.0, wrong]]))
    with pytest.raises(DataError, match="points: got 0"):
        task.train_points(0)
    with pytest.raises(DataError, match="the shapes"):
        Polynomial(np.zeros((2, 1), dtype=np.int64), np.zeros((1, 3)))
    with pytest.raises(DataError, match="0 or more"):
        Polynomial(np.array([[-1]]), np.zeros((1, 1)))
    with pytest.raises(DataError, match="constant"):
        Trigonometric(np.ones((1, 1), dtype=np.int64), np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(2))
