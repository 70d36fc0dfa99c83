"""A small network and small tasks that keep the contracts of `nets` and `data`, with nothing random left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ult_lightning.heads import HEADS, HeadFit


class FakeNetwork(nn.Module):
    """relu(A x + c) of the flattened image, (b, 3, 32, 32) -> (b, d), frozen."""

    def __init__(self, dim: int = 24, *, shape: tuple[int, int, int] = (3, 32, 32), range: str = "standardized"):
        super().__init__()
        self.map = nn.Linear(3 * 32 * 32, dim)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            self.map.weight.copy_(torch.randn(dim, 3 * 32 * 32, generator=generator) / 55)
            self.map.bias.copy_(torch.randn(dim, generator=generator) / 5)
        self.requires_grad_(False)
        self.dim = dim
        self.spec = SimpleNamespace(
            input=SimpleNamespace(shape=shape, range=range, adapter="none", crop=None, pool=None)
        )
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.map(x.flatten(1)).relu()

    def fingerprint(self) -> str:
        return hashlib.sha256(b"".join(p.cpu().numpy().tobytes() for p in self.parameters())).hexdigest()


@dataclass(frozen=True)
class FakeSplit:
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class FakeTask:
    classes: int
    train: FakeSplit
    valid: FakeSplit
    test: FakeSplit
    ranges: list[str] = field(default_factory=list)

    def to(self, device: str) -> FakeTask:
        return self

    def _floats(self, images: Tensor, range: str) -> Tensor:
        self.ranges.append(range)
        unit = images.float().expand(-1, 3, -1, -1) / 255
        return (unit - 0.5) / 0.3 if range == "standardized" else unit

    def batch(
        self,
        split: str,
        index: Tensor,
        *,
        augment: bool = False,
        generator: Any = None,
        range: str = "standardized",
    ) -> tuple[Tensor, Tensor]:
        part = getattr(self, split)
        images = part.images[index]
        if augment:
            flips = torch.rand(len(index), generator=generator) < 0.5
            images = torch.where(flips[:, None, None, None], images.flip(3), images)
        return self._floats(images, range), part.labels[index]

    def batches(
        self,
        split: str,
        batch_size: int = 500,
        *,
        range: str = "standardized",
    ) -> Iterator[tuple[Tensor, Tensor]]:
        part = getattr(self, split)
        for start in torch.arange(0, len(part), batch_size).tolist():
            stop = start + batch_size
            yield self._floats(part.images[start:stop], range), part.labels[start:stop]


def make_task(train: int = 120, valid: int = 40, test: int = 60, classes: int = 3, seed: int = 0) -> FakeTask:
    """Noisy images of `classes` patterns, learnable but not perfectly."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randint(0, 256, (classes, 1, 32, 32), generator=generator).float()

    def split(n: int) -> FakeSplit:
        labels = torch.arange(n) % classes
        noise = torch.randn(n, 1, 32, 32, generator=generator) * 40
        images = (0.35 * patterns[labels] + 80 + noise).clamp(0, 255).to(torch.uint8)
        return FakeSplit(images, labels)

    return FakeTask(classes, split(train), split(valid), split(test))


def fit(head: str, stream: Any, *, seed: int = 0, **options: Any) -> HeadFit:
    """A head by name, with options as they are typed."""
    member = HEADS.get(head)
    return member.fit(stream, member.read(options), seed=seed)


def without_class(task: FakeTask, label: int) -> FakeTask:
    """The task with no training image of `label`."""
    kept = task.train.labels != label
    return replace(task, train=FakeSplit(task.train.images[kept], task.train.labels[kept]))


@pytest.fixture
def task() -> FakeTask:
    return make_task()


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()


@pytest.fixture
def tasks() -> Callable[..., FakeTask]:
    return make_task


@pytest.fixture
def networks() -> Callable[..., FakeNetwork]:
    return FakeNetwork


@pytest.fixture
def lacking() -> Callable[[FakeTask, int], FakeTask]:
    return without_class
