"""Rows of several experiments in one table: never mixed, told apart by short labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report.science import compared, transferred
from ult_lightning.report import table
from ult_lightning.results import Row

MakeRow = Callable[..., Row]


def labels(rows: list[Row], task: str = "digits") -> list[str]:
    return [line.label for line in table(rows).lines if line.task == task]


def said(rows: list[Row]) -> str:
    return " ".join(table(rows).warnings)


def test_disjoint_seeds_are_not_averaged_over_densities(row: MakeRow) -> None:
    rows = [compared(row, "universal", seed, 0.8, density=0.5) for seed in (0, 1)]
    rows += [compared(row, "universal", seed, 0.6, density=0.05) for seed in (2, 3)]
    found = {line.label: line.accuracy for line in table(rows).lines}
    assert list(found) == ["universal [density=0.05]", "universal [density=0.5]"]
    assert [one.mean for one in found.values()] == [pytest.approx(0.6), pytest.approx(0.8)]
    assert [one.n for one in found.values()] == [2, 2]


def test_sources_tell_whole_experiments_apart(row: MakeRow) -> None:
    """The seeds of sources are no part of what they are: they must not tell the seeds of one experiment apart."""
    rows = [
        compared(row, arm, seed, 0.8, sources=(source,))
        for source in ("mnist5k:0-4", "mnist5k:5-9")
        for arm in ("universal", *(["dense"] if source == "mnist5k:0-4" else []))
        for seed in range(3)
    ]
    found = {line.label: line.accuracy.n for line in table(rows).lines}
    assert found == {"dense": 3, "universal [sources=mnist5k:0-4]": 3, "universal [sources=mnist5k:5-9]": 3}
    assert table(rows).warnings == ()


def test_what_is_too_long_for_a_label_is_explained(row: MakeRow) -> None:
    rows = [
        compared(row, "universal", 0, 0.8, sources=sources)
        for sources in (("mnist",), ("kmnist",), ("kmnist", "fashion_mnist", "mnist5k:0-4"))
    ]
    assert labels(rows) == ["universal [sources=kmnist]", "universal [1]", "universal [sources=mnist]"]
    assert "universal [1]: sources kmnist+fashion_mnist+mnist5k:0-4." in said(rows)


def test_a_default_is_named_beside_other_values(row: MakeRow) -> None:
    rows = [compared(row, "universal", 0, 0.8, density=density) for density in (0.5, 0.1)]
    assert ["density" in one.settings for one in rows] == [False, True]
    assert labels(rows) == ["universal [density=0.1]", "universal [density=0.5]"]


def test_a_new_option_at_its_default_does_not_part_old_rows_from_new(row: MakeRow) -> None:
    rows = [compared(row, "universal", seed, 0.8) for seed in range(2)]
    rows[1].extra["shown"]["method.new"] = 3
    assert [(line.label, line.accuracy.n) for line in table(rows).lines] == [("universal", 2)]


def test_sources_of_one_name_and_other_data_are_numbered(row: MakeRow) -> None:
    rows = [compared(row, "universal", seed, 0.8) for seed in range(2)]
    rows[1].settings["sources"] = ["e" * 16]
    assert labels(rows) == ["universal [1]", "universal [2]"]
    assert "universal [2]: sources.id eeeeeeee." in said(rows)


def test_the_names_are_chosen_once_and_the_first_in_order(row: MakeRow) -> None:
    """Two training sizes come with two numbers of steps and of source images: one name says it, for all arms."""
    rows = [
        compared(row, arm, seed, 0.8, steps=steps, train=train)
        for steps, train in ((6, 50), (12, 200))
        for arm in ("dense", "universal", "random_features")
        for seed in range(2)
    ]
    shown = labels(rows)
    assert shown == [
        "dense [n_train=50]", "dense [n_train=200]", "universal [n_train=50]", "universal [n_train=200]",
        "random_features [n_train=50]", "random_features [n_train=200]",
    ]  # fmt: skip
    assert "The variants of dense also differ in steps." in said(rows)


def test_two_settings_make_two_names_only_where_an_arm_has_them(row: MakeRow) -> None:
    rows = [compared(row, "dense", 0, 0.9, steps=steps) for steps in (6, 12)]
    rows += [
        compared(row, "universal", 0, 0.8, steps=steps, density=density) for steps in (12, 6) for density in (0.5, 0.1)
    ]
    rows.append(compared(row, "joint", 0, 0.8, steps=12))
    rows.append(compared(row, "random_features", 0, 0.7))
    assert labels(rows) == [
        "dense [steps=6]", "dense [steps=12]", "joint [steps=12]", "universal [density=0.1, steps=6]",
        "universal [density=0.1, steps=12]", "universal [density=0.5, steps=6]", "universal [density=0.5, steps=12]",
        "random_features",
    ]  # fmt: skip


def test_transfers_are_told_by_what_their_ticket_was_made_from(row: MakeRow) -> None:
    rows = [transferred(row, seed, 0.8 + density / 10, density=density) for density in (0.05, 0.5) for seed in range(2)]
    assert labels(rows) == ["ticket [density=0.05]", "ticket [density=0.5]"]
    assert [line.accuracy.n for line in table(rows).lines] == [2, 2]


def test_transfers_are_told_by_the_word_of_their_head(row: MakeRow) -> None:
    options: dict[str, dict[str, Any]] = {
        "ridge": {"lambdas": [1.0, 0.1]},
        "logistic": {"max_iter": 50},
        "sgd": {"augment": False},
    }
    rows = [
        transferred(row, seed, 0.8, head=head, options=options[head], density=None, ticket=f"{seed:016x}")
        for head in options
        for seed in range(2)
    ]
    assert labels(rows) == ["ticket [head=logistic]", "ticket [head=ridge]", "ticket [head=sgd]"]
    assert table(rows).warnings == ()


def test_tickets_that_share_a_seed_are_numbered_and_their_digests_stay_out(row: MakeRow) -> None:
    """Nothing says what these tickets were made from; measured on one seed, they are no repetitions."""
    rows = [
        transferred(row, seed, value, density=None, ticket=name * 16)
        for name, value in (("a", 0.8), ("b", 0.6))
        for seed in range(2)
    ]
    summary = table(rows)
    found = {line.label: line.accuracy.mean for line in summary.lines}
    assert found == {"ticket [1]": pytest.approx(0.8), "ticket [2]": pytest.approx(0.6)}
    assert "ticket [1]: ticket aaaaaaaa. ticket [2]: ticket bbbbbbbb." in said(rows)
    assert not re.search("[0-9a-f]{16}", summary.text() + summary.markdown())


def test_a_ticket_made_again_replaces_the_older(row: MakeRow) -> None:
    old = transferred(row, 0, 0.6, created="2026-01-01T00:00:00+00:00")
    again = transferred(row, 0, 0.8)
    assert [line.accuracy.mean for line in table([again, old]).lines] == [0.8]
    assert "1 rows were measured again" in said([again, old])


def test_data_that_differ_in_their_digest_alone_are_numbered(row: MakeRow) -> None:
    rows = [compared(row, "dense", seed, 0.8) for seed in range(2)]
    other = compared(row, "dense", 2, 0.6, data="e" * 64)
    assert labels([*rows, other]) == ["dense [1]", "dense [2]"]
    assert "task.digest eeeeeeee." in said([*rows, other])
    assert not re.search("[0-9a-f]{16}", table([*rows, other]).text())


def test_seeds_of_pilots_and_lists_make_no_variants(row: MakeRow) -> None:
    rows = [
        row(seed=seed, settings={"dense.pilot_seed": seed, "study.seeds": [seed], "sources.0.seed": seed})
        for seed in range(3)
    ]
    assert [(line.label, line.accuracy.n) for line in table(rows).lines] == [("dense", 3)]


def test_what_has_no_nicer_name_keeps_its_dotted_one(row: MakeRow) -> None:
    rows = [row(settings={"method.parts.0.size": size}) for size in (9, 10)]
    assert labels(rows) == ["dense [method.parts.0.size=9]", "dense [method.parts.0.size=10]"]


def test_the_terminal_cuts_the_arm_and_not_its_variant(row: MakeRow) -> None:
    rows = [
        compared(row, arm, seed, 0.5 + 0.3 * seed, train=train)
        for arm in ("dense", "random_features")
        for train in (1000, 2000)
        for seed in range(2)
    ]
    shown = table(rows).text(width=90)
    assert max(map(len, shown.splitlines())) <= 90
    assert "… [n_train=1000]" in shown
    assert "… [n_train=2000]" in shown


names = (
    *("density", "steps", "lr", "batch_size", "dense.momentum", "dense.task", "net", "net.width", "head"),
    *("head.lambdas", "task.classes", "task.labels", "sources", "sources.train", "method.x.0", "mother.seed"),
)
flat = st.dictionaries(st.sampled_from(names), st.sampled_from([0, 0.5, "a", "b", True, [1, 2]]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(flat, st.sampled_from([50, 200]), st.sampled_from(["32", "bf16"])), max_size=6, min_size=1))  # fmt: skip
def test_no_cell_mixes_two_settings(row: MakeRow, drawn: list[tuple[dict[str, Any], int, str]]) -> None:
    """Each row has a seed of its own, by which a line says what it is made of."""
    rows = [
        row(seed=seed, settings=chosen, n_train=train, precision=precision)
        for seed, (chosen, train, precision) in enumerate(drawn)
    ]
    summary = table(rows)
    assert sorted(seed for line in summary.lines for seed in line.by_seed) == list(range(len(rows)))
    assert len({line.label for line in summary.lines}) == len(summary.lines)
    for line in summary.lines:
        kinds = {
            json.dumps(
                [{k: v for k, v in drawn[seed][0].items() if k != "mother.seed"}, *drawn[seed][1:]], sort_keys=True
            )
            for seed in line.by_seed
        }
        assert len(kinds) == 1  # fmt: skip


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flat)
def test_rows_of_equal_settings_are_one_line(row: MakeRow, chosen: dict[str, Any]) -> None:
    rows = [row(seed=seed, settings={**chosen, "seed": seed}) for seed in range(3)]
    assert [(line.label, line.accuracy.n) for line in table(rows).lines] == [("dense", 3)]
