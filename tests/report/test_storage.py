"""Bytes for all targets of a table."""

from __future__ import annotations

from collections.abc import Callable

from tests.report.science import compared, transferred
from ult_lightning.report import Line, table
from ult_lightning.results import Row

MakeRow = Callable[..., Row]
TARGETS = ("digits", "kmnist", "mnist5k:5-9")


def stored(rows: list[Row], label: str = "universal") -> set[tuple[int | None, int | None, int | None]]:
    """(for k tasks, shared, per task) on the lines of a label, which must agree."""
    lines: list[Line] = [line for line in table(rows).lines if line.label == label]
    assert lines
    return {(line.stored.k_tasks, line.stored.shared, line.stored.per_task) for line in lines}


def test_every_ticket_counts_once(row: MakeRow) -> None:
    """Each target leaves itself out of the sources, so that three targets have three tickets."""
    own = [
        compared(row, "universal", seed, 0.8, target=target, ticket=f"{target}{seed}",
                 sources=[one for one in TARGETS if one != target])
        for target in TARGETS
        for seed in range(2)
    ]  # fmt: skip
    assert stored(own) == {(3 * 300 + 3 * 80, 900, 80)}
    one = [compared(row, "universal", seed, 0.8, target=target, ticket=f"t{seed}") for target in TARGETS for seed in range(2)]  # fmt: skip
    assert stored(one) == {(300 + 3 * 80, 300, 80)}
    assert "each ticket file once" in " ".join(table(own).sentences)


def test_networks_without_a_ticket_are_told_by_their_fingerprint(row: MakeRow) -> None:
    rows = [
        compared(row, "random_features", 0, 0.8, target=target, extra={"fingerprint": print_})
        for target, print_ in zip(TARGETS, "aab", strict=True)
    ]
    assert stored(rows, "random_features") == {(2 * 300 + 3 * 80, 600, 80)}


def test_seeds_are_averaged_and_missing_targets_extrapolated(row: MakeRow) -> None:
    sizes = {("digits", 0): 80, ("kmnist", 0): 120, ("digits", 1): 90}
    rows = [
        compared(row, "universal", seed, 0.8, target=target, ticket=f"t{seed}", extra={"bytes_per_task": size})
        for (target, seed), size in sizes.items()
    ]
    rows.append(compared(row, "dense", 0, 0.9, target="mnist5k:5-9"))
    per_task = (100 + 90) / 2
    assert stored(rows) == {(300 + 3 * 95, 300, round(per_task))}
    assert "tasks that an arm lacks count as the mean of its others" in " ".join(table(rows).sentences)
    assert "tasks that an arm lacks" not in " ".join(table(rows[:2]).sentences)


def test_draws_and_variants_do_not_count_twice(row: MakeRow) -> None:
    rows = [
        transferred(row, 0, 0.8, target=target, density=density, shots=5, draw=draw)
        for target in TARGETS[:2]
        for density in (0.1, 0.5)
        for draw in range(3)
    ]
    for density in (0.1, 0.5):
        assert stored(rows, f"ticket [density={density}]") == {(300 + 2 * 80, 300, 80)}


def test_bytes_in_csv_are_the_sum(row: MakeRow) -> None:
    rows = [
        compared(row, "universal", 0, 0.8, target=target, ticket=target, train=train)
        for target, train in zip(TARGETS, (200, 300, 400), strict=True)
    ]
    text = table(rows).csv()
    assert text.count(",3,1140,900,80,") == 3
