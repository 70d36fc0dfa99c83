"""torchvision's data sets, read from (and downloaded into) the folders that torchvision uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ult_lightning.base import UltError
from ult_lightning.data._errors import data_fault
from ult_lightning.data._source import TASKS, Raw, Source

# EMNIST's balanced set numbers 0-9, A-Z, then the small letters that do not look like their capitals; its letters
# set has A-Z with the small letters merged in. The balanced numbering is that of the origin.
_SMALL = {letter: 36 + place for place, letter in enumerate("abdefghnqrt")}
_LETTERS = tuple(
    (10 + place, *([_SMALL[letter]] if letter in _SMALL else []))
    for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")
)


def _pair(images: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Images (n, h, w), (n, h, w, 3) or (n, 3, h, w) and labels of any kind as (n, c, h, w) and (n,)."""
    pixels = np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[-1] == 3 and pixels.shape[1] != 3:
        pixels = pixels.transpose(0, 3, 1, 2)
    targets = np.asarray(labels, dtype=np.int64).reshape(-1)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(targets)


def _sets(class_name: str, data_dir: Path, *, download: bool, **options: Any) -> tuple[Any, Any]:
    from torchvision import datasets

    make = getattr(datasets, class_name)
    if class_name == "SVHN":
        return make(data_dir, split="train", download=download), make(data_dir, split="test", download=download)
    return make(data_dir, train=True, download=download, **options), make(
        data_dir, train=False, download=download, **options
    )


def _read(data_dir: Path, *, name: str, class_name: str, classes: int, options: dict[str, str]) -> Raw:
    try:
        train, test = _sets(class_name, data_dir, download=False, **options)
        target = "labels" if class_name == "SVHN" else "targets"
        parts = [_pair(part.data, getattr(part, target)) for part in (train, test)]
    except UltError:
        raise
    except Exception as cause:  # torchvision's readers raise whatever the damage leads to
        mend = "delete them and type download=true"
        raise data_fault(f"the files of {name} in {data_dir}", str(cause), "intact files", mend) from cause
    if class_name == "EMNIST":
        parts = [(images.transpose(2, 3), labels) for images, labels in parts]  # stored with rows and columns swapped
    if options.get("split") == "letters":
        parts = [(images, labels - 1) for images, labels in parts]  # stored as 1..26
    return Raw(parts[0], parts[1], classes=classes)


def _fetch(data_dir: Path, *, name: str, class_name: str, options: dict[str, str]) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        _sets(class_name, data_dir, download=True, **options)
    except Exception as cause:  # no network, no space, a moved file, a wrong checksum: each in its own type
        mend = "try again later, or put its files there by hand"
        got = " ".join(str(cause).split()) or type(cause).__name__
        raise data_fault(f"download of {name} to {data_dir}", got, "a complete download", mend) from cause


def _files(data_dir: Path, *, folder: str, names: tuple[str, ...]) -> list[Path]:
    return [data_dir / folder / name for name in names]


def _add(
    name: str,
    class_name: str,
    classes: int,
    folder: str,
    names: tuple[str, ...],
    *,
    origin: str | None = None,
    origin_classes: tuple[tuple[int, ...], ...] | None = None,
    augmentation: str = "shift",
    **options: str,
) -> None:
    read: Callable[[Path], Raw] = partial(_read, name=name, class_name=class_name, classes=classes, options=options)
    TASKS.add(
        name,
        Source(
            name,
            origin or name,
            read,
            partial(_files, folder=folder, names=names),
            partial(_fetch, name=name, class_name=class_name, options=options),
            origin_classes,
            augmentation=augmentation,
        ),
    )


def _idx(train: str, test: str) -> tuple[str, ...]:
    return tuple(f"{part}-{kind}-ubyte" for part in (train, test) for kind in ("images-idx3", "labels-idx1"))


_add("mnist", "MNIST", 10, "MNIST/raw", _idx("train", "t10k"))
_add("fashion_mnist", "FashionMNIST", 10, "FashionMNIST/raw", _idx("train", "t10k"), augmentation="crop_flip")
_add("kmnist", "KMNIST", 10, "KMNIST/raw", _idx("train", "t10k"))
_add(
    "emnist_letters",
    "EMNIST",
    26,
    "EMNIST/raw",
    _idx("emnist-letters-train", "emnist-letters-test"),
    origin="emnist",
    origin_classes=_LETTERS,
    split="letters",
)
_add(
    "emnist_balanced",
    "EMNIST",
    47,
    "EMNIST/raw",
    _idx("emnist-balanced-train", "emnist-balanced-test"),
    origin="emnist",
    split="balanced",
)
_add("usps", "USPS", 10, ".", ("usps.bz2", "usps.t.bz2"))
_add("svhn", "SVHN", 10, ".", ("train_32x32.mat", "test_32x32.mat"))
_add(
    "cifar10",
    "CIFAR10",
    10,
    "cifar-10-batches-py",
    (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"),
    augmentation="crop_flip",
)
_add("cifar100", "CIFAR100", 100, "cifar-100-python", ("train", "test", "meta"), augmentation="crop_flip")
