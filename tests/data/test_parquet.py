"""Labels and columns of parquet files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ult_lightning.data import DataError, Task, load_task

from .layouts import encoded, pixels, write_parquet


def _load(spec: Any, data_dir: Path, **options: Any) -> Task:
    return load_task(spec, seed=0, data_dir=data_dir, cache_dir=data_dir.parent / "cache", **options)


def _write(path: Path, labels: Any, **columns: str) -> None:
    write_parquet(path, [encoded(one) for one in pixels(len(labels), len(labels), 32, 32)], labels, **columns)


def _numbers(task: Task, part: str) -> list[int]:
    return sorted(set(getattr(task, part).labels.tolist()))


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (["owl", "cat", "emu"], ("cat", "emu", "owl")),
        (["10", "9", "0"], ("0", "9", "10")),
        ([9, 0, 5], ("0", "5", "9")),
        ([10, 9, 1], ("1", "9", "10")),
        ([1, 2, 3], ("1", "2", "3")),
        ([0, 1, 2], ("0", "1", "2")),
        ([2**40, 0, 1], ("0", "1", str(2**40))),
    ],
)
@pytest.mark.parametrize("encoding", ["plain", "dictionary"])
def test_labels_are_numbered_in_order_and_keep_their_names(
    kinds: list[Any],
    names: tuple[str, ...],
    encoding: str,
    data_dir: Path,
) -> None:
    import pyarrow as pa

    for part, shift in (("train", 0), ("test", 1)):
        labels = pa.array([kinds[(k + shift) % 3] for k in range(30)])
        labels = labels.dictionary_encode() if encoding == "dictionary" else labels
        _write(data_dir / "fishes" / f"{part}-0.parquet", labels)
    for _ in range(2):  # read, then from the prepared copy
        task = _load("fishes", data_dir)
        assert task.class_names == names
        assert _numbers(task, "train") == _numbers(task, "test") == [0, 1, 2]
        wanted = [names.index(str(kinds[(k + 1) % 3])) for k in range(30)]
        assert task.test.labels.tolist() == wanted
    assert _load("fishes:0+2", data_dir).class_names == (names[0], names[2])


def _named(path: Path, names: list[str], column: str = "label") -> None:
    import pyarrow.parquet as pq

    info = {"info": {"features": {column: {"names": names, "_type": "ClassLabel"}}}}
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(info)}), path)


@pytest.mark.parametrize("column", ["label", "kind"])
def test_names_of_hugging_face_are_used(column: str, data_dir: Path) -> None:
    _write(data_dir / "fishes" / "train-0.parquet", [0, 1] * 10, label=column)
    _named(data_dir / "fishes" / "train-0.parquet", ["owl", "emu"], column)
    spec = {"name": "fishes"} if column == "label" else {"name": "fishes", "label": column}
    assert _load(spec, data_dir).class_names == ("owl", "emu")


def test_a_hugging_face_class_without_images_is_refused(data_dir: Path) -> None:
    _write(data_dir / "fishes" / "train-0.parquet", [0, 2] * 10)
    _named(data_dir / "fishes" / "train-0.parquet", ["owl", "emu", "cat"])
    with pytest.raises(DataError, match="fishes: got 'no training image of class 1', wanted images of all classes"):
        _load("fishes", data_dir)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("names", [None, ["owl", "emu"]])
def test_unlabelled_images_are_refused_in_words(part: str, names: Any, data_dir: Path) -> None:
    for each in ("train", "validation", "test"):
        path = data_dir / "fishes" / f"{each}-0.parquet"
        _write(path, [0, -1, 1] * 4 if each == part else [0, 1] * 6)
        if names is not None:
            _named(path, names)
    with pytest.raises(DataError) as caught:
        _load("fishes", data_dir)
    assert str(caught.value) == (
        f"{data_dir}/fishes/{part}-0.parquet row 1: got 'label -1', wanted labels of 0 or more; drop the unlabelled "
        "images, or move a split that has no labels elsewhere."
    )


def test_text_in_one_part_and_numbers_in_the_other_do_not_agree(data_dir: Path) -> None:
    _write(data_dir / "fishes" / "train-0.parquet", ["owl", "emu"] * 10)
    _write(data_dir / "fishes" / "test-0.parquet", [0, 1] * 5)
    with pytest.raises(DataError, match="fishes test: got 'class 0', wanted only classes of train: emu, owl; rename"):
        _load("fishes", data_dir)


def test_columns_are_chosen_by_name(data_dir: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    one, two = (list(map(encoded, pixels(seed, 20, 32, 32))) for seed in (1, 2))
    table = pa.table({"left": one, "right": two, "fine": [0, 1] * 10, "coarse": ["a"] * 10 + ["b"] * 10})
    (data_dir / "fishes").mkdir()
    pq.write_table(table, data_dir / "fishes" / "train-0.parquet")
    for name in ("fishes", f"parquet:{data_dir / 'fishes'}"):
        for image, label, names in (
            ("left", "fine", ("0", "1")),
            ("right", "coarse", ("a", "b")),
            ("left", "coarse", ("a", "b")),
        ):
            task = _load({"name": name, "image": image, "label": label}, data_dir)
            assert task.class_names == names
            assert task.id == f"{name}[image={image},label={label}]"
            stored = {content.tobytes() for content in pixels({"left": 1, "right": 2}[image], 20, 32, 32)}
            assert {row.numpy().tobytes() for row in task.test.images} <= stored
    heard: list[str] = []  # each choice has a prepared copy of its own
    for label in ("fine", "coarse", "fine"):
        _load({"name": "fishes", "image": "left", "label": label}, data_dir, notice=heard.append)
    assert heard == []


@pytest.mark.parametrize(
    ("columns", "spec", "message"),
    [
        (["pic", "label"], {}, "{shard}: got 'columns pic, label', wanted one named img or image; say which one with {{name: "
         "'parquet:{folder}', image: pic}}."),
        (["img", "kind"], {}, "{shard}: got 'columns img, kind', wanted one named label or labels or fine_label; say which one "
         "with {{name: 'parquet:{folder}', label: img}}."),
        (["img", "image", "label"], {}, "{shard}: got 'columns img, image, label', wanted one image column among them; say which "
         "one with {{name: 'parquet:{folder}', image: img}}."),
        (["img", "label", "fine_label"], {}, "{shard}: got 'columns img, label, fine_label', wanted one label column among them"),
        (["img", "kind"], {"label": "knid"}, "label for {shard}: got 'knid', wanted one of its columns img, kind; did you mean "
         "kind."),
        (["pic", "label"], {"image": "x"}, "image for {shard}: got 'x', wanted one of its columns pic, label; name one that is "
         "there."),
    ],
)  # fmt: skip
def test_columns_that_are_not_clear_are_refused_with_those_that_exist(
    columns: list[str],
    spec: dict[str, str],
    message: str,
    data_dir: Path,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = {"label": [0, 1] * 5, "fine_label": [0, 1] * 5, "kind": [0, 1] * 5}
    images = list(map(encoded, pixels(0, 10, 32, 32)))
    shard = data_dir / "fishes" / "train-0.parquet"
    shard.parent.mkdir()
    pq.write_table(pa.table({name: contents.get(name, images) for name in columns}), shard)
    with pytest.raises(DataError) as caught:
        _load({"name": "fishes", **spec}, data_dir)
    assert str(caught.value).startswith(message.format(shard=shard, folder=shard.parent))


@pytest.mark.parametrize("name", ["digits", "cifar10_jpeg", "owls"])
def test_only_parquet_files_of_ones_own_have_columns(name: str, data_dir: Path) -> None:
    file = data_dir / "owls" / "train" / "a" / "1.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(encoded(pixels(0, 32, 32)))
    with pytest.raises(DataError) as caught:
        _load({"name": name, "label": "kind"}, data_dir)
    assert str(caught.value) == (
        f"label: got 'kind', wanted no column, since {name} is not read from parquet files of yours; leave it out."
    )


def test_labels_of_all_parts_are_integers_of_torch(data_dir: Path) -> None:
    for part, kind in (("train", "int8"), ("test", "uint16")):
        import numpy as np

        _write(data_dir / "fishes" / f"{part}-0.parquet", np.array([0, 1] * 10, dtype=kind))
    task = _load("fishes", data_dir)
    assert {part.labels.dtype for part in (task.train, task.valid, task.test)} == {torch.int64}
