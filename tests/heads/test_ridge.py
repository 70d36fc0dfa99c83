from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeClassifier
from torch import Tensor

from tests.heads.conftest import fit as fit_head
from ult_lightning.base import UltError, grid_reach
from ult_lightning.heads import LAMBDAS, FeatureStream, HeadPath, RidgeStatistics, ridge_path, ridge_path_dual
from ult_lightning.heads._linear import choose
from ult_lightning.heads._ridge import CHUNK_ROWS, add_gram, shifted_solves


def sample(n: int, d: int, k: int = 4, seed: int = 0, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    """ReLU-like features (n, d), some of them correlated, and labels that depend on them."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d // 2 + 1, d, generator=generator)
    x = torch.randn(n, d // 2 + 1, generator=generator) @ mixing + 0.3 * torch.randn(n, d, generator=generator)
    labels = (x[:, :k] + torch.randn(n, min(k, d), generator=generator)).argmax(1)
    return x.relu() + offset, labels


def streamed(x: Tensor, y: Tensor, k: int, batch: int) -> RidgeStatistics:
    statistics = RidgeStatistics(x.shape[1], k)
    for features, labels in zip(x.split(batch), y.split(batch), strict=True):
        statistics.accumulate(features, labels)
    return statistics


def standardised(x: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wide = x.double().numpy()
    mean, std = wide.mean(0), wide.std(0)
    std[std == 0] = np.inf
    return (wide - mean) / std, mean, std


def assert_is_ridge(path: HeadPath, x: Tensor, y: Tensor, k: int, tolerance: float) -> None:
    """Every head equals scikit-learn's Ridge with alpha = lambda n on standardised features."""
    z, mean, std = standardised(x)
    probe = torch.randn(50, x.shape[1], generator=torch.Generator().manual_seed(5))
    targets = np.eye(k)[y.numpy()]
    assert len(path.values) == len(LAMBDAS)
    for index, value in enumerate(path.values):
        reference = Ridge(alpha=value * len(x), solver="svd").fit(z, targets)
        expected = reference.predict((probe.double().numpy() - mean) / std)
        got = path.head(path.values[index])(probe).double().numpy()
        np.testing.assert_allclose(got, expected, atol=tolerance, err_msg=f"lambda {value}")


@pytest.mark.parametrize("batch", [1, 7, 200, 500])
def test_primal_equals_scikit_learn_for_every_lambda(batch: int) -> None:
    x, y = sample(500, 30)
    assert_is_ridge(ridge_path(streamed(x, y, 4, batch)), x, y, 4, 2e-4)


def test_dual_equals_scikit_learn_for_every_lambda() -> None:
    x, y = sample(40, 90)
    assert_is_ridge(ridge_path_dual(x, y, 4), x, y, 4, 2e-4)


def test_primal_and_dual_agree_on_both_sides_of_n_equal_d() -> None:
    for n in (30, 60, 120):
        x, y = sample(n, 60)
        primal, dual = ridge_path(streamed(x, y, 4, 50), [1.0, 0.01]), ridge_path_dual(x, y, 4, [1.0, 0.01])
        torch.testing.assert_close(primal.weights, dual.weights, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(primal.biases, dual.biases, atol=1e-4, rtol=1e-3)


def test_predictions_are_those_of_scikit_learns_classifier() -> None:
    x, y = sample(600, 40, seed=3)
    z, mean, std = standardised(x)
    path = ridge_path(streamed(x[:400], y[:400], 4, 64), [0.1])
    z, mean, std = standardised(x[:400])
    reference = RidgeClassifier(alpha=0.1 * 400).fit(z, y[:400].numpy())
    expected = reference.predict((x[400:].double().numpy() - mean) / std)
    assert (path.head(path.values[0])(x[400:]).argmax(1).numpy() == expected).mean() >= 0.995
    right = int((torch.from_numpy(expected) == y[400:]).sum())
    assert abs(int(path.correct(x[400:], y[400:])[0]) - right) <= 1
    assert right > 100


def test_the_path_is_sorted_from_the_largest_lambda() -> None:
    x, y = sample(100, 10)
    assert ridge_path(streamed(x, y, 4, 50), [0.1, 10.0, 1.0]).values == (10.0, 1.0, 0.1)


def test_streaming_in_any_batches_equals_one_shot() -> None:
    x, y = sample(CHUNK_ROWS + 300, 12, offset=5.0)
    whole = streamed(x, y, 4, len(x)).moments()
    for parts in (streamed(x, y, 4, 97), streamed(x, y, 4, 333)):
        for got, expected in zip(parts.moments(), whole, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-3)
        assert parts.n == len(x)


def test_moments_equal_float64_sums() -> None:
    x, y = sample(700, 20, offset=100.0)
    mean, gram, class_sums, counts = streamed(x, y, 4, 64).moments()
    wide = x.double()
    centred = wide - wide.mean(0)
    torch.testing.assert_close(mean, wide.mean(0), rtol=1e-7, atol=0)
    expected = centred.T @ centred
    torch.testing.assert_close(gram.triu(), expected.triu(), rtol=1e-5, atol=1e-2)
    chosen = torch.nn.functional.one_hot(y, 4).double()
    torch.testing.assert_close(class_sums, chosen.T @ centred, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(counts, chosen.sum(0))


def test_large_means_cost_no_digits() -> None:
    x, y = sample(500, 20)
    near, far = ridge_path(streamed(x, y, 4, 50)), ridge_path(streamed(x + 256, y, 4, 50))
    torch.testing.assert_close(far.weights, near.weights, rtol=0, atol=3e-4)


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("value", [0.0, 3.3, -1e4])
def test_constant_features_get_no_weight(dual: bool, value: float) -> None:
    x, y = sample(200, 12)
    held = torch.cat([x, torch.full((200, 1), value)], 1)
    path = ridge_path_dual(held, y, 4) if dual else ridge_path(streamed(held, y, 4, 30))
    bare = ridge_path_dual(x, y, 4) if dual else ridge_path(streamed(x, y, 4, 30))
    assert (path.weights[..., -1] == 0).all()
    torch.testing.assert_close(path.weights[..., :-1], bare.weights, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(path.biases, bare.biases, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dual", [False, True])
def test_a_class_without_training_images_is_never_predicted(dual: bool) -> None:
    x, y = sample(200, 12, k=3)
    path = ridge_path_dual(x, y, 4) if dual else ridge_path(streamed(x, y, 4, 30))
    assert (path.biases[:, 3] == -torch.inf).all()
    assert torch.isfinite(path.biases[:, :3]).all()
    assert torch.isfinite(path.weights).all()
    far = 100 * torch.randn(500, 12, generator=torch.Generator().manual_seed(0))
    assert int(path.scores(far).argmax(2).max()) == 2
    same = ridge_path_dual(x, y, 3) if dual else ridge_path(streamed(x, y, 3, 30))
    torch.testing.assert_close(path.weights[:, :3], same.weights, rtol=1e-4, atol=1e-6)


def test_features_that_overflow_float32_products_are_refused() -> None:
    x, y = sample(50, 6)
    with pytest.raises(UltError, match="too large for float32 products; search with norm=batch"):
        ridge_path(streamed(x * 1e25, y, 4, 10))
    with pytest.raises(UltError, match="features: got 0, wanted at least one row"):
        RidgeStatistics(6, 4).moments()


def test_lambdas_too_small_for_the_rounding_are_left_out() -> None:
    x, y = sample(200, 6)
    twice = torch.cat([x, x], 1)  # singular
    path = ridge_path(streamed(twice, y, 4, 50), [1.0, 1e-300])
    assert path.values == (1.0,)
    assert torch.isfinite(path.weights).all()


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 10_000))
def test_shifted_solves_equal_direct_solves(size: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root, right = rng.normal(size=(size, size)), rng.normal(size=(size, columns))
    matrix, shifts = root @ root.T, [10.0, 0.5, 1e-2]
    got = shifted_solves(np.triu(matrix), right, shifts)
    expected = np.stack([np.linalg.solve(matrix + shift * np.eye(size), right) for shift in shifts])
    assert got.shape == (3, size, columns)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


def test_indefinite_systems_are_nan_and_leave_the_others_alone() -> None:
    matrix = np.diag([3.0, -2.0, 1.0])
    got = shifted_solves(matrix.copy(), np.ones((3, 1)), [5.0, 1.0])
    np.testing.assert_allclose(got[0, :, 0], [1 / 8, 1 / 3, 1 / 6])
    assert np.isnan(got[1]).all()


def test_add_gram_fills_the_upper_triangle_over_several_blocks() -> None:
    rows = torch.randn(40, 1100, generator=torch.Generator().manual_seed(0))
    upper = torch.ones(1100, 1100, dtype=torch.float64)
    add_gram(upper, rows)
    torch.testing.assert_close(upper.triu(), (1 + rows.double().T @ rows.double()).triu(), rtol=1e-5, atol=1e-4)


def test_ten_thousand_rows_lose_no_more_than_float32_rounding() -> None:
    x, y = sample(3 * CHUNK_ROWS, 64, offset=3.0)
    path = ridge_path(streamed(x, y, 4, 125))
    z, _, std = standardised(x)
    targets = np.eye(4)[y.numpy()]
    for index, value in enumerate(path.values):
        w = np.linalg.solve(z.T @ z + value * len(x) * np.eye(64), z.T @ targets).T / std
        error = np.linalg.norm(path.weights[index].numpy() - w) / np.linalg.norm(w)
        assert error < 2e-5, value


@pytest.mark.parametrize("train", [16, 120])
def test_a_lambda_outside_the_given_ones_is_found_and_is_scikit_learns(networks: Any, tasks: Any, train: int) -> None:
    """Primal and dual: with lambdas far too large the best lies below, in half decades."""
    stream = FeatureStream(networks(24), tasks(train=train), batch_size=50)
    (features, labels), given = stream.collect("train"), [1e4, 1e5]
    fit = fit_head("ridge", stream, lambdas=given)
    grown = fit.hyper["lambda"]
    assert [value for value, _ in fit.grid.path][:2] == [1e5, 1e4]
    assert fit.hyper["form"] == ("dual" if train < 24 else "primal")
    assert grown in grid_reach(given, factor=10**0.5)
    z = ((features - features.mean(0)) / features.std(0, correction=0)).double().numpy()
    for value, _ in fit.grid.path:
        reference = Ridge(alpha=value * train).fit(z, np.eye(3)[labels.numpy()])
        alone = fit_head("ridge", stream, lambdas=[value])
        np.testing.assert_allclose(alone.head(features).numpy(), reference.predict(z), atol=1e-4)
        assert alone.valid_accuracy == dict(fit.grid.path)[value]
    again = fit_head("ridge", stream, lambdas=[grown])
    torch.testing.assert_close(fit.head.weight, again.head.weight)


def test_a_better_lambda_below_the_default_ones_is_taken() -> None:
    """Almost collinear features that only a tiny lambda tells apart."""
    generator = torch.Generator().manual_seed(0)
    signal, noise = torch.randn(400, generator=generator), torch.randn(400, generator=generator)
    x = torch.stack([signal * 0.01 + noise, noise], 1)
    y = (signal > 0).long()
    lambdas = [1.0, 0.1]
    path = ridge_path(streamed(x[:300], y[:300], 2, 50), grid_reach(lambdas, factor=10**0.5))
    grown = choose(path, [(x[300:], y[300:])], lambdas, argument="lambdas", factor=10**0.5)
    assert grown.edge
    assert grown.best < 0.1
    assert len(grown.path) == 5
