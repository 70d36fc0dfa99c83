"""The README's commands compose, its code runs, its files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ult_lightning.cli import main

HYDRA_VERBS = {"search", "construct", "transfer", "compare", "report"}


def blocks(repo: Path, language: str) -> list[str]:
    text = (repo / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(repo: Path) -> list[list[str]]:
    lines = [line for block in blocks(repo, "bash") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1:] for w in words if w[:1] == ["ult"]]


def test_every_command_composes(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    found = [words for words in commands(repo) if words[0] in HYDRA_VERBS]
    assert len(found) >= 8
    for words in found:
        chosen = [w for w in words if w not in ("-m", "hydra/launcher=submitit_slurm")]
        if "-m" in words:  # the first job of the sweep
            chosen = [w if "[" in w else w.partition(",")[0] for w in chosen]
        assert main([*chosen, "--cfg", "job"]) == 0, words
        assert capsys.readouterr().out


def test_the_other_commands_are_verbs_too(repo: Path) -> None:
    others = [words for words in commands(repo) if words[0] not in HYDRA_VERBS]
    assert {words[0] for words in others} == {"--help", "ticket", "rows"}


def test_linked_files_exist(repo: Path) -> None:
    text = (repo / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert len(links) >= 3
    assert [link for link in links if not (repo / link.partition("#")[0]).exists()] == []


def test_make_targets_exist(repo: Path) -> None:
    makefile = (repo / "Makefile").read_text(encoding="utf-8")
    named = {line.split()[1] for b in blocks(repo, "bash") for line in b.splitlines() if line.startswith("make ")}
    assert named
    for target in named:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@pytest.mark.slow
def test_the_code_runs(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    search, module = (
        [block for block in blocks(repo, "python") if word in block] for word in ("find_ticket", "TicketModule")
    )
    assert len(search) == len(module) == 1
    names: dict[str, object] = {}
    exec(compile(search[0] + 'ticket.save("my.ticket")', "README.md", "exec"), names)
    assert 0.3 < float(capsys.readouterr().out.split()[-1]) <= 1
    exec(compile(module[0], "README.md", "exec"), names)
    assert "test/mnist5k" in capsys.readouterr().out
    assert (tmp_path / "my.model").stat().st_size > 1000
