from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.base import UltError, atomic_path, write_bytes, write_text


def test_the_file_appears_only_at_the_end(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "er" / "a.json"
    with atomic_path(final) as draft:
        assert draft.parent == final.parent
        assert draft.suffix == ".json"
        draft.write_text("new")
        assert not final.exists()
    assert final.read_text() == "new"
    assert os.listdir(final.parent) == ["a.json"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, UltError])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: type[BaseException]) -> None:
    final = tmp_path / "a"
    write_text(final, "old")
    with pytest.raises(failure), atomic_path(final) as draft:
        draft.write_text("ne")
        raise failure
    assert final.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_killed_writer_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from ult_lightning.base import atomic_path\n"
        "with atomic_path(sys.argv[1]) as draft:\n"
        "    draft.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    final = tmp_path / "a"
    done = subprocess.run([sys.executable, "-c", code, str(final)], env=environment())
    assert done.returncode == -9
    assert not final.exists()
    write_text(final, "whole")
    assert final.read_text() == "whole"


@given(data=st.binary(max_size=4096))
def test_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    final = tmp_path_factory.getbasetemp() / "bytes"
    write_bytes(final, data)
    assert final.read_bytes() == data


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "ä\r\nb\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa4\r\nb\n"


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    with (
        largest_file(1000),
        pytest.raises(UltError, match=r"^path: got '.*/a', wanted a place .*; the file is larger .*\.$"),
    ):
        write_bytes(tmp_path / "a", bytes(5000))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
    ],
)
def test_each_refusal_has_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UltError, match=words) as caught:
        write_text(tmp_path / "a", "x")
    assert len(str(caught.value).splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_a_path_through_a_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    for path in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        with pytest.raises(UltError, match="a part of the path is a file"):
            write_text(path, "y")


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UltError, match="a folder of that name is there"):
        write_text(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UltError, match="permission is denied"):
            write_text(tmp_path / "a", "x")
    finally:
        tmp_path.chmod(0o755)


def test_trouble_with_another_file_is_not_called_this_ones(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no", "/elsewhere/secret")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "absent").read_text()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
