"""The comparison table: one line per target and arm, gaps and lifts paired over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ult_lightning.base import unknown
from ult_lightning.report._cells import Cell, cells
from ult_lightning.report._pairs import Pair, against, reasons
from ult_lightning.report._sentences import sentences, warnings
from ult_lightning.report._storage import Storage, storage
from ult_lightning.results import Interval, Row, arm_looks, interval

_FINE_TEST = 5000  # from this many test images on, the second decimal of a per cent is more than one image


@dataclass(frozen=True)
class Line:
    """One arm on one target. Accuracies, gaps and lifts are fractions in 0..1 here, per cent and points in print.

    `gap` is arm minus baseline and `lift` arm minus floor, each over the seeds that both arms have; None for
    the baseline or floor itself and where there is nothing comparable. `seconds` is the mean per row, `bytes_k`
    what the arm needs to store all targets of the table, and `bytes_shared` the part that tasks share.
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

    Rows with different settings are different lines, and a gap or lift is taken only between lines that are
    comparable; the warnings say where none is. Few-shot rows (`extra["shots"]`, `extra["draw"]`) are grouped by
    shots, and their draws are averaged within a seed first. `machine` defaults to the devices that the rows name.

    Raises UltError without accuracy rows, and for a baseline or floor that is no known arm and has no row.
    """
    found, notes_on_cells = cells(rows, (baseline, floor))
    for key, arm in (("baseline", baseline), ("floor", floor)):
        present = {cell.arm for cell in found}
        if arm not in present and arm not in arm_looks():
            raise unknown(key, arm, present)
    used = tuple(row for cell in found for row in cell.rows)
    k = len({cell.task for cell in found})
    gaps = [against(cell, found, baseline, "gap to") for cell in found]
    lifts = [against(cell, found, floor, "lift over") for cell in found]
    lines = [
        _line(cell, gap, lift, storage(cell, found, k))
        for cell, gap, lift in zip(found, gaps, lifts, strict=True)
    ]
    sections = tuple(
        Section(task, shots, tuple(line for line in lines if (line.task, line.shots) == (task, shots)))
        for task, shots in dict.fromkeys((line.task, line.shots) for line in lines)
    )
    unpaired = reasons([*zip(found, gaps, strict=True), *zip(found, lifts, strict=True)])
    return Table(
        sections=sections,
        rows=used,
        baseline=baseline,
        floor=floor,
        k=k,
        sentences=sentences(lines, baseline, floor, k),
        warnings=(*notes_on_cells, *unpaired, *warnings(used, sections, baseline, floor)),
        command=command,
        machine=machine or ", ".join(sorted({row.device for row in used if row.device})) or None,
        notes=tuple(notes),
    )


def _line(cell: Cell, gap: Pair, lift: Pair, stored: Storage) -> Line:
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
        gap=gap.difference,
        lift=lift.difference,
        trained=" / ".join(dict.fromkeys(row.trained for row in rows)),
        parameters_trained=round(fmean(row.parameters_trained for row in rows)),
        seconds=fmean(seconds) if seconds else None,
        bytes_k=stored.k_tasks,
        bytes_shared=stored.shared,
        bytes_per_task=stored.per_task,
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


def _range(ends: Sequence[tuple[int, int]]) -> str:
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
