"""A wrong word is refused before anything heavy is imported."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest
from torchvision.models import list_models

from ult_lightning.cli.config.launch import _torchvision_models

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
    assert {"torch", "torchvision", "pytorch_lightning"} & imported == set()


def test_the_names_of_torchvision_are_those_of_its_registry() -> None:
    assert set(_torchvision_models()) == set(list_models())
