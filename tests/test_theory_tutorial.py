"""docs/theory.md runs from top to bottom, and says what it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_runs(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (repo / "docs" / "theory.md").read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) >= 10
    assert sum(block.count("assert ") for block in blocks) >= 10
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"theory.md, block {number}", "exec"), names)


def test_its_experiments_are_there(repo: Path) -> None:
    named = set(re.findall(r"experiment=(\w+)", (repo / "docs" / "theory.md").read_text()))
    there = {path.stem for path in (repo / "conf" / "experiment").glob("*.yaml")}
    assert named
    assert named <= there
    assert {name for name in there if name.startswith("theory_")} <= named
