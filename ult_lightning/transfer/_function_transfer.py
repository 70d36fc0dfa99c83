"""A frozen ticket on functions: how far W b(x) + c is from f on points that the head never saw."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ult_lightning.base import UltError, fault
from ult_lightning.heads import FUNCTION_HEADS, FrozenError, FunctionFit

if TYPE_CHECKING:
    from ult_lightning.data import FunctionTask
    from ult_lightning.nets import FrozenNetwork

Floats = NDArray[np.float64]
_BATCH = 2048


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
    member = FUNCTION_HEADS.get(head)
    settings = member.read(options)
    start = time.perf_counter()
    features = _Features(network, task.inputs, device)
    before = network.fingerprint()

    def sample(count: int) -> tuple[Floats, Floats]:
        points = task.train_points(count)
        return np.concatenate(list(features.batches(points))), task.values(points)

    fit = member.fit(sample, settings, dim=features.dim)
    fitted, spent = time.perf_counter(), features.seconds
    sup, rms, n_test = _test(features, task, fit)
    end = time.perf_counter()
    if network.fingerprint() != before:
        raise FrozenError(f"The network changed during the transfer ({before[:16]} before); no row is reported.")
    seconds = {
        "features": features.seconds,
        "head": fitted - start - spent,
        "test": end - fitted - (features.seconds - spent),
        "total": time.perf_counter() - start,
    }
    return FunctionResult(sup, rms, fit, n_test, features.dim, seconds, before)


class _Features:
    """The features (b, d), float64, of points (b, inputs) under a frozen network, a batch at a time."""

    def __init__(self, network: FrozenNetwork, inputs: int, device: str) -> None:
        check_takes_points(network, inputs)
        if any(p.requires_grad for p in network.parameters()):
            raise FrozenError("The network has trainable parameters; take a frozen one, as Ticket.network() gives it.")
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
                output = self._network(part.reshape(-1, *self._shape).to(self._device))  # (b, d)
            features: Floats = output.double().cpu().numpy()
            self.seconds += time.perf_counter() - start
            if not np.isfinite(features).all():
                raise UltError("The network's features are not finite on points of the unit cube; take another init.")
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
