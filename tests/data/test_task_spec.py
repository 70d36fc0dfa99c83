from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.data import DataError, TaskSpec


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mnist5k", TaskSpec("mnist5k")),
        (" mnist5k ", TaskSpec("mnist5k")),
        ("mnist5k:parity", TaskSpec("mnist5k", labels="parity")),
        ("mnist5k:0-4", TaskSpec("mnist5k", labels="0-4")),
        ("mnist5k:0+2+7", TaskSpec("mnist5k", labels="0+2+7")),
        ("parquet:/some/folder", TaskSpec("parquet", path="/some/folder")),
        ("folder:/some/folder:0-4", TaskSpec("folder", path="/some/folder", labels="0-4")),
        ("folder:birds", TaskSpec("folder", path="birds")),
        ("folder:/odd:place/birds", TaskSpec("folder", path="/odd:place/birds")),
        ({"name": "mnist5k", "labels": "parity"}, TaskSpec("mnist5k", labels="parity")),
        ({"name": "mnist5k", "labels": 3, "train_limit": 5}, TaskSpec("mnist5k", labels="3", train_limit=5)),
        (TaskSpec("digits"), TaskSpec("digits")),
        ({"name": "folder:/data/uni=code, x"}, TaskSpec("folder", path="/data/uni=code, x")),
        ({"name": "folder:/data/uni=code, x:0+2"}, TaskSpec("folder", path="/data/uni=code, x", labels="0+2")),
        ({"name": "parquet:/a", "labels": "0+2", "path": None}, TaskSpec("parquet", path="/a", labels="0+2")),
        ({"name": "mnist5k:0-4", "train_limit": 9}, TaskSpec("mnist5k", labels="0-4", train_limit=9)),
        (
            {"name": "parquet:/a", "image": "picture", "label": "target"},
            TaskSpec("parquet", path="/a", image="picture", label="target"),
        ),
    ],
)
def test_what_a_user_types(text: Any, wanted: TaskSpec) -> None:
    assert TaskSpec.parse(text) == wanted


def test_the_id_is_what_a_user_types() -> None:
    for text in ("mnist5k", "mnist5k:parity", "mnist5k:0-4", "folder:/a/b:0+2", "parquet:/a/b"):
        assert TaskSpec.parse(text).id == text


def test_one_spelling_per_list_of_classes() -> None:
    assert TaskSpec.parse("mnist:4+3+2+0-1").id == "mnist:0-4"
    assert TaskSpec.parse("mnist:7+0+7").id == "mnist:0+7"


@given(st.sets(st.integers(0, 60), min_size=1))
def test_every_list_of_classes_survives_its_spelling(classes: set[int]) -> None:
    spec = TaskSpec("any", labels="+".join(str(label) for label in classes))
    found = set()
    for run in str(spec.labels).split("+"):
        low, _, high = run.partition("-")
        found |= set(range(int(low), int(high or low) + 1))
    assert found == classes
    assert TaskSpec.parse(spec.to_dict()) == spec


def test_the_dictionary_comes_back() -> None:
    spec = TaskSpec("folder", labels="0-2", path="/a:b", train_limit=7, valid_limit=3)
    assert TaskSpec.parse(spec.to_dict()) == spec


def test_columns_are_part_of_the_id_and_enter_no_dictionary_unnamed() -> None:
    spec = TaskSpec("parquet", path="/a", labels="0+2", label="kind")
    assert spec.id == "parquet:/a:0+2[label=kind]"
    assert TaskSpec.parse(spec.to_dict()) == spec
    spec = TaskSpec("mnist", augment="none")
    assert (spec.id, TaskSpec.parse(spec.to_dict())) == ("mnist", spec)
    assert set(TaskSpec("mnist").to_dict()) == {"name", "labels", "path", "train_limit", "valid_limit"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "task: got '', wanted a task's name"),
        ("a/b", "task: got 'a/b', wanted a task's name"),
        (7, "task: got 7, wanted text or a mapping"),
        ("mnist5k:", "task: got 'mnist5k:', wanted a label map behind the colon; write mnist5k:parity."),
        ("mnist5k:partiy", "labels: got 'partiy', wanted one of five_or_more, parity, or classes such as 0-4 or "
         "0+2+7; did you mean parity."),
        ("mnist5k:0,1", "labels: got '0,1', wanted one of five_or_more, parity, or classes such as 0-4 or 0+2+7; "
         "join single classes with +."),
        ("mnist5k:4-0", "labels: got '4-0', wanted ranges from low to high; write 0-4."),
        ("folder", "task: got 'folder', wanted a path behind it; write folder:/path/to/folder."),
        ("parquet:", "task: got 'parquet', wanted a path behind it"),
        ({"name": "mnist", "path": "/x"}, "path: got '/x', wanted no path, since only folder and parquet take one"),
        ({"name": "mnist5k:0-4", "labels": "parity"}, "labels: got 'parity', wanted it once, and mnist5k:0-4 says it; leave"),
        ({"name": "folder:/a", "path": "/b"}, "path: got '/b', wanted it once, and folder:/a says it; leave one of them out"),
        ({"name": "mnist5k:0-4", "path": "/b"}, "path: got '/b', wanted no path, since only folder and parquet take one"),
        ({"name": "a/b"}, "task: got 'a/b', wanted a task's name"),
        ({"name": "folder:/a", "label": "kind"}, "label: got 'kind', wanted no column, since only parquet files have some"),
        ({"name": "mnist", "augment": "flip"}, "augment: got 'flip', wanted one of crop_flip, none, shift; did you mean crop_flip"),
        ({"name": "mnist", "augment": True}, "augment: got True, wanted one of crop_flip, none, shift"),
        ({"name": "parquet:/a", "image": 3}, "image: got 3, wanted the name of a column; leave it out for the usual ones."),
        ({"labels": "parity"}, "task: got {'labels': 'parity'}, wanted the key name"),
        ({"name": "mnist", "lables": "parity"}, "task key: got 'lables', wanted one of augment, image, label, labels, name, path, "
         "train_limit, valid_limit; did you mean labels or label?"),
        ({"name": "mnist", "train_limit": 0}, "train_limit: got 0, wanted a number of images, 1 or more"),
        ({"name": "mnist", "valid_limit": 2.5}, "valid_limit: got 2.5, wanted a number of images, 1 or more"),
        ({"name": "mnist", "train_limit": True}, "train_limit: got True, wanted a number of images"),
    ],
)  # fmt: skip
def test_what_names_no_task(text: Any, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        TaskSpec.parse(text)
    assert str(caught.value).count("\n") == 0
