"""What is measured against what, and what a store of several experiments says where nothing fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.report.science import compared, transferred
from ult_lightning.base import UltError
from ult_lightning.report import Line, table
from ult_lightning.results import Row

MakeRow = Callable[..., Row]


def line(rows: list[Row], label: str, task: str = "digits", **words: str) -> Line:
    (found,) = [one for one in table(rows, **words).lines if (one.label, one.task) == (label, task)]
    return found


def gap(rows: list[Row], label: str) -> float | None:
    found = line(rows, label).gap
    return None if found is None else round(found.mean, 4)


def lift(rows: list[Row], label: str) -> float | None:
    found = line(rows, label).lift
    return None if found is None else round(found.mean, 4)


def said(rows: list[Row], **words: str) -> str:
    return " ".join(table(rows, **words).warnings)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ({"net": "conv4"}, "net (conv4 there, conv2 here)"),
        ({"sources": ("mnist5k:5-9",)}, "sources (mnist5k:5-9 there, mnist5k:0-4 here)"),
        ({"head": "sgd"}, "head (sgd there, ridge here)"),
        ({"train": 50}, "n_train (50 there, 200 here), source_images (50 there, 200 here) and n_valid (25 there, 100 here)"),
    ],
)  # fmt: skip
def test_arms_of_different_experiments_are_not_paired(row: MakeRow, there: dict[str, Any], reason: str) -> None:
    rows = [compared(row, "universal", 0, 0.8), compared(row, "random_features", 0, 0.7, **there)]
    assert lift(rows, "universal") is None
    assert f"digits, universal: no lift over random_features, whose rows differ in {reason}." in said(rows)
    assert lift([rows[0], compared(row, "random_features", 0, 0.7)], "universal") == 0.1


def test_steps_pair(row: MakeRow) -> None:
    """`ult compare` twice in one store, with other max_steps."""
    rows = [
        compared(row, arm, seed, value + steps / 1000, steps=steps)
        for steps, shift in ((6, 0.0), (12, 0.05))
        for arm, value in (("dense", 0.9), ("universal", 0.8 + shift))
        for seed in range(2)
    ]
    rows += [compared(row, "random_features", seed, 0.7) for seed in range(2)]
    assert (gap(rows, "universal [steps=6]"), gap(rows, "universal [steps=12]")) == (-0.1, -0.05)
    assert (lift(rows, "universal [steps=6]"), lift(rows, "universal [steps=12]")) == (0.106, 0.162)
    assert gap(rows, "random_features") is None
    assert "digits, random_features: no gap to dense, of which 2 variants fit: they differ in steps." in said(rows)  # fmt: skip


def test_training_sizes_pair(row: MakeRow) -> None:
    rows = [
        compared(row, arm, 0, value - 1 / train, train=train)
        for train in (50, 200)
        for arm, value in (("dense", 0.9), ("universal", 0.8), ("random_features", 0.7))
    ]
    for train in (50, 200):
        assert gap(rows, f"universal [n_train={train}]") == -0.1
        assert lift(rows, f"universal [n_train={train}]") == 0.1


def test_one_variant_says_which_baseline_it_is_measured_against(row: MakeRow) -> None:
    rows = [compared(row, "dense", 0, 0.9, steps=6), compared(row, "dense", 0, 0.95, steps=12)]
    rows.append(compared(row, "universal", 0, 0.8, steps=12))
    assert gap(rows, "universal [steps=12]") == -0.15


def test_no_fitting_baseline_is_said_once_for_all_alike(row: MakeRow) -> None:
    rows = [compared(row, "dense", 0, 0.9, steps=200, target=target) for target in ("digits", "kmnist")]
    rows += [
        compared(row, "universal", 0, 0.8, steps=100, density=density, target=target)
        for target in ("digits", "kmnist")
        for density in (0.05, 0.1, 0.5)
    ]
    (found,) = [sentence for sentence in table(rows).warnings if "no gap" in sentence]
    assert found == (
        "digits, universal [density=0.05]; digits, universal [density=0.1]; digits, universal [density=0.5]; 3 more"
        " lines: no gap to dense, whose rows differ in steps (200 there, 100 here)."
    )


def test_want_of_a_common_seed_is_said(row: MakeRow) -> None:
    rows = [compared(row, "dense", 0, 0.9), compared(row, "universal", 1, 0.8)]
    assert "digits, universal: no gap to dense, for want of a common seed." in said(rows)


def test_of_several_that_fit_the_one_of_equal_density_is_taken(row: MakeRow) -> None:
    rows = [
        compared(row, arm, 0, value + density, density=density)
        for density in (0.05, 0.1)
        for arm, value in (("universal", 0.7), ("random_mask", 0.6))
    ]
    for density in (0.05, 0.1):
        found = line(rows, f"universal [density={density}]", floor="random_mask").lift
        assert found is not None
        assert found.mean == pytest.approx(0.1)


def test_a_pair_that_differs_otherwise_is_told(row: MakeRow) -> None:
    rows = [compared(row, "universal", 0, 0.8, density=0.1), compared(row, "random_mask", 0, 0.7, density=0.5)]
    assert line(rows, "universal", floor="random_mask").lift is not None
    assert (
        "digits, universal: the lift over random_mask is between rows that differ in density (0.5 there, 0.1 here)."
        in said(rows, floor="random_mask")
    )


def test_transfers_pair_with_the_arms_of_a_comparison(row: MakeRow) -> None:
    rows = [compared(row, "dense", 0, 0.9, steps=100), compared(row, "random_features", 0, 0.7)]
    rows.append(transferred(row, 0, 0.8, steps=100, options={"lambdas": [1.0]}))
    assert (gap(rows, "ticket"), lift(rows, "ticket")) == (-0.1, 0.1)
    rows[-1] = transferred(row, 0, 0.8, steps=7, net="conv4")
    assert (gap(rows, "ticket"), lift(rows, "ticket")) == (None, None)
    assert "no gap to dense, whose rows differ in net (conv2 there, conv4 here) and steps (100 there, 7 here)." in said(
        rows
    )


def test_absent_arms_are_silent_and_misspelt_ones_are_not(row: MakeRow) -> None:
    rows = [compared(row, "universal", 0, 0.8), transferred(row, 0, 0.8)]
    assert table(rows).warnings == ()
    with pytest.raises(UltError, match=r"^floor: got 'tickets', wanted one of ticket, universal; did you mean ticket\?$"):  # fmt: skip
        table(rows, floor="tickets")
    with pytest.raises(UltError, match=r"^baseline: got 'denes', wanted one of ticket, universal\.$"):
        table(rows, baseline="denes")
    assert table(rows, baseline="ticket").baseline == "ticket"
