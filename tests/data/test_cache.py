from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.data.layouts import write_folder
from ult_lightning.base import Registry, UltError
from ult_lightning.data import TASKS, DataError, Raw, Source, Task, _cache, default_cache_dir, load_task


class Counted:
    """A source that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def source(self, *, kept: bool = True) -> Source:
        return Source("counted", "counted", self._read, lambda data_dir: [data_dir / "counted.txt"], kept=kept)

    def _read(self, data_dir: Path) -> Raw:
        self.reads += 1
        images = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1, 1).repeat(1, 1, 28, 28)
        shift = len((data_dir / "counted.txt").read_text())
        return Raw((images + shift, torch.arange(40) % 2), (images[:10], torch.arange(10) % 2), classes=2)


@pytest.fixture
def counted(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    registry: Registry[Source] = Registry("task")
    one = Counted()
    registry.add("counted", one.source())
    monkeypatch.setattr("ult_lightning.data.sources._find.TASKS", registry)
    (data_dir / "counted.txt").write_text("x")
    return one


def _load(data_dir: Path, cache_dir: Path | None = None, said: list[str] | None = None) -> Task:
    return load_task(
        "counted", seed=0, data_dir=data_dir, cache_dir=cache_dir, notice=None if said is None else said.append
    )


def _copy(folder: Path) -> Path:
    (found,) = folder.glob("*.safetensors")
    return found


def test_a_link_to_the_files_does_not_make_the_copy_stale(data_dir: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "birds")
    (tmp_path / "link").symlink_to(tmp_path / "birds")
    said: list[str] = []
    for name in ("birds", "link", "birds", "link"):
        load_task(f"folder:{tmp_path / name}", seed=0, data_dir=data_dir, notice=said.append)
    assert said == []


def test_a_folder_that_cannot_be_written_names_the_key_that_helps(
    counted: Counted,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_cache.os, "access", lambda *_: False)
    monkeypatch.setenv("HOME", "/nowhere/at/all")
    with pytest.raises(
        UltError, match=r"cache_dir: got '/nowhere/at/all/.cache/ult_lightning', .* name one with cache_dir=FOLDER"
    ):
        load_task("counted", seed=0, data_dir=data_dir)


def test_a_download_needs_a_data_dir_that_can_be_written(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cache.os, "access", lambda *_: False)
    with pytest.raises(DataError, match=r"data_dir: got .* name one with data_dir=FOLDER"):
        load_task("usps", seed=0, data_dir=data_dir, download=True)
    assert list(data_dir.iterdir()) == []


def test_a_set_is_prepared_once(counted: Counted, data_dir: Path, tmp_path: Path) -> None:
    first, second = (_load(data_dir, tmp_path / "cache") for _ in range(2))
    assert counted.reads == 1
    assert torch.equal(first.train.images, second.train.images)
    assert first.digest == second.digest
    assert not (data_dir / "prepared").exists()


def test_threads_prepare_it_once(counted: Counted, data_dir: Path, tmp_path: Path) -> None:
    found: list[Task] = []
    threads = [threading.Thread(target=lambda: found.append(_load(data_dir, tmp_path / "cache"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert counted.reads == 1


def test_a_changed_source_file_makes_it_stale(counted: Counted, data_dir: Path, tmp_path: Path) -> None:
    before, said = _load(data_dir, tmp_path / "cache"), []
    (data_dir / "counted.txt").write_text("longer")
    after = _load(data_dir, tmp_path / "cache", said)
    assert counted.reads == 2
    assert before.digest != after.digest
    assert len(said) == 1
    assert "one of the files as they are now" in said[0]
    os.utime(data_dir / "counted.txt", ns=(1, 1))
    assert _load(data_dir, tmp_path / "cache").digest == after.digest
    assert counted.reads == 3


@pytest.mark.parametrize("position", [3, 40, 400, -5000, -1])
def test_a_flipped_bit_makes_it_again(counted: Counted, data_dir: Path, tmp_path: Path, position: int) -> None:
    before = _load(data_dir, tmp_path / "cache")
    copy = _copy(tmp_path / "cache")
    content = bytearray(copy.read_bytes())
    content[position] ^= 4
    copy.write_bytes(content)
    after = _load(data_dir, tmp_path / "cache")
    assert counted.reads == 2
    assert after.digest == before.digest
    assert torch.equal(after.train.images, before.train.images)


@pytest.mark.parametrize("content", [b"", b"text", bytes(100)])
def test_another_file_in_its_place_is_replaced(
    counted: Counted,
    data_dir: Path,
    tmp_path: Path,
    content: bytes,
) -> None:
    _load(data_dir, tmp_path / "cache")
    _copy(tmp_path / "cache").write_bytes(content)
    said: list[str] = []
    _load(data_dir, tmp_path / "cache", said)
    assert counted.reads == 2
    assert "wanted an intact file" in said[0]


def test_two_data_folders_share_a_cache_folder(counted: Counted, data_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "counted.txt").write_text("x")
    for folder in (data_dir, other, data_dir, other):
        _load(folder, tmp_path / "cache")
    assert counted.reads == 2


def test_the_data_folder_may_be_named_in_two_ways(
    counted: Counted,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (data_dir, Path("data")):
        _load(folder, tmp_path / "cache")
    assert counted.reads == 1


def test_others_may_read_the_copy(counted: Counted, data_dir: Path, tmp_path: Path) -> None:
    _load(data_dir, tmp_path / "cache")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(_copy(tmp_path / "cache").stat().st_mode) == 0o666 & ~mask


def test_the_default_folder_lies_in_the_data_folder(counted: Counted, data_dir: Path) -> None:
    _load(data_dir)
    assert _copy(data_dir / "prepared").name.startswith("counted-")


def test_a_data_folder_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_cache_dir(Path("data")) == Path("data/prepared")


def test_a_read_only_data_folder(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: not Path(path).is_relative_to(data_dir))
    assert default_cache_dir(data_dir) == Path.home() / ".cache" / "ult_lightning"


def test_a_cache_folder_that_cannot_be_written(counted: Counted, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        UltError, match=r"cache_dir: got .*, wanted a folder that can be written; name one with cache_dir=FOLDER"
    ):
        _load(data_dir, tmp_path / "file" / "cache")


def test_sets_that_are_not_worth_a_file(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[Source] = Registry("task")
    one = Counted()
    registry.add("counted", one.source(kept=False))
    monkeypatch.setattr("ult_lightning.data.sources._find.TASKS", registry)
    (data_dir / "counted.txt").write_text("x")
    digests = {_load(data_dir).digest for _ in range(2)}
    assert one.reads == 2
    assert len(digests) == 1
    assert [path.name for path in data_dir.iterdir()] == ["counted.txt"]
    assert not TASKS.get("digits").kept


def test_a_missing_file_of_a_set_that_cannot_be_fetched(counted: Counted, data_dir: Path) -> None:
    (data_dir / "counted.txt").unlink()
    with pytest.raises(DataError, match=r"data_dir for counted: got 'no .*counted.txt', wanted its 1 files; put"):
        load_task("counted", seed=0, data_dir=data_dir, download=True)
