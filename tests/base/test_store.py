from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ult_lightning.base import UltError
from ult_lightning.base._store import STORE_FORMAT, check_store


def test_a_folder_that_is_not_there_is_an_empty_store(tmp_path: Path) -> None:
    check_store(tmp_path / "store")
    assert os.listdir(tmp_path) == []


def test_a_writer_leaves_the_mark_once(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "store"
    check_store(root, create=True)
    mark = root / "store.json"
    assert json.loads(mark.read_text()) == {"format": STORE_FORMAT, "made_by": "ult_lightning"}
    before = mark.stat().st_mtime_ns
    check_store(root, create=True)
    check_store(root)
    assert mark.stat().st_mtime_ns == before


@pytest.mark.parametrize(("version", "age"), [(STORE_FORMAT + 1, "a newer"), (STORE_FORMAT - 1, "an older")])
def test_another_version(tmp_path: Path, version: int, age: str) -> None:
    (tmp_path / "store.json").write_text(json.dumps({"format": version, "more": 1}))
    for create in (False, True):
        with pytest.raises(
            UltError,
            match=f"store.json: got {version}, wanted store format {STORE_FORMAT}; {age} ult_lightning wrote this store: "
            "use that version, or name another folder with store=.$",
        ):
            check_store(tmp_path, create=create)


@pytest.mark.parametrize(
    "content",
    [b"", b'{"format"', b"[1]", b"{}", b'{"format": true}', b'{"format": "1"}', b"\xff\xfe", b"[" * 200_000],
    ids=["empty", "half", "list", "keyless", "true", "text", "binary", "deep"],
)
def test_a_broken_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.json").write_bytes(content)
    with pytest.raises(UltError, match=r"store.json: the mark of the store is damaged or not ours; name another"):
        check_store(tmp_path)
    assert (tmp_path / "store.json").read_bytes() == content


def test_a_mark_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "store.json").mkdir()
    with pytest.raises(UltError, match=r"the mark of the store is damaged or not ours"):
        check_store(tmp_path)


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("x")
    with pytest.raises(
        UltError, match=r"^store: got '.*store', wanted a folder; this is a file: name another folder.$"
    ):
        check_store(tmp_path / "store", create=True)


def test_a_store_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(UltError):
        check_store(tmp_path / "a" / "store", create=True)
