"""One word per quantity: the share that is kept is `density`, and no other word stands for it anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

OTHER_WORDS = re.compile(
    r"prun(e|ing)[ _-]?(rate|ratio|fraction|percent\w*|amount)s?|sparsit(y|ies)|keep[_-](rate|ratio)|compression[_ ]ratio",
    re.IGNORECASE,
)
FOLDERS = ("ult_lightning", "conf", "scripts", "tests", "docs", "examples")
KINDS = {".py", ".yaml", ".yml", ".toml", ".md", ".sh", ".cff", ".ipynb", ".html", ".csv"}


def test_density_is_the_only_word(repo: Path) -> None:
    files = [
        path
        for path in (*repo.glob("*.*"), *(p for folder in FOLDERS for p in (repo / folder).rglob("*")))
        if path.suffix in KINDS and path.is_file() and path != Path(__file__)
    ]
    assert len(files) > 30
    found = [
        f"{path.relative_to(repo)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if OTHER_WORDS.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("line", ["prune_rate: 0.5", "the Sparsity of", "pruning ratio", "keep_ratio=1"])
def test_another_word_is_found(line: str) -> None:
    assert OTHER_WORDS.search(line)


@pytest.mark.parametrize("line", ["density: 0.5", "pruned networks", "pruning against training", "sparse"])
def test_a_fine_word_is_left_alone(line: str) -> None:
    assert not OTHER_WORDS.search(line)
