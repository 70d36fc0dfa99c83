"""The comparison table: one line per target and arm, gaps and lifts paired over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from ult_lightning.base import unknown
from ult_lightning.report._cells import Cell, cells
from ult_lightning.report._columns import Column, columns
from ult_lightning.report._pairs import Pair, against, reasons
from ult_lightning.report._storage import Storage, storage
from ult_lightning.report._style import percent, target_title
from ult_lightning.report._text import as_csv, as_latex, as_markdown, as_text
from ult_lightning.report._warnings import warnings
from ult_lightning.results import Interval, Row, arm_looks, interval

_FINE_TEST = 5000  # from this many test images on, the second decimal of a per cent is more than one image


@dataclass(frozen=True)
class Line:
    """One arm on one target. Accuracies, gaps and lifts are fractions in 0..1 here, per cent and points in print.

    `gap` is arm minus baseline, `best_gap` arm minus the section's best trained arm and `lift` arm minus floor, each over
    the seeds that both arms have; None for that arm itself and where there is nothing comparable. `seconds` is the mean per row, `stored`
    the bytes that the arm needs for all targets of the table.
    """

    task: str
    shots: int | None
    arm: str
    label: str
    accuracy: Interval
    by_seed: Mapping[int, float]
    gap: Interval | None
    best_gap: Interval | None
    lift: Interval | None
    trained: str
    parameters_trained: int
    seconds: float | None
    stored: Storage
    seen: str
    n_test: tuple[int, int]
    n_train: tuple[int, int]
    draws: int


@dataclass(frozen=True)
class Section:
    """All lines of one target (and number of shots); `decimals` is how exactly its per cents are written.

    `best` is the arm with the highest validation accuracy of those that train weights, where there are several; `chance` the
    accuracy of always naming the largest class of the test images, where the rows say it.
    """

    task: str
    shots: int | None
    lines: tuple[Line, ...]
    best: str | None = None
    chance: float | None = None

    @property
    def decimals(self) -> int:
        return 2 if min(line.n_test[0] for line in self.lines) >= _FINE_TEST else 1

    @property
    def title(self) -> str:
        """The target's name, for a few-shot section as in "digits, 5 per class"."""
        return target_title(self.task, self.shots)

    @property
    def sizes(self) -> str:
        """How many test and training images, with ranges where the lines differ; chance, and the best trained arm."""
        test = _range([line.n_test for line in self.lines])
        train = _range([line.n_train for line in self.lines])
        words = [f"{test} test images, {train} training images"]
        if self.chance is not None:
            words.append(f"chance {percent(self.chance, self.decimals)} %")
        if self.best is not None:
            words.append(f"best trained arm on validation: {self.best}")
        return ", ".join(words)


@dataclass(frozen=True)
class Table:
    """The whole comparison, ready to be written as text, Markdown, LaTeX, CSV or HTML.

    `k` is the number of targets, `warnings` what may be wrong with the numbers; `command`, `machine` and `notes` are printed under the table where they are given.
    """

    sections: tuple[Section, ...]
    rows: tuple[Row, ...]
    baseline: str
    floor: str
    k: int
    warnings: tuple[str, ...]
    command: str | None = None
    machine: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def names_best(self) -> bool:
        """Whether a trained arm other than the baseline is the best on some target, so that gaps to it are of interest."""
        return any(section.best not in (None, self.baseline) for section in self.sections)

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines, section after section."""
        return tuple(line for section in self.sections for line in section.lines)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns, of which every form is made."""
        return columns(self)

    @property
    def printed(self) -> tuple[Column, ...]:
        """The columns of the forms that people read."""
        return tuple(column for column in self.columns if column.printed)

    @property
    def sentences(self) -> tuple[str, ...]:
        """How to read the table: only what it holds is explained."""
        said = [column.explanation for column in self.printed if column.explanation]
        if any(section.chance is not None for section in self.sections):
            said.append("Chance: the share of the largest class among the test images.")
        return tuple(said)

    def text(self, width: int = 110) -> str:
        """Aligned plain text for a terminal of `width` columns."""
        return as_text(self, width)

    def markdown(self) -> str:
        """Markdown: one table per target, then how to read it, the command and the machine."""
        return as_markdown(self)

    def latex(self) -> str:
        """A tabular for a paper, which needs the package booktabs."""
        return as_latex(self)

    def csv(self) -> str:
        """One line per target and arm with unrounded numbers, for other programs."""
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
    """Summarise rows: mean and 95 % t-interval over seeds, gap to `baseline` and to the best trained arm, lift over `floor`.

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
    best = {place: _best_trained(found, place) for place in dict.fromkeys((c.task, c.shots) for c in found)}
    to_best = [against(cell, found, best[cell.task, cell.shots] or "", "gap to") for cell in found]
    lines = [
        _line(cell, gap, high, lift, storage(cell, found, k))
        for cell, gap, high, lift in zip(found, gaps, to_best, lifts, strict=True)
    ]
    sections = tuple(
        Section(
            *place,
            tuple(line for line in lines if (line.task, line.shots) == place),
            best[place],
            _chance([row for cell in found if (cell.task, cell.shots) == place for row in cell.rows]),
        )
        for place in best
    )
    said = [*zip(found, gaps, strict=True), *zip(found, lifts, strict=True)]
    said += [(c, pair) for c, pair in zip(found, to_best, strict=True) if best[c.task, c.shots] != baseline]
    unpaired = reasons(said)
    return Table(
        sections=sections,
        rows=used,
        baseline=baseline,
        floor=floor,
        k=k,
        warnings=(*notes_on_cells, *unpaired, *warnings(used, sections, baseline, floor)),
        command=command,
        machine=machine or ", ".join(sorted({row.device for row in used if row.device})) or None,
        notes=tuple(notes),
    )


def _line(cell: Cell, gap: Pair, best_gap: Pair, lift: Pair, stored: Storage) -> Line:
    rows = cell.rows
    by_seed = cell.by_seed
    seconds = [total for row in rows if (total := row.total_seconds) is not None]
    return Line(
        task=cell.task,
        shots=cell.shots,
        arm=cell.arm,
        label=cell.label,
        accuracy=interval(list(by_seed.values())),
        by_seed=by_seed,
        gap=gap.difference,
        best_gap=best_gap.difference,
        lift=lift.difference,
        trained=" / ".join(dict.fromkeys(row.trained for row in rows)),
        parameters_trained=round(fmean(row.parameters_trained for row in rows)),
        seconds=fmean(seconds) if seconds else None,
        stored=stored,
        seen=_seen(rows),
        n_test=_ends(row.n for row in rows),
        n_train=_ends(row.n_train for row in rows),
        draws=cell.draws,
    )


def _best_trained(found: Sequence[Cell], place: tuple[str, int | None]) -> str | None:
    """The arm that validates best of those that train weights, on one target; None where fewer than two say how they do."""
    looks = arm_looks()
    levels: dict[str, float] = {}
    for cell in found:
        said = [row.extra["valid_accuracy"] for row in cell.rows if "valid_accuracy" in row.extra]
        if (cell.task, cell.shots) == place and cell.arm in looks and looks[cell.arm].trains and said:
            levels[cell.arm] = max(levels.get(cell.arm, 0.0), fmean(said))
    return max(levels, key=lambda arm: levels[arm]) if len(levels) > 1 else None


def _chance(rows: Sequence[Row]) -> float | None:
    said = [float(row.extra["chance"]) for row in rows if "chance" in row.extra]
    return fmean(said) if said else None


def _ends(values: Iterable[int]) -> tuple[int, int]:
    listed = list(values)
    return min(listed), max(listed)


def _seen(rows: Sequence[Row]) -> str:
    flags = {row.seen for row in rows if row.seen is not None}
    if not flags:
        return ""
    return "partly" if len(flags) > 1 else "seen" if flags.pop() else "unseen"


def _range(ends: Sequence[tuple[int, int]]) -> str:
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
