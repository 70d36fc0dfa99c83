from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ult_lightning.data import LABEL_MAPS, DataError, Task, TaskSpec, load_task, seen_by
from ult_lightning.data._task_spec import label_table


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _load(spec: Any, cache: Path, seed: int = 0) -> Task:
    return load_task(spec, seed=seed, data_dir=cache / "data", cache_dir=cache)


def test_label_tables() -> None:
    assert label_table(None, 3, task="t") == (0, 1, 2)
    assert label_table("parity", 4, task="t") == (0, 1, 0, 1)
    assert label_table("five_or_more", 7, task="t") == (0, 0, 0, 0, 0, 1, 1)
    assert label_table("0+2-3", 5, task="t") == (0, -1, 1, 2, -1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnist6k", "task: got 'mnist6k', wanted one of cifar10, "),
        ("mnist6k", "; did you mean mnist5k or mnist"),
        ("digits:4-10", "labels: got '4-10', wanted classes from 0 to 9; digits has no others."),
        ("digits:3", "task: got 'digits:3', wanted a task with at least two classes; keep more classes."),
        ({"name": "digits", "train_limit": 9}, "train_limit: got 9, wanted at least one image for each of 10 classes"),
        ({"name": "digits", "valid_limit": 5}, "valid_limit: got 5, wanted 10 to 1428 of 1438 training images; so"),
        ({"name": "digits", "valid_limit": 1430}, "valid_limit: got 1430, wanted 10 to 1428 of 1438 training images"),
    ],
)
def test_what_is_no_task(spec: Any, message: str, cache: Path) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        _load(spec, cache)


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0"])
def test_what_is_no_seed(seed: Any, cache: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"seed: got {seed!r}, wanted a whole number, 0 or more.")):
        _load("digits", cache, seed)


def test_five_or_more_needs_more_than_five_classes(cache: Path) -> None:
    assert _load("digits:five_or_more", cache).classes == 2
    with pytest.raises(DataError, match="task: got 't', wanted a task with at least two classes"):
        label_table("five_or_more", 5, task="t")


def test_limits(cache: Path) -> None:
    task = _load({"name": "mnist5k", "labels": "0-4", "train_limit": 100}, cache)
    assert task.sizes == {"train": 100, "valid": 100, "test": 500}
    assert torch.bincount(task.train.labels).tolist() == [20] * 5
    task = _load(TaskSpec("mnist5k", train_limit=1000, valid_limit=30), cache)
    assert task.sizes == {"train": 1000, "valid": 30, "test": 1000}


def test_the_parts_of_a_task_share_no_image(cache: Path) -> None:
    task = _load("mnist5k", cache)
    parts = [[image.numpy().tobytes() for image in part.images] for part in (task.train, task.valid, task.test)]
    everything = [image for part in parts for image in part]
    assert len(everything) == 5000 == len(set(everything))


def test_label_maps_leave_the_test_part_where_it_is(cache: Path) -> None:
    """No image that is test in one task of a data set is training in another one."""
    whole, parity, some = (_load(f"mnist5k{labels}", cache, seed=3) for labels in ("", ":parity", ":0-4"))
    test = {image.numpy().tobytes() for image in whole.test.images}
    for task in (parity, some):
        assert {image.numpy().tobytes() for image in task.test.images} <= test
        assert not test & {image.numpy().tobytes() for image in task.train.images}


def test_the_same_seed_is_the_same_task(cache: Path) -> None:
    one, two, other = (_load({"name": "mnist5k", "train_limit": 200}, cache, seed) for seed in (0, 0, 1))
    assert one.describe() == two.describe()
    assert torch.equal(one.train.images, two.train.images)
    assert not torch.equal(one.train.images, other.train.images)


def test_a_users_label_map(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = dict(LABEL_MAPS._members)
    monkeypatch.setattr(LABEL_MAPS, "_members", members)
    LABEL_MAPS.add("round", lambda classes: [0 if label in (0, 6, 8, 9) else 1 for label in range(classes)])
    task = _load("digits:round", cache)
    assert task.classes == 2
    assert 0.3 < float((task.test.labels == 0).float().mean()) < 0.5


@pytest.mark.parametrize(
    ("target", "sources", "seen"),
    [
        ("mnist5k:5-9", ["mnist5k:0-4"], False),
        ("mnist5k:5-9", ["mnist5k:0-5"], True),
        ("mnist5k:parity", ["mnist5k"], True),
        ("mnist5k:parity", ["mnist5k:0+1"], True),
        ("digits", ["mnist5k"], False),
        ("digits", ["mnist5k", "digits:0+1"], True),
        ("digits:2+3", ["digits:0+1", "digits:4-9"], False),
        ("digits", [], False),
    ],
)
def test_what_a_search_has_seen(target: str, sources: list[str], seen: bool, cache: Path) -> None:
    tasks = [_load(name, cache) for name in sources]
    assert seen_by(_load(target, cache), tasks) is seen
    assert seen_by(_load(target, cache).describe(), [task.describe() for task in tasks]) is seen


def _described(origin: str, class_ids: list[int], **more: Any) -> dict[str, Any]:
    return {"origin": origin, "class_ids": class_ids, **more}


def test_seen_compares_origins_in_their_own_numbering() -> None:
    letters = _described("emnist", [0], origin_classes=[10, 36])
    digits = _described("emnist", [0, 1], origin_classes=[0, 1])
    capitals = _described("emnist", [10, 11], origin_classes=[10, 11])
    assert not seen_by(letters, [digits])
    assert seen_by(letters, [digits, capitals])


def test_seen_knows_the_same_data_under_another_name() -> None:
    here = _described("folder:/a", [0, 1], digest="d")
    assert seen_by(here, [_described("folder:/b", [1, 2], digest="d")])
    assert not seen_by(here, [_described("folder:/b", [2, 3], digest="d")])
    assert not seen_by(here, [_described("folder:/b", [0, 1], digest="e")])


def test_seen_with_nothing_but_origin_and_classes() -> None:
    assert seen_by(_described("mnist", [0]), [_described("mnist", [0, 1])])
    assert not seen_by(_described("mnist", [0]), [_described("digits", [0, 1])])
