"""The door: help, versions, exit codes, tracebacks, Ctrl-C, broken pipes."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TINY, Say
from tests.conftest import command_environment
from ult_lightning.base import UltError
from ult_lightning.cli import main
from ult_lightning.cli.console.help import VERBS
from ult_lightning.cli.verbs import search

HYDRA_VERBS = ("search", "construct", "transfer", "compare", "report")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_verb(say: Say, words: tuple[str, ...]) -> None:
    answer = say(*words)
    assert answer.code == 0
    assert len(VERBS) == 7
    for verb in VERBS:
        assert f"ult {verb}" in answer.out


@pytest.mark.parametrize("verb", sorted(VERBS))
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


def test_a_bug_is_one_line_with_its_traceback_in_the_run_folder(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_bug_outside_of_a_run_has_its_traceback_in_a_file_too(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ult_lightning.cli.verbs.rows.split_arguments", lambda *_: 1 / 0)
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


def test_a_reader_that_went_away_under_the_progress_bar(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cfg: Any, place: Any) -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            sys.exit(1)  # as rich does

    monkeypatch.setattr(search, "run", broken)
    monkeypatch.setattr("ult_lightning.cli.console.exit.mute_stdout", lambda: None)
    answer = say("search", *TINY)
    assert (answer.code, answer.err) == (141, "")


def test_lightnings_word_for_sigterm(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    def stopped(cfg: Any, place: Any) -> None:
        raise SIGTERMException

    monkeypatch.setattr(search, "run", stopped)
    answer = say("search", *TINY)
    assert answer.code == 2
    assert answer.sentence.startswith("stopped by the signal SIGTERM; what is finished is kept, the same command")


def test_sigterm_once_and_only_where_nobody_else_handles_it(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[int] = []

    def stopped(cfg: Any, place: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # again, while cleaning up
            cleaned.append(1)

    monkeypatch.setattr(search, "run", stopped)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    answer = say("search", *TINY)
    assert answer.code == 143
    assert (
        answer.err
        == "ult: stopped by the signal SIGTERM; what is finished is kept, the same command goes on from there.\n"
    )
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert say("search", *TINY).code == 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert cleaned == [1, 1]


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "the signal SIGTERM")]
)
def test_a_real_search_is_stopped(tmp_path: Path, number: signal.Signals, code: int, said: str) -> None:
    words = [*TINY, "trainer.max_steps=100000"]
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
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == code, err
    assert f"ult: stopped by {said}; what is finished is kept, the same command goes on from there." in err
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


def test_a_search_into_a_reader_that_goes_away(tmp_path: Path) -> None:
    command = f"{sys.executable} -m ult_lightning.cli search {' '.join(TINY)}; echo code $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({command}) | head -c 10"],
        cwd=tmp_path,
        env=command_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == "code 141\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_a_full_disk_does_not_take(tmp_path: Path, unbuffered: str) -> None:
    from tests.cli.test_rows import a_row
    from ult_lightning.results import RowStore

    RowStore(tmp_path / "store").add(a_row())
    with open(tmp_path / "it", "w") as file:
        done = subprocess.run(
            [sys.executable, "-m", "ult_lightning.cli", "rows"],
            cwd=tmp_path,
            env={**command_environment(), "PYTHONUNBUFFERED": unbuffered},
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
        )
    assert done.returncode == 2
    assert done.stderr == (
        "ult: error: output: got 'stdout', wanted a place that can be written; "
        "the file is larger than this disk allows: let it lead to another place.\n"
    )


def test_a_terminal_that_knows_ascii_only(ult: Any) -> None:
    ascii = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = ult("search", *TINY, env=ascii)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Epoch 0/1" in done.stdout
    assert "?" in done.stdout


def test_a_warning_of_ours_is_one_line_though_lightning_is_there(ult: Any) -> None:
    done = ult("search", *TINY, "method.options.scope=global", "density=0.0013")
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("ult: warning: The mask keeps nothing")


def test_warnings_of_others_look_as_ever(
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def warning(cfg: Any, place: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("mind the gap", UserWarning, stacklevel=1)

    monkeypatch.setattr(search, "run", warning)
    before = warnings.showwarning
    with warnings.catch_warnings(record=True) as caught:
        assert say("search", *TINY).code == 0
    assert [str(one.message) for one in caught] == ["mind the gap"]
    assert warnings.showwarning is before
