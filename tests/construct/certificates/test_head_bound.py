"""Proven bounds for heads on constructed tickets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ult_lightning.construct import PolynomialPlan, fourier_ticket, head_bound, polynomial_ticket
from ult_lightning.construct.certificates._head_bound import _bernstein_bound
from ult_lightning.data import FunctionSpec, load_functions
from ult_lightning.transfer import transfer_functions


@pytest.fixture(scope="module")
def polynomial():
    return polynomial_ticket(2, 3, 2e-3, seed=1)


@pytest.fixture(scope="module")
def fourier():
    return fourier_ticket(2, 2, 2e-2, seed=1)


@pytest.mark.parametrize("name", ["polynomials:3", "polynomials:1", "polynomials:4", "products"])
def test_polynomial_heads_stay_within_their_bound(polynomial, name):
    task = load_functions(FunctionSpec.parse(name), inputs=2, seed=0)
    result = transfer_functions(polynomial.network(), task)
    bounds = head_bound(polynomial, result.fit.weights, result.fit.biases, task)
    assert (result.sup_errors <= bounds).all()
    if name != "polynomials:4":  # of a degree that the ticket has not, the bound is true but large
        assert (bounds < 6 * result.sup_errors + 1e-3).all()


# The trial's figures: the largest error of heads for random polynomials of the ticket's degree.
@pytest.mark.parametrize(
    ("inputs", "degree", "linear", "error"), [(1, 4, 200, 7e-3), (3, 3, 200, 2.5e-3), (5, 2, 230, 1.2e-3)]
)
def test_figures_of_universality(inputs, degree, linear, error):
    plan = PolynomialPlan((200, 10, 200), linear, (500, 40, 500), (10, 40), 0.15, 2.6e-5)
    ticket = polynomial_ticket(inputs, degree, plan=plan, seed=0)
    task = load_functions(FunctionSpec.parse(f"polynomials:{degree}"), inputs=inputs, seed=0)
    assert transfer_functions(ticket.network(), task).sup_errors.max() <= error
    assert ticket.density <= 0.017


def test_any_head_stays_within_its_bound(polynomial, fourier):
    rng = np.random.default_rng(0)
    for ticket, name in ((polynomial, "polynomials:3"), (fourier, "trigonometric:2")):
        task = load_functions(FunctionSpec.parse(name), inputs=2, seed=1)
        network = ticket.network()
        weights, biases = rng.normal(size=(len(task.names), network.dim)), rng.normal(size=len(task.names))
        bounds = head_bound(ticket, weights, biases, task)
        x = task.test_points()[:4000]
        import torch

        features = network(torch.from_numpy(x.astype(np.float32)).reshape(-1, 1, 1, 2)).double().numpy()
        error = np.abs(features @ weights.T + biases - task.values(x)).max(0)
        assert (error <= bounds).all()
        assert (bounds < 3 * error).all()


def test_fourier_heads_stay_within_their_bound(fourier):
    task = load_functions(FunctionSpec.parse("trigonometric:2"), inputs=2, seed=0)
    result = transfer_functions(fourier.network(), task)
    bounds = head_bound(fourier, result.fit.weights, result.fit.biases, task)
    assert (result.sup_errors <= bounds).all()
    assert (bounds < 6 * result.sup_errors).all()


def test_the_opposite_frequency_is_the_same_function(fourier):
    """cos(-2 pi n.x) = cos(2 pi n.x) and sin changes its sign: a form written with -n has the same bound."""
    task = load_functions(FunctionSpec.parse("trigonometric:2"), inputs=2, seed=0)
    fit = transfer_functions(fourier.network(), task).fit
    form = task.closed_form
    turned = SimpleNamespace(frequencies=-form.frequencies, cosine=form.cosine, sine=-form.sine, constant=form.constant)
    other = SimpleNamespace(closed_form=turned)
    np.testing.assert_allclose(
        head_bound(fourier, fit.weights, fit.biases, other), head_bound(fourier, fit.weights, fit.biases, task)
    )


def test_no_bound_without_a_form_that_fits(polynomial, fourier):
    for ticket, name in ((polynomial, "trigonometric:2"), (fourier, "polynomials:2"), (polynomial, "outside")):
        task = load_functions(FunctionSpec.parse(name), inputs=2, seed=0)
        weights = np.zeros((len(task.names), ticket.network().dim))
        assert head_bound(ticket, weights, np.zeros(len(task.names)), task) is None


@pytest.mark.parametrize("degree", [3, 8, 24])
def test_bernstein_coefficients_bound_a_polynomial(degree):
    rng = np.random.default_rng(2)
    terms = {(i, j): float(rng.normal()) for i in range(4) for j in range(3)}
    grid = np.linspace(0, 1, 201)
    a, b = np.meshgrid(grid, grid)
    values = np.abs(sum(c * a**i * b**j for (i, j), c in terms.items()))
    bound = _bernstein_bound(terms, 2, degree)
    assert values.max() <= bound + 1e-12
    assert bound < (2.5 if degree == 3 else 1.3) * values.max()
