"""The features of a task, a batch at a time: nothing is kept, and whoever needs a pass makes a pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ult_lightning.base import UltError, fault

if TYPE_CHECKING:
    from ult_lightning.data import Task
    from ult_lightning.nets import FrozenNetwork

Part = Literal["train", "valid", "test"]

CANONICAL = (3, 32, 32)
BATCH_SIZES = {"32": 64, "bf16": 125}
"""Images per forward pass on a CPU, by precision: small batches stay in the cache (in float32, 250 take 1.6 times as long per
image as 64; in bfloat16, 64 take 1.07 times as long as 125)."""

GPU_BATCH_SIZE = 1_000


class FrozenError(UltError):
    """A network that was to stay as it is, and did not or cannot."""


class FeatureStream:
    """Batches of (features (b, d) float32, labels (b,) int64) of a task's splits under a frozen network.

    ``dim`` is d, ``classes`` k, ``sizes`` the number of images per split; ``seconds`` adds up the time spent in
    making batches and in the forward pass, ``images`` the training images that passed. With ``precision="bf16"`` the forward pass runs in bfloat16 autocast.

    Raises ``UltError`` for a network of another input shape, a precision that is not there, an empty training
    part, and features that are not finite; ``FrozenError`` for a network with trainable parameters.
    """

    def __init__(
        self,
        network: FrozenNetwork,
        task: Task,
        *,
        batch_size: int | None = None,
        precision: str = "32",
        device: str = "cpu",
    ) -> None:
        if precision not in BATCH_SIZES:
            raise fault("precision", precision, f"one of {', '.join(BATCH_SIZES)}")
        if tuple(network.spec.input.shape) != CANONICAL:
            mend = "tasks are served as 3x32x32 images; search a ticket on tasks, or give it an adapter (input.adapter=pool16)"
            raise fault("network", tuple(network.spec.input.shape), f"an input of shape {CANONICAL}", mend)
        if any(p.requires_grad for p in network.parameters()):
            raise FrozenError("The network has trainable parameters; take a frozen one, as Ticket.network() gives it.")
        self.precision = precision
        self.device = torch.device(device)
        fitting = BATCH_SIZES[precision] if self.device.type == "cpu" else GPU_BATCH_SIZE
        self.batch_size = fitting if batch_size is None else batch_size
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise fault("batch_size", batch_size, "a whole number of at least 1")
        self.network = network.to(self.device).eval()
        self.task = task.to(device)
        self.dim, self.classes = int(network.dim), int(task.classes)
        self.sizes = {"train": len(task.train), "valid": len(task.valid), "test": len(task.test)}
        if self.sizes["train"] == 0:
            raise fault("task.train", 0, "at least one training image")
        self.range: Any = network.spec.input.range
        self.seconds, self.images = 0.0, 0

    def batches(self, split: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """All images of ``split`` once, in order."""
        source = iter(self.task.batches(split, self.batch_size, range=self.range))
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            if batch is None:
                return
            features = self._forward(batch[0])
            self.seconds += time.perf_counter() - start
            self.images += len(features) if split == "train" else 0
            yield features, batch[1]

    def draw(
        self,
        index: Tensor,
        *,
        augment: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The training images of numbers ``index`` (b,), with ``augment`` under the task's own policy."""
        start = time.perf_counter()
        x, labels = self.task.batch("train", index, augment=augment, generator=generator, range=self.range)
        features = self._forward(x)
        self.seconds += time.perf_counter() - start
        self.images += len(features)
        return features, labels

    def collect(self, split: Part) -> tuple[Tensor, Tensor]:
        """All features (n, d) and labels (n,) of ``split`` at once: n * d * 4 bytes."""
        features, labels = zip(*self.batches(split), strict=True)
        return torch.cat(features), torch.cat(labels)

    @torch.no_grad()
    def _forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)  # 2.5 times as fast as planes on a CPU
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features: Tensor = self.network(x)
        features = features.float()
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise fault("network", tuple(features.shape), f"features of shape (b, {self.dim})")
        # a finite sum has finite terms, and costs a fifth of looking at each
        if not (bool(torch.isfinite(features.sum())) or bool(torch.isfinite(features).all())):
            raise UltError(
                "The network's features are not finite on this task; search with norm=batch, another init or "
                "precision=32."
            )
        return features
