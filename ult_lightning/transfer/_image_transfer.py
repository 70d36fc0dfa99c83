"""Transfer: a frozen network and a task, in between a linear head, and the number that comes out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ult_lightning.base import fault
from ult_lightning.heads import HEADS, FeatureStream, FrozenError, HeadFit, LinearHead

if TYPE_CHECKING:
    from ult_lightning.data import Task
    from ult_lightning.nets import FrozenNetwork


@dataclass(frozen=True)
class TransferResult:
    """What one transfer found.

    ``accuracy`` on the ``n_test`` test images, in [0, 1]; ``fit`` the head and its choice; ``seconds`` of "features"
    (batches and forward passes over train and valid), "head" (all else of the fit), "test" and "total"; the
    network's fingerprints before and after, which are equal; ``images`` the training images that passed the network, each
    as often as it did; ``predictions`` (n_test,) int64 where asked for.
    """

    accuracy: float
    n_test: int
    fit: HeadFit
    seconds: dict[str, float]
    fingerprint_before: str
    fingerprint_after: str
    dim: int
    images: int
    predictions: Tensor | None = None


def transfer(
    network: FrozenNetwork,
    task: Task,
    *,
    head: str = "ridge",
    options: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    precision: str = "32",
    device: str = "cpu",
    seed: int = 0,
    keep_predictions: bool = False,
) -> TransferResult:
    """Fit a linear head on the task's training images and test it once.

    Hyper-parameters are chosen on the validation images. The head is **not** fitted again on training and validation
    images together: all arms are treated alike. Few shots are a task of their own (``task.few_shot``).
    ``options`` are those of the head (``ridge``: lambdas; ``logistic``: penalties, max_iter; ``sgd``: epochs, lrs, momentum,
    weight_decay, batch_size, augment). ``precision`` ("32" or "bf16") is that of the forward pass alone; ``batch_size`` its
    images at once, by default what is fast on the device.

    Raises ``UltError`` for an unknown head or option and for what ``FeatureStream`` refuses; ``FrozenError`` where
    the network is trainable, or not the same after as before: then there is no result.
    """
    member = HEADS.get(head)
    settings = member.read(options)
    start = time.perf_counter()
    stream = FeatureStream(network, task, batch_size=batch_size, precision=precision, device=device)
    if stream.sizes["test"] == 0:
        raise fault("task.test", 0, "at least one test image")
    before = network.fingerprint()
    began = _now(stream)
    fit = member.fit(stream, settings, seed=seed)
    fitted = _now(stream)
    features = stream.seconds
    accuracy, predictions = _test(stream, fit.head)
    tested = _now(stream)
    after = network.fingerprint()
    if after != before:
        raise FrozenError(
            f"The network changed during the transfer: fingerprint {before[:16]} before, {after[:16]} after; no row "
            "is reported."
        )
    fit = replace(fit, seconds=fitted - began)
    seconds = {"features": features, "head": fit.seconds - features, "test": tested - fitted}
    seconds["total"] = time.perf_counter() - start
    kept = predictions if keep_predictions else None
    n_test = stream.sizes["test"]
    return TransferResult(accuracy, n_test, fit, seconds, before, after, stream.dim, stream.images, kept)


def _test(stream: FeatureStream, head: LinearHead) -> tuple[float, Tensor]:
    """Accuracy on, and predictions for, the test images (n,)."""
    batches, right = [], 0
    for features, labels in stream.batches("test"):
        predicted = head(features).argmax(1)
        right += int((predicted == labels).sum())
        batches.append(predicted.cpu())
    predictions = torch.cat(batches)
    return right / len(predictions), predictions


def _now(stream: FeatureStream) -> float:
    if stream.device.type == "cuda":
        torch.cuda.synchronize(stream.device)
    return time.perf_counter()
