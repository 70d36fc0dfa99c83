"""Sweeps: one job that fails, two jobs with one `out=`, how to run again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TINY, Say
from ult_lightning.base import UltError
from ult_lightning.cli.console import sweep as _sweep
from ult_lightning.cli.console.job import Place
from ult_lightning.cli.verbs import report, search

Body = Callable[[Any, Place], None]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the jobs that ran to their end; seed 1 is refused, seed 5 is a bug of ours."""
    seeds: list[int] = []

    def body(cfg: Any, place: Place) -> None:
        told = search.read(cfg)
        place.claim(told.out)
        if told.seed == 1:
            raise UltError("seed: got 1, wanted another.")
        if told.seed == 5:
            raise ZeroDivisionError("five")
        if told.out is not None:
            told.out.write_text(str(told.seed))
        seeds.append(told.seed)

    monkeypatch.setattr(search, "run", body)
    return seeds


def sweep_folder() -> Path:
    (folder,) = Path("runs/search").glob("*/*-sweep")
    return folder


def test_all_is_well(say: Say, ran: list[int]) -> None:
    answer = say("search", "-m", *TINY, "seed=0,2")
    assert answer.code == 0
    assert answer.err == ""
    assert ran == [0, 2]
    assert {path.name for path in sweep_folder().iterdir() if path.is_dir()} == {"0", "1"}
    assert (sweep_folder() / "1" / ".hydra" / "overrides.yaml").is_file()


@pytest.mark.parametrize("batches", [[], ["hydra.sweeper.max_batch_size=1"]], ids=["one batch", "batches of one"])
def test_a_failing_job_stops_no_other_and_can_be_run_again(say: Say, ran: list[int], batches: list[str]) -> None:
    answer = say("search", *TINY, "-m", "seed=0,1,2,5", "out='o ${seed}.ticket'", *batches)
    assert answer.code == 1
    assert ran == [0, 2]
    assert "Traceback" not in answer.err
    assert "Error executing" not in answer.err
    head, *lines = answer.err[answer.err.index("ult: 2 of 4") :].splitlines()
    assert head == "ult: 2 of 4 jobs failed; to run them again:"
    assert lines[0] == "  #1 seed: got 1, wanted another."
    assert lines[2].startswith("  #3 this is a bug of ours, ZeroDivisionError: five (traceback in ")
    for line, seed in ((lines[1], 1), (lines[3], 5)):
        words = shlex.split(line)
        assert words[:2] == ["ult", "search"]
        assert f"seed={seed}" in words
        assert "-m" not in words
        again = say(*words[1:])
        assert again.code == (2 if seed == 1 else 1)
        assert ("got 1" if seed == 1 else "five") in again.err


def test_the_rerun_command_keeps_the_users_config_folder(say: Say, ran: list[int], tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text("# @package _global_\nmixing: joint\n")
    answer = say("search", "-m", "--config-dir", "mine", *TINY, "experiment=own", "seed=1,2")
    assert answer.code == 1
    assert "ult search --config-dir=mine " in answer.err


def test_a_job_that_cannot_compose_stops_the_sweep_before_it_starts(say: Say, ran: list[int]) -> None:
    answer = say("search", "-m", *TINY[:1], "net=conv2,cnov4", "logger=none")
    assert answer.code == 2
    assert "got 'cnov4'" in answer.sentence
    assert ran == []


def test_a_job_that_died_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fate = {"number": 0, "overrides": ["seed=0"]}
    _sweep.write_note(tmp_path / "0", state="finished", **fate)
    assert _sweep.report_failures(tmp_path, ["ult", "search"]) == 0
    _sweep.write_note(tmp_path / "0", state="running", **fate)
    assert _sweep.report_failures(tmp_path, ["ult", "search"]) == 1
    assert "stopped without a word\n     ult search seed=0" in capsys.readouterr().err


def test_ctrl_c_ends_the_whole_sweep(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def stopped(cfg: Any, place: Place) -> None:
        calls.append(cfg.seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "run", stopped)
    answer = say("search", "-m", *TINY, "seed=0,1")
    assert answer.code == 130
    assert calls == [0]
    assert "seed=0" in answer.err  # the job that was stopped, and how to run it


def test_jobs_that_had_not_started_are_listed_too(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def stopped(cfg: Any, place: Place) -> None:
        calls.append(cfg.seed)
        if cfg.seed == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(search, "run", stopped)
    answer = say("search", "-m", *TINY, "density=0.5,0.3", "seed=range(1,4)", "out='o ${seed}-${density}.ticket'")
    assert answer.code == 130
    head, *lines = answer.err.splitlines()
    assert head == "ult: 5 of 6 jobs did not finish; to run them:"
    assert lines[0] == "  #1 stopped without a word"
    assert lines[2:9:2] == [f"  #{number} had not started" for number in (2, 3, 4, 5)]
    assert lines[10].startswith("ult: stopped by Ctrl-C; ")
    monkeypatch.setattr(search, "run", lambda cfg, place: calls.append((float(cfg.density), cfg.seed)))  # type: ignore[arg-type]
    del calls[:]
    for line in lines[3:11:2]:
        assert say(*shlex.split(line)[1:]).code == 0
    assert calls == [(0.5, 3), (0.3, 1), (0.3, 2), (0.3, 3)]


def test_jobs_that_had_not_started_are_told_only_where_it_is_sure(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    planned = [[f"seed={seed}"] for seed in range(30)]
    _sweep.write_note(tmp_path / "0", state="finished", number=0, overrides=["seed=0"])
    assert _sweep.report_failures(tmp_path, ["ult", "search"], planned) == 1
    err = capsys.readouterr().err
    assert err.count(" had not started\n") == 20
    assert err.endswith("\n  and 9 more; the same sweep again runs all\n")
    assert _sweep.report_failures(tmp_path, ["ult", "search"], planned[::-1]) == 0
    assert _sweep.report_failures(tmp_path, ["ult", "search"], []) == 0
    assert _sweep.planned_jobs(["seed=0,1", "net=glob(*)"]) == []
    assert _sweep.planned_jobs(["density=interval(0,1)"]) == []
    assert _sweep.planned_jobs(["a=1", "+b=x,y", "~c", "a=2"]) == [
        ["a=2", "+b=x", "~c=null"],
        ["a=2", "+b=y", "~c=null"],
    ]


def test_one_out_for_all_jobs_is_refused_before_the_first(say: Say, ran: list[int]) -> None:
    answer = say("search", "-m", *TINY, "seed=0,2", "out=my.ticket")
    assert answer.code == 2
    assert answer.sentence == (
        "out: got 'my.ticket', wanted another path for each job of a sweep; "
        "put what differs into it, as in 'out=my-${seed}.ticket'."
    )
    assert ran == []
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "example"),
    [
        (["search", "out=a.ticket", "seed=0,1", "density=0.1,0.2"], "out=a-${seed}-${density}.ticket"),
        (["compare", "out=rep", "head=ridge,logistic"], "out=rep-${head.name}"),
        (["compare", "out=.", "trainer=default,smoke"], "out=${hydra:runtime.choices.trainer}"),
        (["transfer", "save=one.model", "head=ridge,logistic"], "save=one-${head.name}.model"),
        (["report", "out=rep", "baseline=dense,universal"], "out=rep-${baseline}"),
    ],
)
def test_the_mend_for_one_out_holds_what_differs(say: Say, words: list[str], example: str) -> None:
    verb, *overrides = words
    answer = say(verb, "-m", *overrides)
    assert answer.code == 2
    assert answer.sentence.endswith(f"put what differs into it, as in '{example}'.")


def test_that_mend_works(say: Say, ran: list[int]) -> None:
    out = "out=${net.name}-${hydra:runtime.choices.trainer}-${seed}.ticket"
    tiny = [word for word in TINY if not word.startswith(("net", "trainer"))]
    assert say("search", "-m", *tiny, "net=conv2,conv4", "trainer=smoke,default", "seed=0,2", out).code == 0
    assert len(ran) == 8
    assert len(list(Path().glob("conv[24]-*-[02].ticket"))) == 8


def test_a_folder_to_save_into_may_be_shared(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ult_lightning.cli.verbs.transfer.run", lambda cfg, place: None)
    assert say("transfer", "-m", "ticket=x", "targets=[digits]", "save=models", "head=ridge,logistic").code == 0


@pytest.mark.parametrize("sweep", ["seed=0", "seed=range(0,1)", "seed=choice(0)"])
def test_a_sweep_of_one_job_may_name_its_out(say: Say, ran: list[int], sweep: str) -> None:
    assert say("search", "-m", *TINY, sweep, "out=my.ticket").code == 0
    assert Path("my.ticket").read_text() == "0"


def test_out_with_what_differs(say: Say, ran: list[int]) -> None:
    assert say("search", "-m", *TINY, "seed=0,2", "out=my-${seed}.ticket").code == 0
    assert Path("my-0.ticket").read_text() == "0"
    assert Path("my-2.ticket").read_text() == "2"
    assert say("search", "-m", *TINY, "seed=3,4", "out=a.ticket,b.ticket").code == 1  # 4 jobs, 2 files


def test_out_with_what_does_not_differ_is_refused_in_the_second_job(say: Say, ran: list[int]) -> None:
    answer = say("search", "-m", *TINY, "seed=0,2", "out=./my-${net.name}.ticket")
    assert answer.code == 1
    assert ran == [0]
    assert "#1 out: got 'my-conv2.ticket', wanted another path for each job" in answer.err
    assert "as in 'out=my-conv2-${KEY}.ticket', where KEY is a key that differs." in answer.err


def test_the_same_sweep_again_in_the_same_folder(say: Say, ran: list[int]) -> None:
    words = ["search", "-m", *TINY, "seed=0,2", "out=my-${seed}.ticket", "hydra.sweep.dir=fixed"]
    assert say(*words).code == 0
    assert say(*words[:-3], "seed=2,0", *words[-2:]).code == 0  # what job 0 claimed is job 1's now
    assert ran == [0, 2, 2, 0]


def test_claims(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    _sweep.claim(tmp_path / "a", sweep=tmp_path, owner="0")
    _sweep.claim(tmp_path / "a", sweep=tmp_path, owner="0")  # a job that the cluster started again
    _sweep.claim(tmp_path / "b", sweep=tmp_path, owner="1")
    with pytest.raises(UltError, match="save: got"):
        _sweep.claim(tmp_path / "link" / "a", sweep=tmp_path, owner="1", key="save")


def test_reports_of_a_sweep_need_their_own_folders(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "chosen_rows", lambda *_, **__: pytest.fail("the second job went on"))
    answer = say("report", "-m", "baseline=dense,universal", "out=same")
    assert answer.code == 2
    assert "wanted another path for each job" in answer.sentence


@pytest.mark.slow
def test_other_launchers_know_claims_and_failures_too(ult: Any, tmp_path: Path) -> None:
    """Each job is a process of its own, started by another Hydra launcher."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5", *TINY, "out=${net.name}.ticket"]
    done = ult("search", "-m", *words, "seed=0,1,-1")
    assert done.returncode == 1
    assert "ult: 2 of 3 jobs failed" in done.stderr
    assert "wanted another path for each job of a sweep" in done.stderr
    assert "seed: got -1, wanted a whole number" in done.stderr
    assert done.stderr.count("\n     ult search ") == 2
    assert (tmp_path / "conv2.ticket").is_file()
