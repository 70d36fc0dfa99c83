"""The comparison table: one line per target and arm, gaps and lifts paired over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ult_lightning.report._cells import Cell, cells
from ult_lightning.results import Interval, Row, interval, paired

_FINE_TEST = 5000  # from this many test images on, the second decimal of a per cent is more than one image


@dataclass(frozen=True)
class Line:
    """One arm on one target. Accuracies, gaps and lifts are fractions in 0..1 here, per cent and points in print.

    `gap` is arm minus baseline and `lift` arm minus floor, each over the seeds that both arms have; None for
    the baseline or floor itself and where there is nothing to pair with. `seconds` is the mean per row and
    `bytes_k` what the arm needs to store all targets of the table.
    """

    task: str
    shots: int | None
    arm: str
    label: str
    accuracy: Interval
    by_seed: Mapping[int, float]
    gap: Interval | None
    lift: Interval | None
    trained: str
    parameters_trained: int
    seconds: float | None
    bytes_k: int | None
    bytes_shared: int | None
    bytes_per_task: int | None
    seen: str
    n_test: tuple[int, int]
    n_train: tuple[int, int]
    draws: int


@dataclass(frozen=True)
class Section:
    """All lines of one target (and number of shots); `decimals` is how exactly its per cents are written."""

    task: str
    shots: int | None
    lines: tuple[Line, ...]

    @property
    def decimals(self) -> int:
        return 2 if min(line.n_test[0] for line in self.lines) >= _FINE_TEST else 1

    @property
    def title(self) -> str:
        """The target's name, for a few-shot section as in "digits, 5 per class"."""
        return self.task if self.shots is None else f"{self.task}, {self.shots} per class"

    @property
    def sizes(self) -> str:
        """How many test and training images, with ranges where the lines differ."""
        test = _range([line.n_test for line in self.lines])
        train = _range([line.n_train for line in self.lines])
        return f"{test} test images, {train} training images"


@dataclass(frozen=True)
class Table:
    """The whole comparison, ready to be written as text, Markdown or CSV.

    `k` is the number of targets, `sentences` how to read the numbers and `warnings` what may be wrong with
    them; `command`, `machine` and `notes` are printed under the table where they are given.
    """

    sections: tuple[Section, ...]
    rows: tuple[Row, ...]
    baseline: str
    floor: str
    k: int
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    command: str | None = None
    machine: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines, section after section."""
        return tuple(line for section in self.sections for line in section.lines)

    def text(self, width: int = 110) -> str:
        """Aligned plain text for a terminal of `width` columns."""
        from ult_lightning.report._text import as_text

        return as_text(self, width)

    def markdown(self) -> str:
        """Markdown: one table per target, then how to read it, the command and the machine."""
        from ult_lightning.report._text import as_markdown

        return as_markdown(self)

    def csv(self) -> str:
        """One line per target and arm with unrounded numbers, for other programs."""
        from ult_lightning.report._text import as_csv

        return as_csv(self)


def table(
    rows: Sequence[Row],
    *,
    baseline: str = "dense",
    floor: str = "random_features",
    command: str | None = None,
    machine: str | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """Summarise rows: mean and 95 % t-interval over seeds, gap to `baseline` and lift over `floor`.

    Few-shot rows (`extra["shots"]`, `extra["draw"]`) are grouped by shots, and their draws are averaged within
    a seed first. `machine` defaults to the devices that the rows name. Raises UltError without accuracy rows.
    """
    found, warnings = cells(rows)
    used = tuple(row for cell in found for row in cell.rows)
    k = len({cell.task for cell in found})
    storage = {key: _storage(group, k) for key, group in _by_arm(found).items()}
    lines = [_line(cell, found, baseline, floor, storage[_arm_key(cell)]) for cell in found]
    sections = tuple(
        Section(task, shots, tuple(line for line in lines if (line.task, line.shots) == (task, shots)))
        for task, shots in dict.fromkeys((line.task, line.shots) for line in lines)
    )
    return Table(
        sections=sections,
        rows=used,
        baseline=baseline,
        floor=floor,
        k=k,
        sentences=_sentences(lines, baseline, floor, k),
        warnings=(*warnings, *_warnings(used, sections, baseline, floor)),
        command=command,
        machine=machine or ", ".join(sorted({row.device for row in used if row.device})) or None,
        notes=tuple(notes),
    )


def _arm_key(cell: Cell) -> tuple[object, ...]:
    return cell.arm, cell.variant, cell.shots


def _by_arm(found: Sequence[Cell]) -> dict[tuple[object, ...], list[Cell]]:
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in found:
        groups.setdefault(_arm_key(cell), []).append(cell)
    return groups


def _storage(group: Sequence[Cell], k: int) -> tuple[int | None, int | None, int | None]:
    """Bytes (for k tasks, shared, per task) of an arm: means over its targets of the means over rows."""
    shared = _mean_extra(group, "bytes_shared")
    per_task = _mean_extra(group, "bytes_per_task")
    if shared is None or per_task is None:
        one = [row.bytes for cell in group for row in cell.rows if row.bytes is not None]
        return (round(fmean(one)) if one and k == 1 else None), None, None
    return round(shared + k * per_task), round(shared), round(per_task)


def _mean_extra(group: Sequence[Cell], name: str) -> float | None:
    means = []
    for cell in group:
        values = [float(row.extra[name]) for row in cell.rows if row.extra.get(name) is not None]
        if values:
            means.append(fmean(values))
    return fmean(means) if means else None


def _line(
    cell: Cell,
    found: Sequence[Cell],
    baseline: str,
    floor: str,
    storage: tuple[int | None, int | None, int | None],
) -> Line:
    rows = cell.rows
    by_seed = cell.by_seed
    seconds = [total for row in rows if (total := _seconds(row)) is not None]
    return Line(
        task=cell.task,
        shots=cell.shots,
        arm=cell.arm,
        label=cell.label,
        accuracy=interval(list(by_seed.values())),
        by_seed=by_seed,
        gap=_against(cell, found, baseline),
        lift=_against(cell, found, floor),
        trained=" / ".join(dict.fromkeys(row.trained for row in rows)),
        parameters_trained=round(fmean(row.parameters_trained for row in rows)),
        seconds=fmean(seconds) if seconds else None,
        bytes_k=storage[0],
        bytes_shared=storage[1],
        bytes_per_task=storage[2],
        seen=_seen(rows),
        n_test=_ends(row.n for row in rows),
        n_train=_ends(row.n_train for row in rows),
        draws=cell.draws,
    )


def _ends(values: Iterable[int]) -> tuple[int, int]:
    listed = list(values)
    return min(listed), max(listed)


def _seconds(row: Row) -> float | None:
    if "total" in row.seconds:
        return row.seconds["total"]
    return sum(row.seconds.values()) if row.seconds else None


def _seen(rows: Sequence[Row]) -> str:
    flags = {row.seen for row in rows if row.seen is not None}
    if not flags:
        return ""
    return "partly" if len(flags) > 1 else "seen" if flags.pop() else "unseen"


def _against(cell: Cell, found: Sequence[Cell], arm: str) -> Interval | None:
    """The paired difference to the cell of `arm` on the same target and shots, and in the same variant."""
    if cell.arm == arm:
        return None
    others = [one for one in found if (one.task, one.shots, one.arm) == (cell.task, cell.shots, arm)]
    if len(others) > 1:
        mine = dict(cell.variant)
        others = [one for one in others if all(mine.get(name, value) == value for name, value in one.variant)]
    if len(others) != 1 or not set(cell.by_seed) & set(others[0].by_seed):
        return None
    return paired(cell.by_seed, others[0].by_seed)


def _range(ends: Sequence[tuple[int, int]]) -> str:
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _sentences(lines: Sequence[Line], baseline: str, floor: str, k: int) -> tuple[str, ...]:
    """How to read the table: only what it holds is explained."""
    said = ["Accuracy on the test images in per cent: mean over seeds ± half of the 95 % Student t interval."]
    if any(line.accuracy.n == 1 for line in lines):
        said.append("One seed gives no interval.")
    compared = [f"gap to {baseline}"] if any(line.gap for line in lines) else []
    compared += [f"lift over {floor}"] if any(line.lift for line in lines) else []
    if compared:
        names = " and ".join(compared)
        said.append(f"{names[0].upper()}{names[1:]} in points, paired over the seeds that both arms have.")
    if any(line.draws > 1 for line in lines):
        said.append("The draws of a seed are averaged before anything else.")
    if any(line.bytes_per_task is not None for line in lines):
        said.append(
            f"Bytes for k = {k} task{'s' if k > 1 else ''}: shared + k × per task, that is the mask once and a head"
            " per task; an arm that fits a mask or a network to each task (such as dense) stores that once per task."
        )
    if any(line.seconds is not None for line in lines):
        said.append("Seconds: mean per row.")
    if any(line.seen for line in lines):
        said.append(
            "Seen: the search of the ticket used images or classes of this target; unseen: it used neither."
        )
    return tuple(said)


def _warnings(rows: Sequence[Row], sections: Sequence[Section], baseline: str, floor: str) -> tuple[str, ...]:
    """What a careful reader would ask about: mixed circumstances and incomplete pairs."""
    said = []
    traits: dict[str, Callable[[Row], str]] = {
        "precision": lambda row: str(row.precision),
        "device": lambda row: str(row.device),
        "code version": lambda row: str(row.code_version),
    }
    for what, read in traits.items():
        counts = Counter(read(row) for row in rows)
        if len(counts) > 1:
            parts = ", ".join(
                f"{value}: {n} row{'s' if n > 1 else ''}" for value, n in sorted(counts.items())
            )
            said.append(f"The rows differ in {what} ({parts}).")
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
