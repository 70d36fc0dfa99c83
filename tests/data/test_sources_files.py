from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ult_lightning.data import DataError, Task, load_task

from .layouts import encoded, labels_of, pixels, write_folder, write_parquet


def _load(spec: Any, data_dir: Path) -> Task:
    return load_task(spec, seed=0, data_dir=data_dir, cache_dir=data_dir.parent / "cache")


def _parquet(folder: Path, *, classes: int = 3, per_class: int = 6, parts: tuple[str, ...] = ("train", "test")) -> Path:
    for seed, part in enumerate(parts):
        labels = labels_of(classes, per_class)
        contents = [encoded(image) for image in pixels(seed, len(labels), 32, 32, 3)]
        write_parquet(folder / f"{part}-00000-of-00001.parquet", contents, labels)
    return folder


def test_a_folder_by_path(data_dir: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "birds")
    task = _load(f"folder:{root}", data_dir)
    assert task.sizes == {"train": 15, "valid": 3, "test": 18}
    assert task.id == f"folder:{root}"
    assert task.test.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert np.array_equal(task.test.images[7].numpy(), pixels(101, 32, 32, 3).transpose(2, 0, 1))


def test_a_folder_by_path_and_classes(data_dir: Path, tmp_path: Path) -> None:
    task = _load(f"folder:{write_folder(tmp_path / 'birds')}:0+2", data_dir)
    assert task.class_ids == (0, 2)
    assert task.test.labels.tolist() == [0] * 6 + [1] * 6


def test_names_of_folders_in_the_data_folder(data_dir: Path) -> None:
    write_folder(data_dir / "birds")
    _parquet(data_dir / "fishes")
    _parquet(data_dir / "trees" / "data")
    assert [_load(name, data_dir).origin for name in ("birds", "fishes", "trees")] == ["birds", "fishes", "trees"]
    with pytest.raises(DataError, match="did you mean birds"):
        _load("brids", data_dir)


def test_grey_folders_stay_grey_and_large_images_shrink(data_dir: Path, tmp_path: Path) -> None:
    task = _load(f"folder:{write_folder(tmp_path / 'grey', side=70, grey=True)}", data_dir)
    assert task.train.images.shape[1:] == (1, 32, 32)
    assert task.batch("test", torch.arange(2))[0].shape == (2, 3, 32, 32)


def test_grey_and_colour_together_are_colour(data_dir: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mixed")
    grey = pixels(5, 32, 32)
    Image.fromarray(grey).save(root / "train" / "class0" / "0.png")
    task = _load(f"folder:{root}", data_dir)
    assert task.train.images.shape[1] == 3
    everything = torch.cat([task.train.images, task.valid.images])
    assert any(np.array_equal(image.numpy(), np.broadcast_to(grey, (3, 32, 32))) for image in everything)


def test_grey_training_and_colour_test(data_dir: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mixed", grey=True)
    Image.fromarray(pixels(5, 32, 32, 3)).save(root / "test" / "class0" / "0.png")
    task = _load(f"folder:{root}", data_dir)
    assert task.train.images.shape[1] == task.test.images.shape[1] == 3


def test_without_a_test_part_a_fifth_of_train_is_taken(data_dir: Path) -> None:
    _parquet(data_dir / "fishes", per_class=20, parts=("train",))
    one, two = (load_task("fishes", seed=seed, data_dir=data_dir) for seed in (0, 1))
    assert one.sizes == {"train": 43, "valid": 5, "test": 12}
    assert torch.equal(one.test.images, two.test.images)


def test_hidden_and_foreign_files_are_passed_over(data_dir: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "birds")
    (root / "train" / "class0" / ".hidden.png").write_bytes(b"no image")
    (root / "train" / "class0" / "notes.txt").write_text("no image")
    (root / "train" / ".cache").mkdir()
    assert _load(f"folder:{root}", data_dir).classes == 3


def test_shards_are_read_in_order(data_dir: Path) -> None:
    folder = data_dir / "fishes"
    for shard in range(3):
        contents = [encoded(image) for image in pixels(shard, 6, 32, 32, 3)]
        write_parquet(folder / f"test-0000{shard}-of-00003.parquet", contents, labels_of(3, 2))
    _parquet(folder, parts=("train",))
    wanted = np.concatenate([pixels(shard, 6, 32, 32, 3) for shard in range(3)]).transpose(0, 3, 1, 2)
    assert np.array_equal(_load("fishes", data_dir).test.images.numpy(), wanted)


@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "fine_label"), ("image", "labels")])
def test_other_column_names(data_dir: Path, image: str, label: str) -> None:
    contents = [encoded(one) for one in pixels(0, 30, 32, 32)]
    path = data_dir / "fishes" / "train-0.parquet"
    write_parquet(path, contents, labels_of(3, 10), image=image, label=label)
    assert _load("fishes", data_dir).classes == 3


def test_plain_bytes_without_a_struct(data_dir: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = [encoded(one) for one in pixels(0, 30, 32, 32)]
    (data_dir / "fishes").mkdir()
    pq.write_table(pa.table({"img": contents, "label": labels_of(3, 10)}), data_dir / "fishes" / "train-0.parquet")
    assert _load("fishes", data_dir).sizes["test"] == 6


def test_the_number_of_classes_comes_from_the_metadata(data_dir: Path) -> None:
    import pyarrow.parquet as pq

    path = _parquet(data_dir / "fishes", parts=("train",)) / "train-00000-of-00001.parquet"
    info = {"info": {"features": {"label": {"names": ["a", "b", "c", "d"], "_type": "ClassLabel"}}}}
    table = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, path)
    with pytest.raises(DataError, match="fishes: got 'no training image of class 3', wanted images of all classes"):
        _load("fishes", data_dir)


def _broken_image(root: Path) -> None:
    path = root / "train" / "class1" / "3.png"
    path.write_bytes(path.read_bytes()[:200])


def _no_image(root: Path) -> None:
    (root / "train" / "class1" / "3.png").write_bytes(b"text, not pixels")


def _strange_class(root: Path) -> None:
    (root / "test" / "class0").rename(root / "test" / "owl")


def _one_class(root: Path) -> None:
    for part in ("train", "test"):
        for name in ("class1", "class2"):
            (root / part / name).rename(root / f"{part}-{name}")


def _no_files(root: Path) -> None:
    (root / "train").rename(root / "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_broken_image, "{root}/train/class1/3.png: got "),
        (_no_image, "{root}/train/class1/3.png: got 'bytes of no known image format', wanted an image that decodes; "
         "mend or remove it."),
        (_strange_class, "{root} test: got 'class owl', wanted only classes of train: class0, class1, class2; rename"),
        (_one_class, "task: got 'folder:{root}', wanted a task with at least two classes"),
        (_no_files, "folder: got '{root}', wanted image files as train/CLASS/FILE (and val/, test/) or as CLASS/FILE; there are "
         "none: check the path."),
    ],
)  # fmt: skip
def test_folders_that_are_no_task(spoil: Any, message: str, data_dir: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "birds")
    spoil(root)
    with pytest.raises(DataError) as caught:
        _load(f"folder:{root}", data_dir)
    assert str(caught.value).startswith(message.format(root=root))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_path_that_is_not_there(data_dir: Path) -> None:
    for kind in ("folder", "parquet"):
        with pytest.raises(DataError, match=r"folder: got '/nowhere/at/all', wanted .* there are none: check the path"):
            _load(f"{kind}:/nowhere/at/all", data_dir)


def _spoiled(labels: Any, contents: list[Any] | None = None, **columns: str) -> Any:
    def write(folder: Path) -> None:
        images = contents if contents is not None else [encoded(one) for one in pixels(0, len(labels), 32, 32)]
        write_parquet(folder / "train-0.parquet", images, labels, **columns)

    return write


GOOD = [encoded(one) for one in pixels(0, 6, 32, 32)]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_spoiled([0, 1] * 3, [*GOOD[:4], b"nothing", GOOD[5]]), "{shard} row 4: got 'bytes of no known image format'"),
        (_spoiled([0, 1] * 3, [*GOOD[:2], GOOD[2][:80], *GOOD[3:]]), "{shard} row 2: got "),
        (_spoiled([0, 1] * 3, [None, *GOOD[1:]]), "{shard} row 0: got 'no bytes', wanted an encoded image"),
        (
            _spoiled([0, 1, 1, -1, 0, 1]),
            "{shard} row 3: got 'label -1', wanted labels of 0 or more; drop the unlabelled images, or move a split",
        ),
        (
            _spoiled([0.0, 1.0] * 3),
            "{shard}: got 'label of type double with 0 empty cells', wanted integers or text in every",
        ),
        (
            _spoiled([0, 1, None, 1, 0, 1]),
            "{shard}: got 'label of type int64 with 1 empty cells', wanted integers or text",
        ),
        (_spoiled(["a", None] * 3), "{shard}: got 'label of type string with 3 empty cells', wanted integers"),
        (_spoiled([True, False] * 3), "{shard}: got 'label of type bool with 0 empty cells', wanted integers"),
        (_spoiled([0] * 6), "task: got 'fishes', wanted a task with at least two classes"),
        (_spoiled([0, 1] * 3, image="picture"), "{shard}: got 'columns picture, label', wanted one named img or image"),
        (_spoiled([0, 1] * 3, label="kind"), "{shard}: got 'columns img, kind', wanted one named label or labels or"),
        (_spoiled(np.zeros(0, dtype=int), []), "fishes train: got 'no images', wanted at least one image"),
    ],
)
def test_parquet_files_that_are_no_task(write: Any, message: str, data_dir: Path) -> None:
    write(data_dir / "fishes")
    with pytest.raises(DataError) as caught:
        _load("fishes", data_dir)
    assert str(caught.value).startswith(message.format(shard=data_dir / "fishes" / "train-0.parquet"))
    assert not list(data_dir.parent.rglob("*.safetensors"))


def test_pixels_instead_of_encoded_images(data_dir: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (data_dir / "fishes").mkdir()
    table = pa.table({"img": [[1, 2, 3]] * 4, "label": [0, 1, 0, 1]})
    pq.write_table(table, data_dir / "fishes" / "train-0.parquet")
    with pytest.raises(DataError, match=r"img of type list<.*>', wanted encoded bytes; encode the images"):
        _load("fishes", data_dir)


def test_a_test_label_that_training_lacks(data_dir: Path) -> None:
    _parquet(data_dir / "fishes", classes=2, parts=("train",))
    contents = [encoded(one) for one in pixels(1, 4, 32, 32)]
    write_parquet(data_dir / "fishes" / "test-0.parquet", contents, [0, 1, 2, 1])
    with pytest.raises(DataError, match="fishes test: got 'class 2', wanted only classes of train: 0, 1; rename"):
        _load("fishes", data_dir)


def test_without_pyarrow_the_extra_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _parquet(data_dir / "fishes")
    real = builtins.__import__

    def no_pyarrow(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", no_pyarrow)
    with pytest.raises(DataError) as caught:
        _load("fishes", data_dir)
    assert str(caught.value) == (
        "parquet: got 'no pyarrow', wanted the package pyarrow to read parquet files; "
        "type pip install 'ult_lightning[parquet]'."
    )


def test_class_folders_that_are_numbers_are_numbered_as_numbers(data_dir: Path, tmp_path: Path) -> None:
    for label in range(12):
        for number in range(4):
            file = tmp_path / "signs" / "train" / str(label) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encoded(np.full((32, 32), 20 * label, dtype=np.uint8)))
    task = _load(f"folder:{tmp_path / 'signs'}:0+2+10", data_dir)
    for label, original in enumerate((0, 2, 10)):
        assert set(task.train.images[task.train.labels == label].flatten().tolist()) == {20 * original}


def test_classes_keep_their_names(data_dir: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "birds")
    for _ in range(2):  # read, then from the prepared copy
        task = _load(f"folder:{tmp_path / 'birds'}:0+2", data_dir)
        assert task.class_names == ("class0", "class2")
    assert "class_names" not in task.science()
    assert _load("digits:3+8", data_dir).class_names == ("3", "8")
    assert _load("digits:parity", data_dir).class_names is None
