"""Least squares for functions: exact where it can be, safe where features repeat, and honest about errors."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ult_lightning.base import UltError
from ult_lightning.data import FunctionTask, exponents_up_to, load_functions
from ult_lightning.heads import FUNCTION_HEADS, FrozenError, least_squares
from ult_lightning.transfer import transfer_functions


class Monomials(nn.Module):
    """Points (b, 1, 1, d) to all their monomials up to a degree, as a frozen network would give them."""

    def __init__(self, inputs: int, degree: int, *, error: float = 0.0, range: str = "unit", shape: Any = None):
        super().__init__()
        self.exponents = torch.from_numpy(exponents_up_to(inputs, degree)[1:])
        self.scale = nn.Parameter(torch.tensor(1.0), requires_grad=False)
        self.dim = len(self.exponents)
        self.error = error
        self.spec = SimpleNamespace(input=SimpleNamespace(shape=shape or (1, 1, inputs), range=range))
        self.rows = 0

    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.float32
        assert tuple(x.shape[1:]) == tuple(self.spec.input.shape)
        self.rows += len(x)
        features = (x.flatten(1).double()[:, None] ** self.exponents).prod(2)
        return self.scale * (features + self.error * torch.cos(300 * x.flatten(1).double().sum(1, keepdim=True)))

    def fingerprint(self) -> str:
        return hashlib.sha256(self.scale.detach().numpy().tobytes()).hexdigest()


def a_task(name: str = "polynomials:3", inputs: int = 2) -> FunctionTask:
    return load_functions(name, inputs=inputs, seed=0)


def test_every_function_head_is_here() -> None:
    assert FUNCTION_HEADS.names() == ("lstsq",)
    assert FUNCTION_HEADS.get("lstsq").read().to_dict() == {"points": None, "rcond": 1e-10}
    assert FUNCTION_HEADS.get("lstsq").read({"points": 9}).given() == {"points": 9}


@pytest.mark.parametrize("head", FUNCTION_HEADS.names())
def test_exact_features_give_exact_functions(head: str) -> None:
    task, network = a_task(), Monomials(2, 3)
    result = transfer_functions(network, task, head=head)  # type: ignore[arg-type]
    assert result.sup_errors.shape == result.rms_errors.shape == (8,)
    assert result.sup_errors.max() < 1e-12
    assert (result.rms_errors <= result.sup_errors).all()
    assert result.n_test == len(task.test_points())
    assert network.rows == result.fit.n_train + result.n_test
    assert result.fit.n_train == 6000
    assert (result.dim, result.fit.rank) == (9, 9)
    form = task.closed_form
    assert form is not None
    assert result.fit.weights == pytest.approx(form.coefficients[:, 1:], abs=1e-10)  # type: ignore[union-attr]
    assert result.fit.biases == pytest.approx(form.coefficients[:, 0], abs=1e-10)  # type: ignore[union-attr]
    assert result.fit.norms == pytest.approx(np.abs(form.coefficients[:, 1:]).sum(1), abs=1e-9)  # type: ignore[union-attr]
    assert set(result.seconds) == {"features", "head", "test", "total"}
    assert min(result.seconds.values()) >= 0


def test_errors_are_those_of_the_fitted_functions() -> None:
    task, network = a_task("outside"), Monomials(2, 2, error=1e-3)
    result = transfer_functions(network, task, options={"points": 500})  # type: ignore[arg-type]
    points = task.test_points()
    features = network(torch.from_numpy(points.astype("f4")).reshape(-1, 1, 1, 2)).numpy()
    error = features @ result.fit.weights.T + result.fit.biases - task.values(points)
    assert result.sup_errors == pytest.approx(np.abs(error).max(0), rel=1e-9)
    assert result.rms_errors == pytest.approx(np.sqrt((error**2).mean(0)), rel=1e-9)
    assert result.sup_errors.max() > 0.05  # a degree of 2 is too small for a kink
    assert result.fit.n_train == 500


def test_features_of_any_scale_give_the_same_head() -> None:
    task, tiny = a_task(), Monomials(2, 3)
    tiny.scale.fill_(1e-9)
    result = transfer_functions(tiny, task)  # type: ignore[arg-type]
    assert result.sup_errors.max() < 1e-12
    assert result.fit.rank == 9


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), d=st.integers(1, 8), k=st.integers(1, 3))
def test_least_squares_against_another_solver(seed: int, d: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    features, values = 3 + rng.standard_normal((40, d)), rng.standard_normal((40, k))
    weights, biases, rank = least_squares(features, values)
    known = scipy.linalg.lstsq(np.hstack([features, np.ones((40, 1))]), values, lapack_driver="gelsy")[0]
    assert weights == pytest.approx(known[:-1].T, abs=1e-9)
    assert biases == pytest.approx(known[-1], abs=1e-9)
    assert rank == d


def test_columns_of_very_different_scales_all_count() -> None:
    x = np.random.default_rng(0).standard_normal((100, 3))
    scales = np.array([1.0, 1e-14, 1e9])
    weights, _, rank = least_squares(x * scales, x.sum(1, keepdims=True))
    assert rank == 3
    assert weights[0] * scales == pytest.approx([1, 1, 1], abs=1e-9)


def test_repeated_and_constant_features_are_safe() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 2))
    features = np.column_stack([x[:, 0], x[:, 0], np.full(100, 7.0), x[:, 1], np.zeros(100)])
    weights, biases, rank = least_squares(features, 2 * x[:, :1] - x[:, 1:] + 5)
    assert rank == 2
    assert weights[0] == pytest.approx([1, 1, 0, -1, 0], abs=1e-12)
    assert biases == pytest.approx([5])


def test_a_changed_network_gives_no_result() -> None:
    class Drifting(Monomials):
        def forward(self, x: Tensor) -> Tensor:
            self.scale.add_(1e-3)
            return super().forward(x)

    with pytest.raises(FrozenError, match="changed during the transfer"):
        transfer_functions(Drifting(2, 3), a_task())  # type: ignore[arg-type]


def test_trainable_networks_are_refused() -> None:
    network = Monomials(2, 3)
    network.scale.requires_grad_(True)
    with pytest.raises(FrozenError, match="trainable"):
        transfer_functions(network, a_task())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("network", "more", "said"),
    [
        (Monomials(3, 1), {}, "wanted an input of shape (1, 1, 2) for functions of 2 numbers"),
        (Monomials(2, 1, shape=(3, 32, 32)), {}, "got (3, 32, 32)"),
        (Monomials(2, 1, range="standardized"), {}, "wanted input.range=unit"),
        (Monomials(2, 1), {"head": "lstsqq"}, "did you mean lstsq"),
        (Monomials(2, 1), {"options": {"point": 3}}, "did you mean points"),
        (Monomials(2, 1), {"options": {"points": 2}}, "more points than the 2 features"),
        (Monomials(2, 1), {"options": {"points": 0.5}}, "head.options.points: got 0.5"),
        (Monomials(2, 1), {"options": {"rcond": 1}}, "head.options.rcond: got 1"),
        (Monomials(2, 1), {"options": {"rcond": "a"}}, "head.options.rcond: got 'a'"),
        (Monomials(2, 1, error=float("nan")), {}, "not finite"),
    ],
)
def test_mistakes(network: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(UltError) as caught:
        transfer_functions(network, a_task(), **more)
    assert said in str(caught.value)
