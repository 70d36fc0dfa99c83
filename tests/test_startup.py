"""The commands answer at once: what is heavy is imported by the work that needs it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

HEAVY = {"torch", "torchvision", "pytorch_lightning", "sklearn", "scipy", "matplotlib", "wandb", "mlxtend", "pandas"}
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("words", "limit"),
    [(("--help",), 1.0), (("--version",), 1.0), (("search", "--cfg", "job"), 3.0)],
    ids=["help", "version", "cfg"],
)
def test_answers_in_time(ult: Command, words: tuple[str, ...], limit: float) -> None:
    best = min(seconds_of(ult, words) for _ in range(3))
    assert best < limit


@pytest.mark.parametrize("words", [("--help",), ("search", "--cfg", "job"), ("ticket", "show", "absent.ticket")])
def test_nothing_heavy_is_imported(ult: Command, words: tuple[str, ...]) -> None:
    done = ult(*words, env={"PYTHONPROFILEIMPORTTIME": "1"})
    names = imported_names(done.stderr)
    assert {"sys", "ult_lightning.base"} & names
    assert names & HEAVY == set()


@pytest.mark.parametrize(
    "name",
    [
        "ult_lightning",
        "ult_lightning.tickets",
        "ult_lightning.results",
        "ult_lightning.report",
        "ult_lightning.compare.arms",
    ],
)
def test_light_rooms_are_light(ult: Command, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {name}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    names = imported_names(done.stderr)
    assert name in names
    assert names & HEAVY == set()


def seconds_of(ult: Command, words: tuple[str, ...]) -> float:
    start = time.perf_counter()
    done = ult(*words)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return seconds


def imported_names(importtime: str) -> set[str]:
    return set(re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", importtime, re.MULTILINE))


BLOCKED = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"hydra", "omegaconf", "wandb", "mlxtend"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize(
    "work",
    [
        "import ult_lightning.search, ult_lightning.transfer, ult_lightning.compare, ult_lightning.construct",
        "from ult_lightning.tracking import finish, make_logger, log_rows\n"
        "logger = make_logger('none', run_dir='run')\n"
        "assert logger is None\n"
        "log_rows(logger, [])\n"
        "assert finish(logger) is None",
    ],
    ids=["rooms", "logger=none"],
)
def test_science_needs_neither_hydra_nor_wandb_nor_mlxtend(work: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{BLOCKED}\n{work}\nassert not {{'hydra', 'wandb', 'mlxtend'}} & set(sys.modules)"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
