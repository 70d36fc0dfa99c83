"""The door: help, versions, exit codes, tracebacks, Ctrl-C, broken pipes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TINY, Say
from tests.conftest import command_environment
from ult_lightning.base import UltError
from ult_lightning.cli import _help, main, search

HYDRA_VERBS = ("search", "construct", "transfer", "compare", "report")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_verb(say: Say, words: tuple[str, ...]) -> None:
    answer = say(*words)
    assert answer.code == 0
    assert len(_help.VERBS) == 7
    for verb in _help.VERBS:
        assert f"ult {verb}" in answer.out


@pytest.mark.parametrize("verb", sorted(_help.VERBS))
def test_each_verb_has_friendly_help_with_three_examples(say: Say, verb: str) -> None:
    answer = say(verb, "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"ult {verb}")
    assert "powered by" not in answer.out.lower()
    examples = [line for line in answer.out.splitlines() if line.startswith("  ult ")]
    assert len(examples) == 3
    assert max(map(len, answer.out.splitlines())) <= 120
    assert "OmegaConf" not in answer.out
    assert say(verb, "store=x", "-h").out == answer.out


def test_version(say: Say) -> None:
    assert say("--version").out.startswith("ult_lightning ")


def test_unknown_command_offers_the_nearest(say: Say) -> None:
    answer = say("serach")
    assert answer.code == 2
    assert "got 'serach'" in answer.sentence
    assert "did you mean search" in answer.sentence


def test_a_bug_is_one_line_with_its_traceback_in_the_run_folder(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cfg: Any, place: Any) -> None:
        raise ZeroDivisionError("seven")

    monkeypatch.setattr(search, "run", broken)
    answer = say("search", *TINY)
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert line.startswith("ult: this is a bug of ours, ZeroDivisionError: seven (traceback in ")
    file = Path(line.split("traceback in ")[1].split(";")[0])
    assert file.parent.parent.parent == Path("runs/search").absolute()
    text = file.read_text()
    assert "in broken" in text
    assert "ZeroDivisionError: seven" in text


def test_a_bug_outside_of_a_run_has_its_traceback_in_a_file_too(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ult_lightning.cli.rows.split_arguments", lambda *_: 1 / 0)
    answer = say("rows")
    assert answer.code == 1
    file = Path(answer.err.split("traceback in ")[1].split(";")[0])
    assert "ZeroDivisionError" in file.read_text()
    file.unlink()


@pytest.mark.parametrize("asked", ["argument", "environment"])
def test_a_traceback_for_those_who_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["search", *TINY, "density=7"]
    if asked == "argument":
        words.append("traceback=true")
    else:
        monkeypatch.setenv("ULT_TRACEBACK", "1")
    with pytest.raises(UltError, match="density: got 7"):
        main(words)


def test_ctrl_c_in_this_process(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(cfg: Any, place: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "run", stopped)
    answer = say("search", *TINY)
    assert answer.code == 130
    assert len(answer.err.splitlines()) == 1
    assert "Ctrl-C" in answer.err


def test_lightnings_exit_after_ctrl_c_counts_as_ctrl_c(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(cfg: Any, place: Any) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(search, "run", stopped)
    assert say("search", *TINY).code == 130


def test_ctrl_c_in_a_real_search(tmp_path: Path) -> None:
    words = [*TINY, "trainer.max_steps=100000", "trainer.max_epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "ult_lightning.cli", "search", *words],
        cwd=tmp_path,
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job has SIGINT ignored, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        wait_for(lambda: any((tmp_path / "store" / "searches").glob("*/last.ckpt")), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, err
    assert "Ctrl-C" in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.ticket"))


def wait_for(ready: Any, process: subprocess.Popen[str], limit: float = 90) -> None:
    start = time.monotonic()
    while not ready():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() - start < limit
        time.sleep(0.1)


def test_rows_into_a_reader_that_goes_away(tmp_path: Path, ult: Any) -> None:
    from tests.cli.test_rows import a_row
    from ult_lightning.results import RowStore

    store = RowStore(tmp_path / "store")
    for seed in range(300):
        store.add(a_row(seed=seed))
    command = f"{sys.executable} -m ult_lightning.cli rows store=store; echo code $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({command}) | head -1"],
        cwd=tmp_path,
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == "code 0\n"
