"""What all heads have in common, and the two that are not ridge."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from tests.heads.conftest import fit as fit_head
from ult_lightning.base import UltError
from ult_lightning.heads import HEADS, FeatureStream, HeadPath, LinearHead, LogisticSolver
from ult_lightning.heads._linear import choose
from ult_lightning.heads._logistic import Objective, standardise_
from ult_lightning.heads._probe import Order
from ult_lightning.transfer import transfer

QUICK: dict[str, dict[str, Any]] = {"ridge": {}, "logistic": {}, "sgd": {"epochs": 8, "batch_size": 16}}


def test_every_head_is_here() -> None:
    assert HEADS.names() == ("ridge", "logistic", "sgd")
    assert set(QUICK) == set(HEADS)
    assert list(HEADS.get("logistic").read().to_dict()) == ["penalties", "max_iter"]


@pytest.mark.parametrize("name", HEADS.names())
def test_a_head_learns_and_says_how(name: str, network: Any, task: Any) -> None:
    stream = FeatureStream(network, task, batch_size=50)
    fit = fit_head(name, stream, seed=0, **QUICK[name])
    assert tuple(fit.head.weight.shape) == (3, 24)
    assert tuple(fit.head.bias.shape) == (3,)
    assert fit.head.weight.dtype == torch.float32
    assert not fit.head.weight.requires_grad
    assert (fit.n_train, fit.n_valid) == (120, 40)
    features, labels = stream.collect("valid")
    accuracy = float((fit.head(features).argmax(1) == labels).double().mean())
    assert fit.valid_accuracy == pytest.approx(accuracy)
    assert fit.valid_accuracy > 0.7
    assert fit.valid_accuracy == fit.grid.score == max(accuracy for _, accuracy in fit.grid.path if accuracy)
    assert next(iter(fit.hyper.values())) == fit.grid.best
    assert stream.images == {"ridge": 120, "logistic": 120, "sgd": 8 * 112}[name]


@pytest.mark.parametrize("name", HEADS.names())
def test_a_head_is_the_same_every_time(name: str, network: Any, task: Any) -> None:
    torch.manual_seed(0)
    first = fit_head(name, FeatureStream(network, task), seed=3, **QUICK[name])
    torch.manual_seed(1)
    state = torch.get_rng_state()
    second = fit_head(name, FeatureStream(network, task), seed=3, **QUICK[name])
    assert torch.equal(first.head.weight, second.head.weight)
    assert torch.equal(first.head.bias, second.head.bias)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", HEADS.names())
def test_a_class_missing_in_training_is_no_obstacle(name: str, network: Any, task: Any, lacking: Any) -> None:
    result = transfer(network, lacking(task, 2), head=name, options=QUICK[name], keep_predictions=True)
    assert result.predictions is not None
    assert result.fit.head.classes == 3
    known = task.test.labels < 2
    assert (result.predictions[known] == task.test.labels[known]).double().mean() >= 0.8
    assert result.accuracy <= 2 / 3
    if name == "ridge":
        assert int(result.predictions.max()) == 1


@pytest.mark.parametrize("name", HEADS.names())
def test_no_validation_images_is_a_fault(name: str, network: Any, tasks: Callable[..., Any]) -> None:
    with pytest.raises(UltError, match=r"task\.valid: got 0, wanted at least one validation image"):
        transfer(network, tasks(valid=0), head=name, options=QUICK[name])


def path_of(rows: list[list[float]]) -> HeadPath:
    """Heads of one feature and two classes, one per row of (weight of class 1, bias of class 1)."""
    weights = torch.tensor([[[0.0], [w]] for w, _ in rows])
    biases = torch.tensor([[0.0, c] for _, c in rows])
    return HeadPath(tuple(2.0**i for i in range(len(rows))), weights, biases)


def test_choose_takes_the_best_and_the_first_of_equals() -> None:
    x, y = torch.tensor([[-1.0], [1.0], [2.0]]), torch.tensor([0, 1, 1])
    path = path_of([[-1.0, 0.0], [1.0, -1.5], [1.0, 0.0], [2.0, 0.0]])
    grown = choose(path, [(x[:2], y[:2]), (x[2:], y[2:])], (1.0, 2.0, 4.0, 8.0), argument="values", factor=2.0)
    assert grown.best == 4.0
    assert grown.path == ((1.0, 0.0), (2.0, 2 / 3), (4.0, 1.0), (8.0, 1.0))


def test_choose_grows_with_the_heads_that_are_there() -> None:
    x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    path = path_of([[-1.0, 0.0], [-1.0, 2.0], [1.0, 0.0]])  # values 1, 2 and 4: none, one and two right
    grown = choose(path, [(x, y)], (1.0, 2.0), argument="values", factor=2.0)
    assert grown.path == ((1.0, 0.0), (2.0, 0.5), (4.0, 1.0), (8.0, None))
    assert (grown.best, grown.edge) == (4.0, False)
    with pytest.raises(UltError, match=r"lrs: got \[16.0, 32.0\], wanted a value with a finite head; 1 is one"):
        choose(path, [(x, y)], (16.0, 32.0), argument="lrs", factor=2.0)


def test_path_scores_are_those_of_its_heads() -> None:
    generator = torch.Generator().manual_seed(0)
    path = HeadPath((1.0, 2.0), torch.randn(2, 3, 5, generator=generator), torch.randn(2, 3, generator=generator))
    x = torch.randn(7, 5, generator=generator)
    assert path.scores(x).shape == (7, 2, 3)
    for index in range(2):
        torch.testing.assert_close(path.scores(x)[:, index], path.head(path.values[index])(x))


def test_a_linear_head_is_an_affine_map_and_checks_its_shapes() -> None:
    head = LinearHead(torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([0.5, 0.0]))
    assert head(torch.tensor([[1.0, 1.0]])).tolist() == [[3.5, -1.0]]
    assert (head.classes, head.dim) == (2, 2)
    with pytest.raises(UltError, match="wanted a weight"):
        LinearHead(torch.zeros(2, 3), torch.zeros(3))


# logistic


def blobs(n: int = 300, d: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(n, d, generator=generator) * torch.linspace(0.1, 5, d) + 3
    scaled = (x - 3) / torch.linspace(0.1, 5, d)
    return x, (scaled[:, :3] + 0.8 * torch.randn(n, 3, generator=generator)).argmax(1)


def test_logistic_equals_scikit_learn() -> None:
    x, y = blobs()
    solver = LogisticSolver(x.clone(), y, 3)
    path = solver.path([0.1, 1e-3])
    z = ((x - x.mean(0)) / x.std(0, correction=0)).double().numpy()
    for penalty in path.values:
        reference = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-8, max_iter=2000).fit(z, y.numpy())
        got = path.head(penalty)(x).log_softmax(1).numpy()
        np.testing.assert_allclose(got, reference.predict_log_proba(z), atol=5e-3)
    assert min(solver.iterations.values()) > 1


def test_the_objectives_gradient_is_its_slope() -> None:
    x, y = blobs(60, 5)
    standardise_(x)
    objective = Objective(x, y, 3)
    rng = np.random.default_rng(0)
    point, direction = rng.normal(size=18), rng.normal(size=18)
    step = 1e-2
    slope = (objective(point + step * direction, 0.3)[0] - objective(point - step * direction, 0.3)[0]) / (2 * step)
    assert slope == pytest.approx(objective(point, 0.3)[1] @ direction, rel=1e-3)


def test_standardise_leaves_constants_at_zero() -> None:
    x, _ = blobs(5000, 4)
    x[:, 1] = 7.7
    mean, inverse = standardise_(x)
    assert x[:, 1].abs().max() == 0
    assert inverse[1] == 0
    assert mean[1] == pytest.approx(7.7)
    torch.testing.assert_close(x.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(x[:, [0, 2, 3]].std(0, correction=0), torch.ones(3))


def test_one_iteration_is_not_enough(network: Any, task: Any) -> None:
    stream = FeatureStream(network, task)
    short = fit_head("logistic", stream, max_iter=1, penalties=[1e-4])
    long = fit_head("logistic", stream, penalties=[1e-4])
    assert short.hyper["iterations"] == 1 < long.hyper["iterations"]


# sgd


def test_the_probe_passes_every_image_through_the_network_in_each_epoch(network: Any, task: Any) -> None:
    fit_head("sgd", FeatureStream(network, task, batch_size=50), epochs=3, batch_size=40)
    assert network.calls == 3 * 3 + 1  # three epochs of three batches, one batch of validation


def test_rates_that_diverge_lose_or_are_named(network: Any, task: Any) -> None:
    stream = FeatureStream(network, task)
    fit = fit_head("sgd", stream, epochs=2, batch_size=16, lrs=[1e38, 0.03])
    assert dict(fit.grid.path)[1e38] is None
    assert fit.hyper["lr"] <= 0.03
    with pytest.raises(
        UltError, match=r"diverged at every learning rate \(1e\+38\); add a smaller one to head.options.lrs"
    ):
        fit_head("sgd", stream, epochs=2, batch_size=16, lrs=[1e38])


def test_augmentation_changes_the_probe(network: Any, task: Any) -> None:
    plain, flipped = (
        fit_head("sgd", FeatureStream(network, task), epochs=1, augment=augment) for augment in (False, True)
    )
    assert not torch.equal(plain.head.weight, flipped.head.weight)


def test_the_probe_leaves_nothing_behind(
    network: Any,
    task: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    fit_head("sgd", FeatureStream(network, task), epochs=1)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_order_gives_whole_batches_of_new_permutations() -> None:
    order = Order(10, 4, seed=0)
    first, second = list(order), list(order)
    assert [len(batch) for batch in first] == [4, 4] == [4] * len(order)
    assert len(set(torch.cat(first).tolist())) == 8
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert [len(batch) for batch in Order(3, 128, seed=0)] == [3]


def test_a_probe_needs_two_images(network: Any, tasks: Callable[..., Any]) -> None:
    with pytest.raises(UltError, match=r"task\.train: got 1, wanted at least two training images"):
        transfer(network, tasks(train=1), head="sgd")


# bad options


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        (
            "ridge",
            {"lambda": [1]},
            r"option of head.options: got 'lambda', wanted one of lambdas; did you mean lambdas\?",
        ),
        ("ridge", {"lambdas": []}, r"head.options.lambdas: got \[\], wanted a list of at least one of numbers\."),
        ("ridge", {"lambdas": 0.1}, r"head.options.lambdas: got 0.1, wanted a list of numbers"),
        ("ridge", {"lambdas": "0.1"}, r"head.options.lambdas: got '0.1', wanted a list of numbers"),
        ("ridge", {"lambdas": [1, 0]}, r"head.options.lambdas: got 0, wanted a number above 0\."),
        ("ridge", {"lambdas": [math.inf]}, r"head.options.lambdas: got inf, wanted a number"),
        ("ridge", {"lambdas": [1, 1.0]}, r"head.options.lambdas: got \[1, 1.0\], wanted each entry once\."),
        ("logistic", {"penalties": [-1]}, r"head.options.penalties: got -1, wanted a number above 0"),
        ("logistic", {"max_iter": 0}, r"head.options.max_iter: got 0, wanted a whole number at least 1\."),
        ("sgd", {"epochs": 1.5}, r"head.options.epochs: got 1.5, wanted a whole number at least 1\."),
        ("sgd", {"lrs": [True]}, r"head.options.lrs: got True, wanted a number above 0"),
        ("sgd", {"momentum": 1.0}, r"head.options.momentum: got 1.0, wanted a number at least 0 and below 1\."),
        ("sgd", {"weight_decay": -1}, r"head.options.weight_decay: got -1, wanted a number at least 0\."),
        ("sgd", {"batch_size": 1}, r"head.options.batch_size: got 1, wanted a whole number at least 2\."),
        ("sgd", {"augment": "yes"}, r"head.options.augment: got 'yes', wanted true or false\."),
    ],
)
def test_bad_options_get_one_sentence(
    network: Any,
    task: Any,
    head: str,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UltError, match=message):
        transfer(network, task, head=head, options=options)
    assert network.calls == 0


def test_ridge_starts_without_lightning(repo: Path) -> None:
    import subprocess

    code = "import sys, ult_lightning.heads; print('lightning' in sys.modules, 'scipy.linalg' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


# grids that grow


class Collinear:
    """A stream of two features that only a head with large weights of opposite sign can use."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        signal, noise = torch.randn(600, generator=generator), torch.randn(600, generator=generator)
        x, y = torch.stack([signal * 0.1 + noise, noise], 1), (signal > 0).long()
        self.parts = {"train": (x[:400], y[:400]), "valid": (x[400:], y[400:])}
        self.sizes = {"train": 400, "valid": 200}
        self.dim, self.classes, self.device = 2, 2, torch.device("cpu")

    def collect(self, part: str) -> tuple[Tensor, Tensor]:
        x, y = self.parts[part]
        return x.clone(), y

    def batches(self, part: str) -> list[tuple[Tensor, Tensor]]:
        return [self.collect(part)]

    def draw(self, index: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        x, y = self.parts["train"]
        return x[index], y[index]


@pytest.mark.parametrize(
    ("name", "key", "grid", "grown", "options"),
    [
        ("logistic", "penalty", {"penalties": [10.0, 1.0]}, (0.1, 0.01, 0.001), {}),
        ("sgd", "lr", {"lrs": [1e-3, 1e-4]}, (3e-3, 9e-3, 2.7e-2), {"epochs": 2, "batch_size": 40}),
    ],
)
def test_a_best_value_outside_the_given_ones_is_found(
    name: str,
    key: str,
    grid: dict[str, list[float]],
    grown: tuple[float, ...],
    options: dict[str, Any],
) -> None:
    fit = fit_head(name, Collinear(), **grid, **options)
    assert [value for value, _ in fit.grid.path] == [*next(iter(grid.values())), *grown]
    assert fit.hyper[key] == fit.grid.best == grown[-1]
    assert fit.grid.edge  # three steps were not enough
    alone = fit_head(name, Collinear(), **{next(iter(grid)): [grown[-1]]}, **options)
    torch.testing.assert_close(fit.head.weight, alone.head.weight, rtol=0.05, atol=1e-3)
    assert alone.grid.path == ((grown[-1], pytest.approx(fit.valid_accuracy, abs=0.01)),)
    assert not alone.grid.edge


def test_growing_costs_the_probe_no_pass_through_the_network(network: Any, task: Any) -> None:
    stream = FeatureStream(network, task)
    fit_head("sgd", stream, epochs=1, batch_size=16, lrs=[1e-4, 1e-5])
    assert stream.images == 7 * 16
