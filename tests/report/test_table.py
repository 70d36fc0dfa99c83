"""The table: means, paired differences, storage, what is said under it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable

import pytest
from scipy import stats

from ult_lightning.base import UltError
from ult_lightning.report import Line, Table, arm_order, table
from ult_lightning.report._html import page
from ult_lightning.results import Row, arm_looks

MakeRow = Callable[..., Row]
ARMS = tuple(arm_looks())


def line(summary: Table, task: str, label: str, shots: int | None = None) -> Line:
    found = [one for one in summary.lines if (one.task, one.label, one.shots) == (task, label, shots)]
    assert len(found) == 1
    return found[0]


def test_mean_and_interval_are_scipys(row: MakeRow) -> None:
    values = [0.91, 0.90, 0.95, 0.88]
    found = table([row(seed=seed, value=value) for seed, value in enumerate(values)]).lines[0].accuracy
    low, high = stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 4)


def test_differences_are_paired_over_seeds(grid: list[Row]) -> None:
    universal = line(table(grid), "mnist", "universal")
    assert universal.lift is not None
    assert universal.gap is not None
    assert universal.lift.mean == pytest.approx(0.02)
    assert universal.lift.half == pytest.approx(0, abs=1e-12)  # an unpaired interval is 0.04 wide here
    assert universal.gap.mean == pytest.approx(-0.01)
    assert universal.accuracy.half > 0.01


def test_only_common_seeds_are_paired_and_it_is_said(row: MakeRow) -> None:
    rows = [row(arm="dense", seed=seed, value=0.9 + 0.01 * seed) for seed in (0, 1)]
    rows += [row(arm="universal", seed=seed, value=0.8 + 0.01 * seed) for seed in (1, 2, 3)]
    summary = table(rows)
    gap = line(summary, "digits", "universal").gap
    assert gap is not None
    assert (gap.mean, gap.n) == (pytest.approx(-0.1), 1)
    assert any("digits, universal: the difference to dense is over 1 of 3 seeds" in s for s in summary.warnings)


def test_no_common_seed_means_no_gap(row: MakeRow) -> None:
    summary = table([row(arm="dense", seed=0), row(arm="universal", seed=1)])
    assert line(summary, "digits", "universal").gap is None
    assert line(summary, "digits", "dense").gap is None  # not to itself


def test_other_baseline_and_floor(grid: list[Row]) -> None:
    found = line(table(grid, baseline="universal", floor="random_mask"), "mnist", "dense")
    assert found.gap is not None
    assert found.lift is not None
    assert (found.gap.mean, found.lift.mean) == (pytest.approx(0.01), pytest.approx(0.04))


def test_draws_are_averaged_within_a_seed_first(row: MakeRow) -> None:
    """Seed 0 has one draw more: its seed must not weigh more for that."""
    values = {(0, 0): 0.5, (0, 1): 0.7, (0, 2): 0.6, (1, 0): 0.8}
    rows = [row(seed=seed, value=value, extra={"shots": 5, "draw": draw}) for (seed, draw), value in values.items()]
    found = line(table(rows), "digits", "dense", 5)
    assert found.by_seed == {0: pytest.approx(0.6), 1: pytest.approx(0.8)}
    assert (found.accuracy.mean, found.accuracy.n, found.draws) == (pytest.approx(0.7), 2, 3)


def test_shots_are_separate_sections_in_order(row: MakeRow) -> None:
    rows = [row(value=0.5 + shots / 100, extra={"shots": shots, "draw": 0}) for shots in (10, 1, 5)]
    titles = [section.title for section in table([*rows, row(value=0.9)]).sections]
    assert titles == ["digits", "digits, 1 per class", "digits, 5 per class", "digits, 10 per class"]


def test_arms_have_their_order_and_unknown_ones_follow(row: MakeRow) -> None:
    rows = [row(arm=arm) for arm in ("zeta", *reversed(ARMS), "alpha")]
    assert [one.label for one in table(rows).lines] == [*ARMS, "alpha", "zeta"]
    assert arm_order([]) == []


def test_bytes_for_k_tasks(row: MakeRow) -> None:
    ticket = {"bytes_shared": 300_000, "bytes_per_task": 80_000}
    network = {"bytes_shared": 0, "bytes_per_task": 9_000_000}
    tasks = ("a", "b", "c")
    rows = [row(task, "universal", extra=ticket) for task in tasks]
    rows += [row(task, "dense", extra=network) for task in tasks]
    summary = table(rows)
    assert summary.k == 3
    assert line(summary, "b", "universal").stored.k_tasks == 300_000 + 3 * 80_000
    assert line(summary, "b", "dense").stored.k_tasks == 3 * 9_000_000
    assert any("shared + k × per task" in sentence for sentence in summary.sentences)


def test_bytes_of_rows_without_the_parts(row: MakeRow) -> None:
    assert table([row(extra={}, bytes=500)]).lines[0].stored.k_tasks == 500
    assert table([row("a", extra={}, bytes=500), row("b", extra={}, bytes=500)]).lines[0].stored.k_tasks is None


def test_settings_that_differ_are_never_averaged(row: MakeRow) -> None:
    rows = [
        row(arm="universal", seed=seed, value=value, settings={"density": density, "seed": seed, "ticket.content": f"{seed}{density}"})
        for density, value in ((0.1, 0.7), (0.5, 0.8))
        for seed in range(3)
    ]  # fmt: skip
    rows += [row(arm="dense", seed=seed, value=0.9) for seed in range(3)]
    summary = table(rows)
    assert [one.label for one in summary.lines] == ["dense", "universal [density=0.1]", "universal [density=0.5]"]
    gap = line(summary, "digits", "universal [density=0.1]").gap
    assert gap is not None
    assert gap.mean == pytest.approx(-0.2)


def test_a_row_measured_again_replaces_the_older(row: MakeRow) -> None:
    old = row(value=0.95, created="2026-01-01T00:00:00+00:00", code_version="0.0.9")
    summary = table([row(value=0.9), old])
    assert summary.lines[0].accuracy.mean == 0.9
    assert any("1 rows were measured again" in sentence for sentence in summary.warnings)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("precision", ("32", "bf16"), "differ in precision (32: 1 row, bf16: 1 row)"),
        ("device", ("a CPU", "a GPU"), "differ in device"),
        ("code_version", ("0.1.0", "0.1.0+gabc"), "differ in code version"),
        ("n", (9_000, 10_000), "differ in the number of test images"),
        ("n_train", (50, 9_000), "differ in the number of training images"),
    ],
)
def test_mixed_circumstances_are_said(row: MakeRow, name: str, values: tuple[object, object], said: str) -> None:
    mixed = [row(seed=seed, **{name: value}) for seed, value in enumerate(values)]
    equal = [row(seed=seed, **{name: values[0]}) for seed in range(2)]
    for form in (table(mixed).text(), table(mixed).markdown()):
        assert said in " ".join(form.split())
    assert table(equal).warnings == ()


def test_other_metrics_are_left_out_and_it_is_said(row: MakeRow) -> None:
    summary = table([row(value=0.9), row(metric="loss", value=2.5, unit="nats")])
    assert summary.lines[0].accuracy.mean == 0.9
    assert summary.warnings == ("1 rows of other metrics (loss in nats) are left out.",)


def test_every_known_arm_says_what_it_does(row: MakeRow, grid: list[Row]) -> None:
    summary = table([*grid, row("mnist", "an_arm_of_mine", 0)])
    words = arm_looks()
    arms = ["dense", "universal", "random_mask", "random_features"]
    assert list(summary.arms) == [f"{arm}: {words[arm].words}." for arm in arms]
    for form, before in ((summary.text(), ""), (summary.markdown(), "- "), (page(summary, b""), "<li>")):
        for arm in arms:
            assert form.replace("&#39;", "'").count(f"\n{before}{arm}: {words[arm].words}.") == 1
        assert "an_arm_of_mine:" not in form


@pytest.mark.parametrize("rows", [[], [{"metric": "loss", "unit": "nats"}]])
def test_no_accuracy_rows(row: MakeRow, rows: list[dict[str, str]]) -> None:
    with pytest.raises(UltError, match=r"^rows: got 0, wanted at least one row .*ult compare.*\.$"):
        table([row(**fields) for fields in rows])


def test_text_fits_the_terminal(row: MakeRow, grid: list[Row]) -> None:
    grid += [row("mnist", "an_arm_with_a_name_that_is_far_too_long_for_a_terminal_of_any_size", 0)]
    shown = table(grid, command="ult compare " + "a=b " * 60, machine="two cores").text()
    assert max(map(len, shown.splitlines())) <= 110
    assert "88.00" not in shown  # the mean of universal is not a seed's value
    assert "87.67 ± 3.79" in shown
    assert "+2.00 ± 0.00" in shown
    assert "−1.00 ± 0.00" in shown
    assert "unseen" in shown
    assert "Machine: two cores" in shown


def test_one_seed_has_no_interval(row: MakeRow) -> None:
    shown = table([row(value=0.9)]).text()
    assert "90.00" in shown
    assert "90.00 ±" not in shown
    assert "One seed gives no interval." in shown
    for form in (shown, table([row(value=0.9)]).markdown()):
        assert "±" not in form
    assert "nan" not in shown + table([row()]).csv()


def test_small_test_sets_get_one_decimal(row: MakeRow) -> None:
    assert "91.7" in table([row(value=330 / 360, n=360)]).text()
    assert "91.67" in table([row(value=0.91666, n=10_000)]).text()


def test_markdown_is_a_table_with_command_and_machine(grid: list[Row]) -> None:
    shown = table(grid, command="ult compare seeds=[0,1,2]", machine="two cores", notes=["a | b"]).markdown()
    rows = [text for text in shown.splitlines() if text.startswith("|")]
    assert len(rows) == 2 * (2 + 4)
    assert len({text.replace("\\|", "").count("|") for text in rows}) == 1
    assert "```sh\nult compare seeds=[0,1,2]\n```" in shown
    assert "Machine: two cores" in shown
    assert "a \\| b" in shown
    assert "**mnist** (10,000 test images, 9,000 training images)" in shown


def test_csv_holds_unrounded_numbers(grid: list[Row]) -> None:
    rows = list(csv.DictReader(io.StringIO(table(grid).csv())))
    assert len(rows) == 8
    found = next(one for one in rows if (one["task"], one["arm"]) == ("mnist", "universal"))
    accuracy = float(found["accuracy_percent"])
    assert accuracy == pytest.approx(100 * (0.88 - 0.01 / 3), abs=1e-3)
    assert float(found["accuracy_low"]) < accuracy < float(found["accuracy_high"])
    assert (found["lift_points"], found["lift_seeds"], found["seen"]) == ("2", "3", "unseen")
    assert (found["seeds"], found["draws"]) == ("3", "1")
    assert (found["k"], found["bytes_k_tasks"]) == ("2", str(300_000 + 2 * 80_000))
    dense = next(one for one in rows if one["arm"] == "dense")
    assert dense["gap_points"] == ""
    assert not math.isnan(float(dense["accuracy_low"]))


# one list of columns


def test_all_forms_have_the_columns_of_the_table_in_their_order(row: MakeRow, grid: list[Row]) -> None:
    best = trained(row, "digits", {"dense": (0.8, 0.9), "dense_long": (0.85, 0.7), "universal": (0.9, 0.6)})
    for summary, count in ((table(grid), 10), (table(best), 11)):
        names = [column.name for column in summary.printed]
        assert (len(names), len(summary.columns)) == (count, 11)
        titles = [column.title for column in summary.printed]
        heads = next(line for line in summary.markdown().splitlines() if line.startswith("| arm"))
        assert heads == f"| {' | '.join(titles)} |"
        assert page(summary, b"").count('scope="col"') == count * len(summary.sections) + 7
        data = [name for column in summary.columns for name in column.data(summary.sections[0], summary.lines[0])]
        assert summary.csv().splitlines()[0].split(",") == data
        assert len(set(data)) == len(data)


def test_latex_is_one_tabular_that_escapes_what_is_special(row: MakeRow, grid: list[Row]) -> None:
    text = table([*grid, row("a_b & 50% {$#}~^\\", "random_features", 0, 0.5)]).latex()
    assert text.count(r"\begin{tabular}{lrrrrlrrrl}") == text.count(r"\end{tabular}") == 1
    body = text.split(r"\toprule")[1]
    lines = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(lines) == 1 + 9
    assert {line.count(" & ") for line in lines} == {9}
    assert r"a\_b \& 50\% \{\$\#\}\textasciitilde{}\textasciicircum{}\textbackslash{}" in body
    assert r"87.67 $\pm$ 3.79 & $-$1.00 $\pm$ 0.00 & +2.00 $\pm$ 0.00" in body
    assert not set("±−–×") & set(body)
    assert all(line.startswith("%") for line in text.split(r"\begin")[0].splitlines())


# the best trained arm, and chance


def trained(row: MakeRow, task: str, levels: dict[str, tuple[float, float]]) -> list[Row]:
    """Two seeds per arm: validation and test accuracy."""
    return [
        row(task, arm, seed, tested + 0.01 * seed, extra={"valid_accuracy": valid, "chance": 0.104})
        for arm, (valid, tested) in levels.items()
        for seed in (0, 1)
    ]


def test_gaps_to_the_best_trained_arm_stand_beside_those_to_dense(row: MakeRow) -> None:
    """The best is chosen on validation, whatever the test split says, and only among arms that train weights."""
    rows = trained(
        row,
        "digits",
        {"dense": (0.8, 0.9), "dense_long": (0.85, 0.7), "finetuned": (0.7, 0.95), "universal": (0.99, 0.6)},
    )
    rows += trained(row, "mnist", {"dense": (0.8, 0.9), "dense_long": (0.7, 0.95), "universal": (0.99, 0.6)})
    summary = table(rows)
    assert [section.best for section in summary.sections] == ["dense_long", "dense"]
    assert summary.names_best
    gaps = {(one.task, one.arm): one.best_gap for one in summary.lines}
    assert gaps["digits", "dense_long"] is None
    assert gaps["mnist", "dense"] is None
    for (task, arm), gap in {
        ("digits", "dense"): 0.2,
        ("digits", "finetuned"): 0.25,
        ("digits", "universal"): -0.1,
        ("mnist", "universal"): -0.3,
        ("mnist", "dense_long"): 0.05,
    }.items():
        found = gaps[task, arm]
        assert found is not None
        assert found.mean == pytest.approx(gap)
    text = summary.text()
    assert "digits (10,000 test images, 9,000 training images, chance 10.40 %, best trained arm on validation: dense_long)" in " ".join(text.split())  # fmt: skip
    assert "gap to best" in text
    assert "Best trained: of the arms that train weights" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 110
    heads = [line for line in summary.markdown().splitlines() if line.startswith("| arm")]
    assert heads[0].split(" | ")[2:5] == ["gap to dense", "gap to best trained", "lift over random_features"]
    line_of = next(line for line in summary.markdown().splitlines() if line.startswith("| universal"))
    assert line_of.split(" | ")[2:4] == ["−30.00 ± 0.00", "−10.00 ± 0.00"]
    assert line_of.count("|") == heads[0].count("|")
    (universal, *_) = [one for one in csv.DictReader(io.StringIO(summary.csv())) if one["arm"] == "universal"]
    assert (universal["best_trained"], universal["best_gap_points"], universal["chance_percent"]) == (
        "dense_long",
        "-10",
        "10.4",
    )


def test_no_column_where_dense_is_the_best(row: MakeRow) -> None:
    both = trained(row, "digits", {"dense": (0.8, 0.9), "dense_long": (0.7, 0.95)})
    alone = trained(row, "digits", {"dense": (0.8, 0.9), "universal": (0.9, 0.95)})
    assert [table(rows).sections[0].best for rows in (both, alone)] == ["dense", None]
    for rows in (both, alone):
        assert "best trained" not in table(rows).text().replace("best trained arm on validation: dense", "")


def test_chance_is_said_where_rows_know_it(row: MakeRow, grid: list[Row]) -> None:
    assert "chance" not in table(grid).text().lower()
    text = table(trained(row, "digits", {"dense": (0.8, 0.9)})).text()
    assert "chance 10.40 %" in text
    assert "the share of the largest class among the test images" in " ".join(text.split())
