"""The wheel alone is enough: its own conf/, its own command, from any folder."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(repo)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel.

    Its dependencies are those of this environment, less those that only extras bring: they fail to import.
    """
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--no-deps", "--no-index", wheel], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (site,) = (home / "lib").glob("python*/site-packages")
    # A plain line in a .pth file comes after `site` itself and its own .pth files (an editable install) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    for extra in ("numba", "pyarrow", "pytest", "hypothesis"):
        (site / extra).mkdir()
        (site / extra / "__init__.py").write_text(f"raise ImportError('{extra} is no core dependency')\n")
    return home / "bin"


def test_the_wheel_carries_the_configs(wheel: Path, repo: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"ult_lightning/{path.relative_to(repo)}" for path in (repo / "conf").rglob("*.yaml")}
    assert len(configs) > 10
    assert configs <= names
    assert {"ult_lightning/py.typed", "ult_lightning/report/templates/report.html"} <= names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("search", "--cfg", "job")], ids=" ".join)
def test_the_command_works_from_any_folder(installed: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [installed / "ult", *words], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_package_in_use_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = "import ult_lightning; print(ult_lightning.__file__)"
    done = subprocess.run(
        [installed / "python", "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(installed.parent)


def test_a_search_and_a_transfer_run_on_core_dependencies(installed: Path, tmp_path: Path) -> None:
    smoke = ("search", "experiment=smoke", "out=my.ticket")
    reuse = ("transfer", "ticket=my.ticket", "targets=[mnist5k:5-9]", "train_limit=100", "logger=none")
    for words in (smoke, reuse, ("rows",)):
        done = subprocess.run(
            [installed / "ult", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task"] == "mnist5k:5-9"
