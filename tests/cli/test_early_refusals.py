"""A wrong word is refused before anything heavy is imported."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields

import pytest
from torchvision.models import list_models

from ult_lightning.cli.config.source_names import declared_fields, task_names, torchvision_models
from ult_lightning.construct import FAMILIES
from ult_lightning.data import FUNCTIONS, TASKS
from ult_lightning.nets.bodies.body import NETS

SEARCH = ("search", "sources=[digits]")
COMPARE = ("compare", "sources=[digits]", "targets=[mnist5k]")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((*SEARCH, "+method.options.lrr=2"), "did you mean method.options.lr"),
        ((*SEARCH, "net=conv44"), "net: got 'conv44'"),
        ((*SEARCH, "norm=batsch"), "norm: got 'batsch'"),
        ((*SEARCH, "density=2"), "density: got 2"),
        ((*SEARCH, "trainer.precision=33"), "trainer.precision: got '33'"),
        ((*SEARCH, "device=gpu"), "device: got 'gpu'"),
        (("transfer", "ticket=x", "targets=[digits]", "+head.options.x=1"), "got 'head.options.x'"),
        (("search", "sources=[mnst5k]"), "task: got 'mnst5k'"),
        (("compare", "sources=[digits]", "targets=[mnst5k:parity]"), "task: got 'mnst5k'"),
        (
            ("transfer", "ticket=nowhere.ticket", "targets=[digits]"),
            "ticket: got 'nowhere.ticket', wanted a ticket file",
        ),
        (("transfer", f"ticket={__file__}", "targets=[polynomals]"), "did you mean polynomials"),
        ((*SEARCH, "+net.options.x=1"), "option of net.options: got 'x', wanted one of trunk, width"),
        (("construct", "family=polynomial", "degreee=3"), "did you mean degree"),
        (("construct", "family=polynomial", "+degreee=3"), "did you mean degree"),
        ((*COMPARE, "arms=[dens]"), "arm: got 'dens'"),
        ((*COMPARE, "+arm.dense_long.x=2"), "option of arm.dense_long: got 'x'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_wrong_words_cost_no_heavy_import(
    ult: Callable[..., subprocess.CompletedProcess[str]],
    words: tuple[str, ...],
    sentence: str,
) -> None:
    done = ult(*words, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 2
    assert sentence in done.stderr
    imported = set(re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", done.stderr, re.MULTILINE))
    assert "ult_lightning.base" in imported
    assert {"torch", "torchvision", "pytorch_lightning", "scipy", "sklearn", "matplotlib", "wandb"} & imported == set()


def test_the_names_of_torchvision_are_those_of_its_registry() -> None:
    assert set(torchvision_models()) == set(list_models())


def test_names_read_from_sources_are_those_of_the_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ult_lightning.data")
    images, functions = set(TASKS), set(FUNCTIONS)
    assert len(images) > 10
    assert set(task_names(functions=False)) == images
    assert set(task_names(functions=True)) == images | functions


def test_declared_fields_hold_every_option() -> None:
    assert len(FAMILIES) > 3
    for room, kinds in (
        ("construct", [FAMILIES.get(name).options for name in FAMILIES]),
        ("nets", [NETS.get(name).options for name in NETS]),
    ):
        options = {entry.name for kind in kinds for entry in fields(kind)}
        assert len(options) > 3
        assert options <= declared_fields(room)
        assert "degreee" not in declared_fields(room)
