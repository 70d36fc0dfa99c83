"""The real sets, in the layouts that users have, read without writing beside them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from ult_lightning.data import Task, load_task


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


def _load(name: str, real_data: Path, cache: Path, **options: int) -> Task:
    before = sorted(path.name for path in real_data.iterdir())
    task = load_task({"name": name, **options}, seed=0, data_dir=real_data, cache_dir=cache)
    assert sorted(path.name for path in real_data.iterdir()) == before
    return task


@pytest.mark.parametrize(
    ("name", "folder", "mean", "std"),
    [("mnist", "MNIST", 0.1307, 0.3081), ("fashion_mnist", "FashionMNIST", 0.2860, 0.3530)],
)
def test_the_grey_sets(name: str, folder: str, mean: float, std: float, real_data: Path, cache: Path) -> None:
    task = _load(name, real_data, cache)
    assert task.sizes == {"train": 54_000, "valid": 6_000, "test": 10_000}
    stored = np.fromfile(real_data / folder / "raw" / "t10k-images-idx3-ubyte", dtype=np.uint8)[16:]
    assert np.array_equal(task.test.images[:, 0, 2:30, 2:30].numpy(), stored.reshape(-1, 28, 28))
    labels = np.fromfile(real_data / folder / "raw" / "t10k-labels-idx1-ubyte", dtype=np.uint8)[8:]
    assert np.array_equal(task.test.labels.numpy(), labels)
    # the published statistics are those of the 28x28 images; padding scales the moments by (28 / 32)^2
    share = (28 / 32) ** 2
    assert task.mean[0] == pytest.approx(mean * share, abs=1e-3)
    assert task.std[0] == pytest.approx(((std**2 + mean**2) * share - (mean * share) ** 2) ** 0.5, abs=1e-3)


def test_mnist5k_lies_in_mnist(real_data: Path, cache: Path) -> None:
    """That is why both have one origin."""
    small = load_task("mnist5k", seed=0, data_dir=cache, cache_dir=cache)
    large = _load("mnist", real_data, cache)
    known = {image.numpy().tobytes() for part in (large.train, large.valid) for image in part.images}
    found = [image.numpy().tobytes() in known for image in small.test.images]
    assert len(found) == 1000
    assert all(found)
    assert small.origin == large.origin == "mnist"


@pytest.mark.slow
def test_cifar10_jpeg(real_data: Path, cache: Path) -> None:
    import pyarrow.parquet as pq
    from PIL import Image

    task = _load("cifar10_jpeg", real_data, cache)
    assert task.sizes == {"train": 45_000, "valid": 5_000, "test": 10_000}
    assert (task.origin, task.classes) == ("cifar10", 10)
    assert torch.bincount(task.valid.labels).tolist() == [500] * 10
    np.testing.assert_allclose(task.mean, (0.4914, 0.4822, 0.4465), atol=3e-3)
    np.testing.assert_allclose(task.std, (0.2470, 0.2435, 0.2616), atol=5e-3)
    (shard,) = real_data.glob("cifar10_jpeg/test-*.parquet")
    table = pq.read_table(shard)
    assert task.test.labels.tolist() == table["label"].to_pylist()
    for row in (0, 1, 5_000, 9_999):
        content = table["img"][row].as_py()["bytes"]
        wanted = np.asarray(Image.open(io.BytesIO(content)))
        assert np.array_equal(task.test.images[row].permute(1, 2, 0).numpy(), wanted)
    limited = _load("cifar10_jpeg", real_data, cache, train_limit=10_000)
    assert limited.sizes == {"train": 10_000, "valid": 1_000, "test": 10_000}
    assert limited.digest == task.digest
    state = hashlib.sha256(limited.train.labels.numpy().tobytes())
    assert state.digest() != hashlib.sha256(task.train.labels[:10_000].numpy().tobytes()).digest()
