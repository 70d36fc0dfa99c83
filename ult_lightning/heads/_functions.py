"""Linear heads for functions: W b(x) + c fitted by least squares, and how far it is from f on points it never saw."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ult_lightning.base import Registry, UltError, fault, unknown
from ult_lightning.heads._features import FrozenError
from ult_lightning.heads._linear import at_least

if TYPE_CHECKING:
    from ult_lightning.data import FunctionTask
    from ult_lightning.nets import FrozenNetwork

Floats = NDArray[np.float64]
_LEAST_POINTS = 6000
_BATCH = 2048


@dataclass(frozen=True, eq=False)
class FunctionFit:
    """Heads of k functions: weights (k, d) and biases (k,) float64, on raw features; what they were fitted on.

    `rank` is that of the standardised features (n_train, d): below d, some features say nothing new.
    """

    weights: Floats
    biases: Floats
    n_train: int
    rank: int

    def __call__(self, features: Floats) -> Floats:
        values: Floats = features @ self.weights.T + self.biases  # (b, k)
        return values

    @property
    def norms(self) -> Floats:
        """The norm ||W||_1 of each function's head (k,): how much an error of the features can grow."""
        norms: Floats = np.abs(self.weights).sum(1)
        return norms


@dataclass(frozen=True, eq=False)
class FunctionResult:
    """What a transfer to functions found.

    `sup_errors` and `rms_errors` (k,) in the unit of the functions, over `n_test` points that the head never saw;
    `seconds` of "features" (all forward passes), "head", "test" and "total"; the network's fingerprint, the same
    before and after.
    """

    sup_errors: Floats
    rms_errors: Floats
    fit: FunctionFit
    n_test: int
    dim: int
    seconds: dict[str, float]
    fingerprint: str


Sample = Callable[[int], tuple[Floats, Floats]]
FUNCTION_HEADS: Registry[Callable[..., FunctionFit]] = Registry("head")
"""Fits `(sample, *, dim: int, **options) -> FunctionFit`: `sample(n)` has features (n, d) and values (n, k)."""


@FUNCTION_HEADS.register("lstsq")
def lstsq(sample: Sample, *, dim: int, points: int | None = None, rcond: float = 1e-10) -> FunctionFit:
    """Plain least squares in float64 on `points` training points (None: the larger of 6,000 and 4 * dim).

    Singular values below `rcond` times the largest are taken for 0; there is no ridge, which would cost accuracy in
    the sup norm. Raises UltError for fewer points than features and for an `rcond` outside [0, 1).
    """
    number = isinstance(rcond, int | float) and not isinstance(rcond, bool)
    if not number or not 0 <= rcond < 1:
        raise fault("head.options.rcond", rcond, "a number from 0 to below 1")
    if points is None:
        points = max(_LEAST_POINTS, 4 * dim)
    elif at_least("head.options.points", points, 1) <= dim:
        wanted = f"more points than the {dim:,} features of the ticket"
        raise fault("head.options.points", points, wanted, "leave it out for max(6000, 4 * features)")
    features, values = sample(points)
    weights, biases, rank = least_squares(features, values, rcond=rcond)
    return FunctionFit(weights, biases, points, rank)


def least_squares(features: Floats, values: Floats, *, rcond: float = 1e-10) -> tuple[Floats, Floats, int]:
    """Weights (k, d), biases (k,) and the rank for features (n, d) and values (n, k), in float64.

    The features are standardised first, so that their scale does not matter; constant ones get the weight 0. Of all
    solutions it is the one of least norm on standardised features.
    """
    centre, spread = features.mean(0), features.std(0)
    level = values.mean(0)
    alive = spread > 1e-12 * np.abs(features).max(0, initial=0.0)
    scale = np.where(alive, spread, 1.0)
    standard = np.where(alive, (features - centre) / scale, 0.0)
    solved, _, rank, _ = np.linalg.lstsq(standard, values - level, rcond=rcond)
    weights = (solved / scale[:, None]).T  # (k, d)
    return weights, level - weights @ centre, int(rank)


def transfer_functions(
    network: FrozenNetwork,
    task: FunctionTask,
    *,
    head: str = "lstsq",
    options: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> FunctionResult:
    """Fit one linear head per function of `task` on its training points, and measure it once on its test points.

    The features are computed in float32, all else in float64.

    Raises UltError for a network that takes no such points, an unknown head or option, and features that are not
    finite; FrozenError where the network is trainable, or not the same after as before: then there is no result.
    """
    maker, settings = FUNCTION_HEADS.get(head), _known_options(head, options)
    start = time.perf_counter()
    features = _Features(network, task.inputs, device)
    before = network.fingerprint()

    def sample(count: int) -> tuple[Floats, Floats]:
        points = task.train_points(count)
        return np.concatenate(list(features.batches(points))), task.values(points)

    fit = maker(sample, dim=features.dim, **settings)
    fitted, spent = time.perf_counter(), features.seconds
    sup, rms, n_test = _test(features, task, fit)
    end = time.perf_counter()
    if network.fingerprint() != before:
        raise FrozenError(
            f"The network changed during the transfer ({before[:16]} before); no row is reported."
        )
    seconds = {
        "features": features.seconds,
        "head": fitted - start - spent,
        "test": end - fitted - (features.seconds - spent),
        "total": time.perf_counter() - start,
    }
    return FunctionResult(sup, rms, fit, n_test, features.dim, seconds, before)


def function_head_options(head: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All options of a function head, those that are not given at their defaults; UltError for an unknown head."""
    parameters = inspect.signature(FUNCTION_HEADS.get(head)).parameters
    defaults = {name: p.default for name, p in parameters.items() if name not in ("sample", "dim")}
    return defaults | dict(options or {})


class _Features:
    """The features (b, d), float64, of points (b, inputs) under a frozen network, a batch at a time."""

    def __init__(self, network: FrozenNetwork, inputs: int, device: str) -> None:
        check_takes_points(network, inputs)
        if any(p.requires_grad for p in network.parameters()):
            raise FrozenError(
                "The network has trainable parameters; take a frozen one, as Ticket.network() gives it."
            )
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._shape = tuple(network.spec.input.shape)
        self.dim = int(network.dim)
        self.seconds = 0.0

    @torch.no_grad()
    def batches(self, points: Floats) -> Iterator[Floats]:
        for at in range(0, len(points), _BATCH):
            start = time.perf_counter()
            part = torch.from_numpy(points[at : at + _BATCH].astype(np.float32))
            with _full_float32(self._device):
                found = self._network(part.reshape(-1, *self._shape).to(self._device))  # (b, d)
            features: Floats = found.double().cpu().numpy()
            self.seconds += time.perf_counter() - start
            if not np.isfinite(features).all():
                raise UltError(
                    "The network's features are not finite on points of the unit cube; take another init."
                )
            yield features


def check_takes_points(network: FrozenNetwork, inputs: int) -> None:
    """Raise UltError unless `network` takes points (b, 1, 1, inputs) of the unit cube as they are."""
    spec = network.spec.input
    if tuple(spec.shape) != (1, 1, inputs):
        raise fault(
            "network",
            tuple(spec.shape),
            f"an input of shape (1, 1, {inputs}) for functions of {inputs} numbers",
            "take a ticket that was made for functions",
        )
    if spec.range != "unit":
        raise fault("network", spec.range, "input.range=unit", "functions live on the unit cube")


@contextmanager
def _full_float32(device: torch.device) -> Iterator[None]:
    """No TF32 in convolutions: its ten bits are less than the tickets promise."""
    if device.type != "cuda":
        yield
        return
    kept = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = kept


def _test(features: _Features, task: FunctionTask, fit: FunctionFit) -> tuple[Floats, Floats, int]:
    """The largest and the root mean square error (k,) of every function over the test points."""
    points = task.test_points()
    wanted = task.values(points)
    worst, squares, done = np.zeros(len(task.names)), np.zeros(len(task.names)), 0
    for batch in features.batches(points):
        error = np.abs(fit(batch) - wanted[done : done + len(batch)])
        worst = np.maximum(worst, error.max(0))
        squares += (error**2).sum(0)
        done += len(batch)
    return worst, np.sqrt(squares / done), done


def _known_options(head: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    known = function_head_options(head)
    for name in options or {}:
        if name not in known:
            raise unknown(f"head.{head} option", str(name), known)
    return dict(options or {})
