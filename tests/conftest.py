"""What all tests share: quiet thread pools, the real data, the command line as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

REPO = Path(__file__).resolve().parents[1]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the first import of torch: many small tests, few cores
os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("ult", deadline=None, max_examples=50, derandomize=True, print_blob=True)
settings.load_profile("ult")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in a folder of its own: it sees no store of the user's and leaves nothing in the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout's top folder."""
    return REPO


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with MNIST, FashionMNIST and cifar10_jpeg; a test that asks for it is skipped without."""
    folder = Path(os.environ.get("ULT_TEST_DATA") or REPO.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; ULT_TEST_DATA names another folder")
    return folder


@pytest.fixture
def ult(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in `tmp_path`: `ult("search", "net=conv2")` has .returncode, .stdout, .stderr."""

    def run(
        *words: object,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout: float = 240,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ult_lightning.cli", *map(str, words)],
            cwd=cwd or tmp_path,
            env={**command_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


def command_environment() -> dict[str, str]:
    """This process's environment without a wandb key, and with this checkout ahead of any installed one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    path = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "WANDB_MODE": "offline"}
