"""The layouts people have, in folders and in parquet files: which images become which part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ult_lightning.data import DataError, Split, Task, load_task

from .layouts import encoded, write_parquet

# Each part has images of its own brightness, so that every image tells where it lay.
BRIGHT = {"train": 10, "val": 100, "test": 200}
SPELLINGS = {"val": "val", "valid": "val", "validation": "val", "Val": "val", "training": "train", "testing": "test"}
Layout = Callable[..., str]


def _bytes(part: str, label: int, number: int) -> bytes:
    level = BRIGHT[SPELLINGS.get(part, part)]
    return encoded(np.full((32, 32), level + 10 * label + number % 10, dtype=np.uint8))


def _folder(root: Path, parts: Sequence[str], *, classes: int = 3, per_class: int = 10) -> str:
    for part in parts:
        for label in range(classes):
            for number in range(per_class):
                file = root / part / f"class{label}" / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(_bytes(part, label, number))
    return f"folder:{root}"


def _parquet(
    root: Path,
    parts: Sequence[str],
    *,
    classes: int = 3,
    per_class: int = 10,
    form: str = "{}-00000-of-00001.parquet",
) -> str:
    for part in parts:
        rows = [(_bytes(part, label, number), label) for label in range(classes) for number in range(per_class)]
        write_parquet(root / form.format(part), [content for content, _ in rows], [label for _, label in rows])
    return f"parquet:{root}"


def _load(name: Any, data_dir: Path, seed: int = 0, **options: Any) -> Task:
    return load_task(name, seed=seed, data_dir=data_dir, cache_dir=data_dir.parent / "cache", **options)


def _from(split: Split) -> set[str]:
    """Which parts on disk the images of a split lay in."""
    levels = split.images[:, 0, 0, 0].tolist()
    return {max((p for p in BRIGHT if BRIGHT[p] <= level), key=lambda p: BRIGHT[p]) for level in levels}


both = pytest.mark.parametrize("layout", [_folder, _parquet])


@both
@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_the_users_validation_part_is_used(layout: Layout, val: str, data_dir: Path) -> None:
    name, heard = layout(data_dir / "own", ["train", val, "test"]), []
    for seed in (0, 1, 0):  # read, then from the prepared copy
        task = _load(name, data_dir, seed, notice=heard.append)
        assert task.sizes == {"train": 30, "valid": 30, "test": 30}
        assert (_from(task.train), _from(task.valid), _from(task.test)) == ({"train"}, {"val"}, {"test"})
    assert heard == []
    assert task.describe()["test_from"] is None
    assert "test_from" not in task.science()


@both
@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_without_a_test_part_validation_is_the_test_part(layout: Layout, val: str, data_dir: Path) -> None:
    name = layout(data_dir / "own", ["train", val])
    for _ in range(2):  # read, then from the prepared copy
        heard: list[str] = []
        task = _load(name, data_dir, notice=heard.append)
        assert task.sizes == {"train": 27, "valid": 3, "test": 30}
        assert (_from(task.train), _from(task.valid), _from(task.test)) == ({"train"}, {"train"}, {"val"})
        assert heard == [f"{name} has no test part, so its validation part is the test split, and a part of the training "
                         "images is held out for validation."]  # fmt: skip
        assert task.describe()["test_from"] == task.science()["test_from"] == "val"


def test_class_folders_alone_give_the_fixed_test_split(data_dir: Path) -> None:
    whole = _folder(data_dir / "whole", ["train"], per_class=20)
    alone = f"folder:{data_dir / 'whole' / 'train'}x"
    (data_dir / "whole" / "trainx").symlink_to(data_dir / "whole" / "train")
    one, two, other_seed = _load(whole, data_dir), _load(alone, data_dir), _load(alone, data_dir, 1)
    assert two.sizes == {"train": 43, "valid": 5, "test": 12}
    assert torch.equal(one.test.images, two.test.images)
    assert torch.equal(other_seed.test.images, two.test.images)
    assert two.class_names == ("class0", "class1", "class2")
    assert one.science() == two.science()


def test_class_folders_in_the_data_folder_have_a_name(data_dir: Path) -> None:
    _folder(data_dir, ["train"])
    (data_dir / "train").rename(data_dir / "owls")
    assert _load("owls", data_dir).classes == 3
    with pytest.raises(DataError, match="did you mean owls"):
        _load("owl", data_dir)


def test_one_of_train_alone_in_parquet_keeps_the_fixed_split(data_dir: Path) -> None:
    one, two = (_load(_parquet(data_dir / "own", ["train"]), data_dir, seed) for seed in (0, 1))
    assert one.sizes["test"] == 6
    assert torch.equal(one.test.images, two.test.images)
    assert one.describe()["test_from"] is None


@pytest.mark.parametrize(
    "form", ["{}-00000-of-00001.parquet", "data/{}-00000-of-00001.parquet", "{}.parquet", "{}/0000.parquet", "data/{}.parquet"]
)  # fmt: skip
def test_forms_of_parquet_names(form: str, data_dir: Path) -> None:
    name = _parquet(data_dir / "own", ["train", "validation", "test"], form=form)
    for spec in (name, "own"):
        assert [_from(part) for part in _parts(_load(spec, data_dir))] == [{"train"}, {"val"}, {"test"}]


def test_training_and_testing_are_parts(data_dir: Path) -> None:
    task = _load(_folder(data_dir / "own", ["training", "testing"]), data_dir)
    assert [_from(part) for part in _parts(task)] == [{"train"}, {"train"}, {"test"}]


def _parts(task: Task) -> list[Split]:
    return [task.train, task.valid, task.test]


@both
def test_limits_with_a_validation_part_of_ones_own(layout: Layout, data_dir: Path) -> None:
    name = layout(data_dir / "own", ["train", "val", "test"])
    spec = {"name": name, "train_limit": 9, "valid_limit": 6}
    one, two = (_load(spec, data_dir, seed) for seed in (0, 1))
    for task in (one, two):
        assert task.sizes == {"train": 9, "valid": 6, "test": 30}
        assert torch.bincount(task.train.labels).tolist() == [3, 3, 3]
        assert torch.bincount(task.valid.labels).tolist() == [2, 2, 2]
        assert [_from(part) for part in _parts(task)] == [{"train"}, {"val"}, {"test"}]
    assert not torch.equal(one.train.images, two.train.images)
    assert _load({"name": name, "train_limit": 9}, data_dir).sizes["valid"] == 30
    assert _load({"name": name, "valid_limit": 500}, data_dir).sizes == {"train": 30, "valid": 30, "test": 30}
    with pytest.raises(DataError, match="valid_limit: got 2, wanted at least one image for each of 3 classes"):
        _load({"name": name, "valid_limit": 2}, data_dir)


@both
def test_label_maps_reach_the_validation_part(layout: Layout, data_dir: Path) -> None:
    task = _load(layout(data_dir / "own", ["train", "val", "test"]) + ":0+2", data_dir)
    assert task.sizes == {"train": 20, "valid": 20, "test": 20}
    assert task.valid.labels.unique().tolist() == [0, 1]
    assert set((task.valid.images[:, 0, 0, 0] // 10 * 10).tolist()) == {100, 120}


@both
def test_the_validation_part_decides_the_digest(layout: Layout, data_dir: Path) -> None:
    with_val = _load(layout(data_dir / "one", ["train", "val", "test"]), data_dir)
    without = _load(layout(data_dir / "two", ["train", "test"]), data_dir)
    assert with_val.digest != without.digest


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_that_training_lacks_is_refused_by_name(part: str, data_dir: Path) -> None:
    folder = _folder(data_dir / "own", ["train", "val", "test"])
    (data_dir / "own" / part / "class1").rename(data_dir / "own" / part / "owl")
    shown = {"val": "valid"}.get(part, part)
    with pytest.raises(DataError) as caught:
        _load(folder, data_dir)
    assert str(caught.value) == (
        f"{data_dir / 'own'} {shown}: got 'class owl', wanted only classes of train: class0, class1, class2; "
        "rename it or add it to train."
    )
    parquet = _parquet(data_dir / "fishes", ["train", "val", "test"])
    write_parquet(data_dir / "fishes" / f"{part}-00000-of-00001.parquet", [_bytes("val", 0, 0)], [7])
    with pytest.raises(
        DataError, match=f"fishes {shown}: got 'class 7', wanted only classes of train: 0, 1, 2; rename"
    ):
        _load(parquet, data_dir)


@pytest.mark.parametrize("layout", [_folder, _parquet])
def test_two_validation_parts_are_refused(layout: Layout, data_dir: Path) -> None:
    name = layout(data_dir / "own", ["train", "val", "validation"])
    with pytest.raises(DataError, match=r"own: got 'val\S* and validation\S*', wanted one validation part; move the"):
        _load(name, data_dir)


def test_the_same_part_in_two_forms_is_refused(data_dir: Path) -> None:
    _parquet(data_dir / "own", ["train"])
    name = _parquet(data_dir / "own", ["train"], form="{}.parquet")
    with pytest.raises(DataError, match=r"own: got 'train-\*.parquet and train.parquet', wanted one training part"):
        _load(name, data_dir)


@pytest.mark.parametrize("part", ["train", "test", "val"])
def test_images_in_a_part_without_class_folders_are_no_classes(part: str, data_dir: Path) -> None:
    """train/1.png beside test/1.png: two folders of images, and neither is a class."""
    for folder in (part, "other"):
        for number in range(5):
            file = data_dir / "own" / folder / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_bytes("train", 0, number))
    with pytest.raises(DataError, match=r"wanted image files as train/CLASS/FILE \(and val/, test/\) or as CLASS/FILE"):
        _load(f"folder:{data_dir / 'own'}", data_dir)


def test_images_deeper_than_class_folders_are_refused(data_dir: Path) -> None:
    """images/CLASS/FILE beside masks/CLASS/FILE: the folders above are no classes."""
    for above in ("images", "masks"):
        _folder(data_dir / "own" / above, ["train"])
    with pytest.raises(DataError) as caught:
        _load(f"folder:{data_dir / 'own'}", data_dir)
    assert str(caught.value) == (
        f"folder: got 'an image at {data_dir / 'own'}/images/train/class0/0.png', wanted images at CLASS/FILE; "
        "name the folder that holds the class folders."
    )


def test_a_change_of_layout_makes_the_prepared_copy_anew(data_dir: Path) -> None:
    name = _folder(data_dir / "own", ["train", "val"])
    assert _load(name, data_dir).sizes == {"train": 27, "valid": 3, "test": 30}
    (data_dir / "own" / "val").rename(data_dir / "own" / "test")
    task = _load(name, data_dir)
    assert task.describe()["test_from"] is None
    _folder(data_dir / "own", ["val"])
    assert _load(name, data_dir).sizes == {"train": 30, "valid": 30, "test": 30}


@both
def test_a_class_without_test_images_is_said_once_per_task(layout: Layout, data_dir: Path) -> None:
    name = layout(data_dir / "own", ["train"], classes=5)
    layout(data_dir / "own", ["val", "test"], classes=4)
    last = {_folder: "class4", _parquet: "4"}[layout]
    for _ in range(2):  # read, then from the prepared copy
        heard: list[str] = []
        assert _load(name, data_dir, notice=heard.append).sizes == {"train": 50, "valid": 40, "test": 40}
        assert heard == [
            f"The validation split of {name} has no image of class {last}.",
            f"The test split of {name} has no image of class {last}, so its accuracy says nothing of that.",
        ]
    heard = []
    _load(f"{name}:0-3", data_dir, notice=heard.append)
    assert heard == []


def test_many_classes_without_test_images_are_counted(data_dir: Path) -> None:
    name, heard = _folder(data_dir / "own", ["train"], classes=9), []
    _folder(data_dir / "own", ["test"], classes=2)
    _load(name, data_dir, notice=heard.append)
    assert heard == [f"The test split of {name} has no image of classes class2, class3, class4 and 4 more of its 9, so its "
                     "accuracy says nothing of those."]  # fmt: skip


@both
def test_images_of_ones_own_are_shifted_unless_the_spec_says_more(layout: Layout, data_dir: Path) -> None:
    name = layout(data_dir / "own", ["train"])
    assert _load(name, data_dir).augmentation == "shift"
    assert _load({"name": name, "augment": "crop_flip"}, data_dir).augmentation == "crop_flip"
