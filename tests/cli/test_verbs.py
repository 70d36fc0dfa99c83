"""The verbs with everything behind them, on embedded data and the smallest nets."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Say
from ult_lightning.base import _files

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def searched(say: Say, *more: str) -> str:
    answer = say("search", *TINY, "sources=[mnist5k:0-4]", "out=my.ticket", *more)
    assert answer.code == 0, answer.err
    return answer.out


def rows(say: Say, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in say("rows", *words).out.splitlines()]


def test_from_search_to_report(say: Say) -> None:
    from ult_lightning import TaskModel, Ticket, load_task

    out = searched(say)
    ticket = Ticket.load("my.ticket")
    stored = Path("store/tickets") / f"{ticket.id}.ticket"
    assert stored.read_bytes() == Path("my.ticket").read_bytes()
    size = stored.stat().st_size
    for text in (ticket.id, "my.ticket", f"{size:,} bytes", f"{8 * size / ticket.mask.total:.2f} bits per parameter",
                 "0.weight  0.5000", "3.weight  0.5000", "validation  mnist5k:0-4", "mask: last",
                 "ult transfer ticket=my.ticket 'targets=[digits]'"):  # fmt: skip
        assert text in out

    answer = say("transfer", "ticket=my.ticket", "targets=[mnist5k:5-9,mnist5k:parity]", "logger=none", "save=models")
    assert answer.code == 0, answer.err
    found = {row["task"]: row for row in rows(say)}
    assert set(found) == {"mnist5k:5-9", "mnist5k:parity"}
    assert found["mnist5k:5-9"]["seen"] is False
    assert found["mnist5k:parity"]["seen"] is True
    for row in found.values():
        assert row["ticket"] == ticket.id
        assert f"{100 * float(str(row['value'])):.2f} %" in answer.out
        assert row["extra"]["fingerprint_before"] == row["extra"]["fingerprint_after"]  # type: ignore[index]
    assert "  unseen  " in answer.out
    fingerprint = ticket.network().fingerprint()  # type: ignore[operator]
    assert f"Frozen: the ticket's fingerprint is {fingerprint[:16]} before and after." in answer.out

    model = TaskModel.load(f"models/{ticket.id}-mnist5k_5-9-s0.model")
    test = load_task("mnist5k:5-9", seed=0).test
    accuracy = (model(test.images).argmax(1) == test.labels).float().mean().item()
    assert accuracy == pytest.approx(found["mnist5k:5-9"]["value"], abs=0.005)

    shown = say("ticket", "show", ticket.id)
    assert shown.code == 0
    assert ticket.fingerprint in shown.out

    report = say("report", "tasks=[mnist5k:5-9]", "out=here")
    assert report.code == 0, report.err
    assert "mnist5k:5-9" in report.out
    assert "mnist5k:parity" not in report.out
    assert {path.name for path in Path("here").iterdir()} == {
        "table.csv",
        "table.md",
        "table.tex",
        "figure.png",
        "report.html",
    }
    assert "did you mean mnist5k:5-9" in say("report", "tasks=[mnist5k:5-8]").sentence


def test_a_finished_search_is_reused_unless_forced(say: Say) -> None:
    first = searched(say)
    assert "Searched in" in first
    Path("my.ticket").unlink()
    again = searched(say)
    assert "Found in the store" in again
    assert Path("my.ticket").exists()
    (stored,) = Path("store/tickets").glob("*.ticket")
    before = stored.stat().st_mtime_ns
    assert "Searched in" in searched(say, "force=true")
    assert stored.stat().st_mtime_ns > before


def test_shots_draws_and_rows_from_the_store(say: Say) -> None:
    searched(say)
    words = ["transfer", "ticket=my.ticket", "targets=[digits]", "shots=[1,3]", "draws=2", "logger=none"]
    assert "(stored)" not in say(*words).out
    found = rows(say)
    assert sorted((r["extra"]["shots"], r["extra"]["draw"]) for r in found) == [(1, 0), (1, 1), (3, 0), (3, 1)]  # type: ignore[index]
    assert {r["n_train"] for r in found} == {10, 30}
    again = say(*words)
    assert again.out.count("(stored)") == 4
    assert rows(say) == found
    forced = say(*words, "force=true")
    assert "(stored)" not in forced.out
    renewed = rows(say)
    assert [r["id"] for r in renewed] == [r["id"] for r in found]
    assert [r["value"] for r in renewed] == [r["value"] for r in found]
    assert renewed != found  # seconds differ


def test_what_changes_a_row_is_in_its_id(say: Say) -> None:
    searched(say)
    base = ["transfer", "ticket=my.ticket", "targets=[digits]", "logger=none"]
    variants = [[], ["seed=1"], ["train_limit=100"], ["head.options.lambdas=[1.0]"], ["shots=[2]"]]
    for more in variants:
        assert say(*base, *more).code == 0
    ids = [row["id"] for row in rows(say)]
    assert len(ids) == len(set(ids)) == len(variants)
    assert say(*base, "threads=1", "device=cpu", "head.options.lambdas=null").code == 0
    assert len(rows(say)) == len(variants)
    for more in ([], ["head.options.max_iter=null"], ["head.options.max_iter=3"]):  # null: the same as its default
        assert say(*base, "shots=[1]", "head=logistic", *more).code == 0
    assert len(rows(say)) == len(variants) + 2


def test_a_head_is_saved_though_its_row_is_there(say: Say) -> None:
    searched(say)
    words = ["transfer", "ticket=my.ticket", "targets=[digits]", "logger=none"]
    assert say(*words).code == 0
    found = rows(say)
    assert say(*words, "save=one.model").code == 0
    assert Path("one.model").is_file()
    assert rows(say) == found


@pytest.mark.parametrize("save", ["my.ticket", "soft.model", "hard.model"])
def test_a_ticket_that_is_read_is_not_replaced(say: Say, save: str) -> None:
    searched(say)
    Path("soft.model").symlink_to("my.ticket")
    Path("hard.model").hardlink_to("my.ticket")
    before = Path("my.ticket").read_bytes()
    answer = say("transfer", "ticket=my.ticket", "targets=[digits]", f"save=./{save}", "logger=none")
    assert answer.code == 2
    assert answer.sentence == (
        f"save: got '{save}', wanted another file; the command reads my.ticket, which would be lost."
    )
    assert Path("my.ticket").read_bytes() == Path(save).read_bytes() == before
    assert rows(say) == []


def test_the_logger_is_told_what_auto_came_to(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from ult_lightning import tracking

    told: list[dict[str, object]] = []
    real = tracking.make_logger
    monkeypatch.setattr(
        tracking, "make_logger", lambda *a, **k: (told.append(k["config"]["resolved"]), real(*a, **k))[1]
    )
    searched(say, "seed=3")
    assert say("transfer", "ticket=my.ticket", "targets=[digits]", "logger=none").code == 0
    assert [sorted(one) for one in told] == [["device", "precision"], ["device", "precision", "seed"]]
    assert told[1]["seed"] == 3
    assert all(one["device"] in ("cpu", "cuda") and one["precision"] in ("32", "bf16") for one in told)


@pytest.mark.parametrize("shots", ["[100000]", "[1,100000]"])
def test_more_shots_than_images(say: Say, shots: str) -> None:
    searched(say)
    answer = say("transfer", "ticket=my.ticket", "targets=[digits]", f"shots={shots}", "logger=none")
    assert answer.code == 2
    assert "shots: got 100000" in answer.sentence
    assert rows(say) == []


def test_a_damaged_ticket_is_refused(say: Say) -> None:
    searched(say)
    content = bytearray(Path("my.ticket").read_bytes())
    content[len(content) // 2] ^= 1
    Path("my.ticket").write_bytes(content)
    for words in (["transfer", "ticket=my.ticket", "targets=[digits]"], ["ticket", "show", "my.ticket"]):
        answer = say(*words)
        assert answer.code == 2
        assert "my.ticket" in answer.sentence


def test_a_network_that_changes_gives_no_row(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from ult_lightning.nets import FrozenNetwork

    searched(say)
    honest = FrozenNetwork.fingerprint
    calls: list[int] = []

    def drifting(network: FrozenNetwork) -> str:
        calls.append(1)
        return f"{len(calls):02d}{honest(network)}"

    monkeypatch.setattr(FrozenNetwork, "fingerprint", drifting)
    answer = say("transfer", "ticket=my.ticket", "targets=[digits]", "logger=none")
    assert answer.code == 2
    assert "changed" in answer.sentence
    assert rows(say) == []


def test_a_disk_that_fills_up_while_out_is_written(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = _files._flush

    def full(draft: Path) -> None:
        if draft.name.endswith("my.ticket"):
            raise OSError(errno.ENOSPC, "No space left on device", str(draft))
        flush(draft)

    monkeypatch.setattr(_files, "_flush", full)
    answer = say("search", *TINY, "out=here/my.ticket")
    assert answer.code == 2
    assert "here/my.ticket" in answer.err
    assert "the disk is full" in answer.err
    assert list(Path("here").iterdir()) == []
    assert len(list(Path("store/tickets").glob("*.ticket"))) == 1  # the hours are not lost


def test_compare_writes_table_and_figure_and_goes_on(say: Say) -> None:
    words = ["compare", "sources=[mnist5k:0-4]", "targets=[mnist5k:5-9]", "arms=[universal,random_features]",
             "seeds=[0,1]", *TINY[1:]]  # fmt: skip
    answer = say(*words)
    assert answer.code == 0, answer.err
    (folder,) = Path("runs/compare").glob("*/*")
    for name in ("table.csv", "table.md", "table.tex", "figure.png", "report.html"):
        assert (folder / name).stat().st_size > 0
        assert name in answer.out
    assert "lift over" in answer.out
    assert len(rows(say)) == 4
    assert (folder / ".hydra" / "config.yaml").is_file()
    assert "ult compare 'sources=[mnist5k:0-4]'" in (folder / "table.md").read_text()
    again = say(*words, "out=mine")
    assert again.out.count("from the store") == 4
    assert Path("mine/figure.png").is_file()


def test_torchvision_nets_by_their_name_also_in_a_sweep(say: Say) -> None:
    from ult_lightning import Ticket

    answer = say("search", "-m", *TINY[:1], "net=conv2,mobilenet_v2", "trainer=smoke", "trainer.max_steps=1",
                 "train_limit=64", "logger=none", "out='${net.name}.ticket'")  # fmt: skip
    assert answer.code == 0, answer.err
    spec = Ticket.load("mobilenet_v2.ticket").spec
    assert (spec.net, spec.options["name"]) == ("torchvision", "mobilenet_v2")
    assert Ticket.load("conv2.ticket").spec.net == "conv2"


def test_wandb_offline_is_the_default_and_its_place_is_told(ult: Command, tmp_path: Path) -> None:
    done = ult("search", *(word for word in TINY if word != "logger=none"))
    assert done.returncode == 0, done.stderr
    (place,) = (line.split()[-1] for line in done.stdout.splitlines() if line.startswith("  log "))
    assert (tmp_path / place).is_dir()
    assert not (tmp_path / "wandb").exists()


def test_the_commands_work_from_any_folder(ult: Command, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    done = ult("search", *TINY, "out=my.ticket", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "my.ticket").is_file()
    assert "Warning" not in done.stderr
    assert "INFO" not in done.stderr


def test_a_transfer_takes_the_seed_of_its_ticket(say: Say) -> None:
    assert say("search", *TINY, "seed=7", "out=my.ticket").code == 0
    words = ("transfer", "ticket=my.ticket", "targets=[mnist5k]", "logger=none")
    assert say(*words).code == 0
    assert say(*words, "seed=3").code == 0
    assert sorted(row["seed"] for row in rows(say)) == [3, 7]
    assert "(stored)" in say(*words, "seed=7").out


def test_what_comes_next_can_be_typed_as_it_stands(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "some where" / "bin" / "ult"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    monkeypatch.setenv("PATH", "/nowhere")
    told = say("search", *TINY, "store=my store", "out=my.ticket").out
    assert "  'some where/bin/ult' transfer ticket=my.ticket 'targets=[mnist5k]' 'store=my store'" in told.splitlines()
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/ult")
    assert "  ult transfer ticket=my.ticket" in say("search", *TINY, "store=my store", "out=my.ticket").out
