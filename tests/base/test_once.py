from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ult_lightning.base import UltError, file_lock, once, provide, provided, write_text

REPO = Path(__file__).resolve().parents[2]

MAKER = """
import os, sys, time
from pathlib import Path
from ult_lightning.base import once, write_text

path, log = Path(sys.argv[1]), Path(sys.argv[2])

def make():
    with open(log, "a") as file:
        file.write("made\\n")
    time.sleep(0.5)
    write_text(path, "value")
    return "value"

print(once(path, make, Path.read_text, notice=lambda text: print(text, file=sys.stderr)))
"""

HOLDER = """
import sys, time
from pathlib import Path
from ult_lightning.base import file_lock

with file_lock(sys.argv[1]):
    Path(sys.argv[2]).touch()
    time.sleep(0.6)
    Path(sys.argv[3]).touch()
"""


def spawn(code: str, *words: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Work:
    """A piece of work that counts how often it is made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = 0
        self.told: list[str] = []

    def make(self) -> str:
        self.made += 1
        write_text(self.path, f"value {self.made}")
        return f"value {self.made}"

    def load(self, path: Path) -> str:
        text = path.read_text()
        if not text.startswith("value"):
            raise UltError(f"{path.name} is damaged.")
        return text

    def run(self, **options: bool) -> str:
        return once(self.path, self.make, self.load, notice=self.told.append, **options)


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    both = [spawn(MAKER, tmp_path / "a", tmp_path / "log") for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [out for out, _ in said] == ["value\n", "value\n"]
    assert (tmp_path / "log").read_text() == "made\n"
    assert "".join(err for _, err in said).count("is being made by another process; waiting for it.") <= 1


def test_a_finished_piece_is_reused_and_force_redoes_it(tmp_path: Path) -> None:
    work = Work(tmp_path / "a")
    assert [work.run(), work.run(), work.run(force=True), work.run()] == ["value 1"] * 2 + ["value 2"] * 2
    assert work.told == []


def test_a_broken_piece_is_redone_and_said_so(tmp_path: Path) -> None:
    work = Work(tmp_path / "a")
    write_text(work.path, "rubbish")
    assert work.run() == "value 1"
    assert work.told == [f"{work.path} cannot be used and is made again: a is damaged."]


def test_a_failed_make_leaves_the_lock_free(tmp_path: Path) -> None:
    def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        once(tmp_path / "a", fail, Path.read_text)
    assert Work(tmp_path / "a").run() == "value 1"


def test_a_maker_that_writes_nothing_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="returned without writing it"):
        once(tmp_path / "a", lambda: "x", Path.read_text)


def test_a_finished_piece_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(tmp_path / "a")
    work.run()
    refuse_to_open_locks(monkeypatch, errno.EROFS)
    assert work.run() == "value 1"
    with pytest.raises(UltError, match="the disk is read-only"):
        work.run(force=True)


def test_a_lock_waits_for_its_holder_and_says_so(tmp_path: Path) -> None:
    lock, held, left = tmp_path / "deep" / "a.lock", tmp_path / "held", tmp_path / "left"
    told: list[str] = []
    holder = spawn(HOLDER, lock, held, left)
    deadline = time.monotonic() + 30
    while not held.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with file_lock(lock, waiting=told.append):
        assert left.exists()
    holder.communicate(timeout=30)
    assert holder.returncode == 0
    assert told == [f"{lock} is held by another process; waiting for it."]


def test_a_lock_keeps_threads_apart(tmp_path: Path) -> None:
    inside: list[int] = []
    worst: list[int] = []

    def enter() -> None:
        with file_lock(tmp_path / "lock"):
            inside.append(1)
            worst.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert worst == [1, 1, 1, 1]


def test_a_lock_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "x")
    with pytest.raises(UltError, match="a part of the path is a file"), file_lock(tmp_path / "a" / "b" / "lock"):
        pass
    refuse_to_open_locks(monkeypatch, errno.EROFS)
    with pytest.raises(UltError, match="the disk is read-only"), file_lock(tmp_path / "lock"):
        pass


def test_wiring_imports_what_was_named() -> None:
    provide("test_join", "os.path:join")
    assert provided("test_join") is os.path.join
    with pytest.raises(LookupError, match="nobody provides 'test_absent'"):
        provided("test_absent")
    with pytest.raises(ValueError, match=r"wanted 'package\.module:attribute'"):
        provide("test_wrong", "os.path.join")


def refuse_to_open_locks(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.open

    def refuse(path: str, *rest: int, **more: int) -> int:
        if str(path).endswith("lock"):
            raise OSError(code, os.strerror(code), path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
