"""A data folder, no network, and tasks made of nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ult_lightning.data import Split, Task, TaskSpec

from .layouts import pixels


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    def refuse(*args: Any, **options: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def made_task() -> Callable[..., Task]:
    """A task of random images; the k-th training image is recognisable by its top left pixels."""

    def make(n: int = 50, *, classes: int = 2, channels: int = 1, seed: int = 0, name: str = "made") -> Task:
        def split(size: int, offset: int) -> Split:
            images = torch.from_numpy(pixels(seed + offset, size, channels, 32, 32))
            images[:, 0, 0, 0] = torch.arange(size) % 256
            images[:, 0, 0, 1] = torch.arange(size) // 256
            return Split(images, torch.arange(size) % classes)

        return Task(
            spec=TaskSpec(name),
            classes=classes,
            class_ids=tuple(range(classes)),
            origin=name,
            train=split(n, 0),
            valid=split(max(n // 5, classes), 1),
            test=split(max(n // 2, classes), 2),
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            seed=seed,
            digest="0" * 64,
            origin_classes=tuple(range(classes)),
        )

    return make
