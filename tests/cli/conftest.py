"""The command line inside this process: fast, and with its output at hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ult_lightning.cli import main


@dataclass(frozen=True)
class Answer:
    """Exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on stderr that tells a user what is wrong; fails where there is more or less."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("ult: error: "), lines[0]
        assert "Traceback" not in self.out + self.err
        return lines[0].removeprefix("ult: error: ")


Say = Callable[..., Answer]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Say]:
    """`say("search", "net=conv2")` runs `ult` in `tmp_path`, as where the shell finds it."""
    monkeypatch.chdir(tmp_path)
    beside = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("ULT_TRACEBACK", raising=False)

    def run(*words: object) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        found = capsys.readouterr()
        return Answer(code, found.out, found.err)

    yield run
    close_log_files()


def close_log_files() -> None:
    """Hydra leaves the last job's log file open; an unclosed file is a warning, and warnings are errors here."""
    import logging

    for handler in list(logging.getLogger().handlers):
        if isinstance(handler, logging.FileHandler):
            logging.getLogger().removeHandler(handler)
            handler.close()


TINY = ("sources=[digits]", "net=conv2", "net.options.width=0.125", "trainer=smoke", "train_limit=200", "logger=none")
