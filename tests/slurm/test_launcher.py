"""A multirun through Hydra's Slurm launcher, on a real (if small) cluster: scripts/sandbox_slurm.sh start."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(280)]


def test_two_seeds_make_two_tickets(ult: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    if shutil.which("sbatch") is None:
        pytest.skip("no Slurm here")
    done = ult(
        "search",
        "-m",
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.timeout_min=5",
        "hydra.launcher.mem_gb=2",
        "hydra.launcher.cpus_per_task=1",
        "sources=[digits]",
        "net=lenet_300_100",
        "seed=0,1",
        "trainer.max_epochs=1",
        "train_limit=200",
        "logger=none",
        f"store={tmp_path / 'store'}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tickets = sorted((tmp_path / "store").rglob("*.ticket"))
    assert len(tickets) == 2, done.stdout + done.stderr
    for ticket in tickets:
        shown = ult("ticket", "show", ticket)
        assert shown.returncode == 0, shown.stderr
