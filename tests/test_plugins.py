"""Members from outside: the example of docs/extend.md, as a file and as an installed package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ult_lightning.base import UltError, load_plugins

COMPARE = ["compare", "sources=[digits]", "targets=[stripes]", "arms=[half,universal]", "seeds=[0]", "net=tiny",
           "norm=none", "method=magnitude", "logger=none"]  # fmt: skip


def write_example(repo: Path, folder: Path, module: str = "mine.py") -> None:
    """The files of the guide, each under the name that its first line says."""
    text = (repo / "docs" / "extend.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", text, flags=re.DOTALL))
    assert set(files) == {
        "mine.py",
        *(f"conf/{one}.yaml" for one in ("method/magnitude", "objective/smoothed", "net/tiny")),
    }
    assert sum(bool(line.strip()) for content in files.values() for line in content.splitlines()) < 60
    for name, content in files.items():
        path = folder / (module if name == "mine.py" else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def ult(folder: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    repo = Path(__file__).resolve().parents[1]
    paths = os.pathsep.join([str(repo), *([path] if path else [])])
    return subprocess.run([sys.executable, "-m", "ult_lightning.cli", *words], cwd=folder, text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"})  # fmt: skip


def test_a_file_adds_members_with_options_and_yaml(repo: Path, tmp_path: Path) -> None:
    write_example(repo, tmp_path)
    done = ult(tmp_path, *COMPARE, "plugins=[mine.py]", "method.options.power=2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^half +\d", done.stdout, flags=re.MULTILINE)
    smoothed = ult(tmp_path, "search", "plugins=[mine.py]", "sources=[stripes]", "objective=smoothed", "trainer=smoke",
                   "net=tiny", "norm=none", "logger=none")  # fmt: skip
    assert smoothed.returncode == 0, smoothed.stderr


def test_its_mistakes_get_our_sentences(repo: Path, tmp_path: Path) -> None:
    write_example(repo, tmp_path)
    for word, sentence in [
        ("method.options.power=-1", "method.options.power: got -1, wanted a number above 0"),
        ("method.options.powr=1", "did you mean method.options.power"),
        ("method=magnitud", "magnitude"),
    ]:
        done = ult(tmp_path, *COMPARE, "plugins=[mine.py]", word)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_an_installed_package_adds_them_without_a_word(repo: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_example(repo, site / "my_package", module="members.py")
    (site / "my_package" / "__init__.py").write_text("")
    info = site / "my_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ult_lightning.plugins]\nmine = my_package.members\n")
    done = ult(tmp_path, *COMPARE, path=str(site))
    assert done.returncode == 0, done.stderr
    python = "from ult_lightning.search import METHODS; print(METHODS.get('magnitude').__module__)"
    found = subprocess.run([sys.executable, "-c", python], text=True, capture_output=True,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join([str(repo), str(site)])})  # fmt: skip
    assert found.stdout.strip() == "my_package.members", found.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"plugins: got '.*mine.py', wanted a Python file that is there"),
        ("1 / 0", r"plugins: .*mine.py cannot be loaded: ZeroDivisionError: division by zero\."),
        ("from ult_lightning.base import Registry, option\nimport nowhere_at_all", r"No module named 'nowhere_at_all'"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: str | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UltError, match=sentence):
        load_plugins([tmp_path / "mine.py"])


def test_a_file_is_loaded_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "once.py").write_text("print('loaded')")
    load_plugins([tmp_path / "once.py"])
    load_plugins([str(tmp_path / "once.py")])
    assert capsys.readouterr().out == "loaded\n"
