"""What files, disks and memory that do not do get: one sentence, exit code 2, no traceback, nothing half written."""

from __future__ import annotations

import errno
import json
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.cli.conftest import TINY, Say
from ult_lightning.construct import save_target


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "empty"), (b"PK\x03\x04 torch", "torch.save"), (b"hello, this is text\n" * 9, "text")]
)
@pytest.mark.parametrize("verb", ["transfer", "ticket"])
def test_a_file_that_is_no_ticket(say: Say, tmp_path: Path, verb: str, content: bytes, said: str) -> None:
    (tmp_path / "odd.ticket").write_bytes(content)
    words = ["ticket=odd.ticket", "targets=[digits]", "logger=none"] if verb == "transfer" else ["show", "odd.ticket"]
    answer = say(verb, *words)
    assert answer.code == 2
    assert "odd.ticket" in answer.sentence
    assert said in answer.sentence.lower()


def test_an_unsupported_layer_in_a_target_file(say: Say) -> None:
    """`save_target` refuses such modules, so that only a file of somebody else's can hold one."""
    from safetensors.torch import save_file

    entries = [{"linear": 2}, "sigmoid", {"linear": 2}]
    save_file({"0.weight": torch.ones(2, 2)}, "odd.safetensors", metadata={"layers": json.dumps(entries)})
    answer = say("construct", "family=network", "target=odd.safetensors", "logger=none")
    assert answer.code == 2
    assert answer.sentence.startswith('target layer 1: got \'sigmoid\', wanted "relu", "flatten"')


def test_an_eps_that_the_laws_cannot_reach_names_widths(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from ult_lightning.construct import UnivariatePlan

    small = UnivariatePlan((30, 4, 30), 3, 0.5)
    monkeypatch.setattr("ult_lightning.construct.functions._univariate.plan_univariate", lambda *_, **__: small)
    answer = say("construct", "family=univariate", "function=square", "eps=1e-4", "logger=none")
    assert answer.code == 2
    sentence = answer.err.strip().splitlines()[-1]
    assert sentence.startswith("ult: error: eps: got 0.0001, wanted at least 0.0")
    assert "chain=[60,8,60]" in sentence
    assert not list(Path().rglob("*.ticket"))


def test_a_store_that_is_a_file(say: Say, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    answer = say("search", *TINY)
    assert answer.code == 2
    assert answer.sentence.startswith("store: got 'store', wanted a folder")


def test_out_that_is_a_folder(say: Say, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    answer = say("search", *TINY, "out=mine")
    assert answer.code == 2
    assert answer.sentence == "out: got 'mine', wanted a file name; a folder of that name is there."


def in_the_way(kind: str, path: Path) -> None:
    """Put something there that is no file."""
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as open_socket:
            open_socket.bind(path.name)


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a socket"])
@pytest.mark.parametrize("link", [False, True], ids=["itself", "a link"])
def test_out_that_is_no_file(say: Say, tmp_path: Path, kind: str, link: bool) -> None:
    in_the_way(kind, tmp_path / "it")
    if link:
        (tmp_path / "link").symlink_to("it")
    name = "link" if link else "it"
    answer = say("search", *TINY, f"out={name}")
    assert answer.code == 2
    assert answer.sentence == f"out: got '{name}', wanted a file name; {kind} of that name is there."
    assert not (tmp_path / "store").exists()


def test_save_that_is_a_pipe(say: Say, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one.model")
    answer = say("transfer", f"ticket={__file__}", "targets=[digits]", "logger=none", "save=one.model")
    assert answer.code == 2
    assert answer.sentence == "save: got 'one.model', wanted a file name; a pipe of that name is there."


@pytest.mark.parametrize("kind", ["a folder", "a pipe"])
def test_what_comes_into_the_way_meanwhile_is_not_replaced(
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
) -> None:
    monkeypatch.setattr("ult_lightning.cli.verbs.search.check_file", lambda *_: in_the_way(kind, tmp_path / "it"))
    answer = say("search", *TINY, "out=it")
    assert answer.code == 2
    assert (
        f"path: got 'it', wanted a place that can be written; {kind} of that name is there: name a file." in answer.err
    )
    assert not (tmp_path / "it").is_file()
    assert (tmp_path / "it").is_dir() or (tmp_path / "it").is_fifo()


def test_a_target_that_out_would_replace(say: Say, tmp_path: Path) -> None:
    save_target(nn.Sequential(nn.Linear(2, 2)), "net.safetensors")
    before = Path("net.safetensors").read_bytes()
    answer = say("construct", "family=network", "target=net.safetensors", "out=./net.safetensors", "logger=none")
    assert answer.code == 2
    assert answer.sentence.startswith("out: got 'net.safetensors', wanted another file; the command reads net.safe")
    assert Path("net.safetensors").read_bytes() == before


def test_out_below_a_file(say: Say, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    answer = say("search", *TINY, "out=mine/my.ticket")
    assert answer.code == 2
    assert answer.sentence.startswith("out: got 'mine', wanted a folder that can be made")


@pytest.mark.parametrize("key", ["out", "store"])
@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only")])
def test_a_disk_that_refuses_is_noticed_before_the_work(
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    key: str,
    number: int,
    said: str,
) -> None:
    real = tempfile.TemporaryFile
    bad = tmp_path / "bad"
    bad.mkdir()

    def refusing(*args: Any, dir: Path, **named: Any) -> Any:
        if Path(dir) == bad:
            raise OSError(number, os.strerror(number), str(dir))
        return real(*args, dir=dir, **named)

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)
    monkeypatch.setattr("ult_lightning.data.load_task", lambda *_, **__: pytest.fail("the work began"))
    answer = say("search", *TINY, f"{key}=bad/new/it")
    assert answer.code == 2
    assert answer.sentence.startswith(f"{key}: got 'bad/new")
    assert said in answer.sentence


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_run_folder_that_cannot_be_made(say: Say) -> None:
    answer = say("search", *TINY, "hydra.run.dir=/proc/nowhere/run")
    assert answer.code == 2
    assert "/proc/nowhere" in answer.sentence


@pytest.mark.parametrize(("words", "key"), [([], "run"), (["-m", "seed=0,1"], "sweep")], ids=["once", "sweep"])
def test_a_run_folder_on_a_disk_that_refuses(
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    key: str,
) -> None:
    real = Path.mkdir

    def refusing(path: Path, *args: Any, **named: Any) -> None:
        if "runs" in path.parts:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), "runs")
        real(path, *args, **named)

    monkeypatch.setattr(Path, "mkdir", refusing)
    answer = say("search", *TINY, *words)
    assert answer.code == 2
    assert answer.sentence == (
        f"hydra.{key}.dir: got 'runs', wanted a place that can be written; the disk is read-only: "
        f"name another folder, as in hydra.{key}.dir=/tmp/run."
    )


class OutOfMemoryError(RuntimeError):
    """Torch's, by its name."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
            "to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
        ),
        MemoryError(),
    ],
    ids=["accelerator", "torch", "python"],
)
@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("search", "data.batch_size: got 'more than fits', wanted batches that fit the device's memory; halve it."),
        ("transfer", "memory: got 'less than this takes', wanted more of it; say train_limit=N, or take a smaller"),
        ("construct", "memory: got 'less than this takes', wanted more of it; take a larger eps or"),
    ],
)
def test_memory_that_does_not_do(
    say: Say,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    said: str,
    error: Exception,
) -> None:
    def hungry(*_: Any) -> None:
        raise error

    monkeypatch.setattr(f"ult_lightning.cli.verbs.{verb}.run", hungry)
    answer = say(verb)
    assert answer.code == 2
    assert answer.sentence.startswith(said)


def test_a_yaml_of_the_users_that_is_broken(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "odd.yaml").write_text("a: [1\nb: }")
    answer = say("search", *TINY, "--config-dir", "mine", "experiment=odd")
    assert answer.code == 2
    assert "YAML" in answer.sentence
