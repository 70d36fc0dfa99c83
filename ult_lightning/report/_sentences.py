"""What is said under a table: how to read it, and what a careful reader would ask about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ult_lightning.results import Row

if TYPE_CHECKING:
    from ult_lightning.report._table import Line, Section


def sentences(
    lines: Sequence[Line],
    baseline: str,
    floor: str,
    k: int,
    *,
    best: bool = False,
    chance: bool = False,
) -> tuple[str, ...]:
    """How to read the table: only what it holds is explained."""
    several = any(line.accuracy.n > 1 for line in lines)
    spread = ": mean over seeds ± half of the 95 % Student t interval" if several else ""
    said = [f"Accuracy on the test images in per cent{spread}."]
    if any(line.accuracy.n == 1 for line in lines):
        said.append("One seed gives no interval.")
    compared = [f"gap to {baseline}"] if any(line.gap for line in lines) else []
    compared += [f"lift over {floor}"] if any(line.lift for line in lines) else []
    if compared:
        names = " and ".join(compared)
        said.append(f"{names[0].upper()}{names[1:]} in points, paired over the seeds that both arms have.")
    if best:
        said.append(
            "Best trained: of the arms that train weights, the one with the highest validation accuracy."
        )
    if chance:
        said.append("Chance: the share of the largest class among the test images.")
    if any(line.draws > 1 for line in lines):
        said.append("The draws of a seed are averaged before anything else.")
    if any(line.bytes_per_task is not None for line in lines):
        said.append(_bytes(lines, k))
    if any(line.seconds is not None for line in lines):
        said.append("Seconds: mean per row.")
    if any(line.seen for line in lines):
        said.append(
            "Seen: the search of the ticket used images or classes of this target; unseen: it used neither."
        )
    return tuple(said)


def warnings(rows: Sequence[Row], sections: Sequence[Section], baseline: str, floor: str) -> tuple[str, ...]:
    """Mixed circumstances and incomplete pairs."""
    said = _mixed(rows)
    for section in sections:
        for what, ends in (("test", "n_test"), ("training", "n_train")):
            sizes = {getattr(line, ends) for line in section.lines}
            if len(sizes) > 1 or any(low != high for low, high in sizes):
                said.append(f"{section.title}: the rows differ in the number of {what} images.")
        for line in section.lines:
            for arm, difference in ((baseline, line.gap), (floor, line.lift)):
                if difference is not None and difference.n < line.accuracy.n:
                    seeds = f"{difference.n} of {line.accuracy.n} seeds"
                    said.append(f"{section.title}, {line.label}: the difference to {arm} is over {seeds}.")
    return tuple(said)


def _bytes(lines: Sequence[Line], k: int) -> str:
    said = (
        f"Bytes for k = {k} task{'s' if k > 1 else ''}: shared + k × per task, that is each ticket file once however many"
        " tasks use it (an arm with several tickets counts each) and a head per task; an arm that fits a mask or a network"
        " to each task (such as dense) stores that once per task"
    )
    tasks = Counter((line.label, line.shots) for line in lines)
    lacking = any(tasks[line.label, line.shots] < k for line in lines)
    return said + ("; tasks that an arm lacks count as the mean of its others." if lacking else ".")


def _mixed(rows: Sequence[Row]) -> list[str]:
    traits: dict[str, Callable[[Row], str]] = {
        "precision": lambda row: str(row.precision),
        "device": lambda row: str(row.device),
        "code version": lambda row: str(row.code_version),
    }
    said = []
    for what, read in traits.items():
        counts = Counter(map(read, rows))
        if len(counts) > 1:
            parts = ", ".join(
                f"{value}: {n} row{'s' if n > 1 else ''}" for value, n in sorted(counts.items())
            )
            said.append(f"The rows differ in {what} ({parts}).")
    return said
