"""The comparison table: one line per target and arm, gaps and lifts paired over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from ult_lightning.base import unknown
from ult_lightning.report._across_cells import Storage, against, remarks, storage
from ult_lightning.report._cells import Cell, cells
from ult_lightning.report._columns import Column, columns
from ult_lightning.report._forms import as_csv, as_latex, as_markdown, as_text
from ult_lightning.report._style import arm_order, percent, target_title
from ult_lightning.results import Interval, Row, arm_looks, interval

_FINE_TEST = 5000  # from this many test images on, the second decimal of a per cent is more than one image


@dataclass(frozen=True)
class Line:
    """One arm on one target. Accuracies, gaps and lifts are fractions in 0..1 here, per cent and points in print.

    `gap` is arm minus baseline, `best_gap` arm minus the section's best trained arm and `lift` arm minus floor, each
    over the seeds that both arms have; None for that arm itself and where there is nothing comparable. `seconds` is the
    mean per row, `stored` the bytes that the arm needs for all targets of the table.
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

    `best` is the arm with the highest validation accuracy of those that train weights, where there are several;
    `chance` the accuracy of always naming the largest class of the test images, where the rows say it.
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
        test, train = (_range(ends for line in self.lines for ends in getattr(line, n)) for n in ("n_test", "n_train"))
        words = [f"{test} test images, {train} training images"]
        if self.chance is not None:
            words.append(f"chance {percent(self.chance, self.decimals)} %")
        if self.best is not None:
            words.append(f"best trained arm on validation: {self.best}")
        return ", ".join(words)


@dataclass(frozen=True)
class Table:
    """The whole comparison, ready to be written as text, Markdown, LaTeX, CSV or HTML.

    `k` is the number of targets, `warnings` what may be wrong with the numbers; `command`, `machine` and `notes` are
    printed under the table where they are given.
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
        """Whether a trained arm other than the baseline is the best on some target, so that gaps to it count."""
        return any(section.best not in (None, self.baseline) for section in self.sections)

    @property
    def lines(self) -> tuple[Line, ...]:
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
        chance = any(section.chance is not None for section in self.sections)
        last = ["Chance: the share of the largest class among the test images."] if chance else []
        return (*filter(None, (column.explanation for column in self.printed)), *last)

    @property
    def arms(self) -> tuple[str, ...]:
        """What each known arm of the table does: "dense: all weights trained end to end."."""
        known = arm_looks()
        return tuple(
            f"{arm}: {known[arm].words}." for arm in arm_order(line.arm for line in self.lines) if arm in known
        )

    text = as_text
    markdown = as_markdown
    latex = as_latex
    csv = as_csv


def table(
    rows: Sequence[Row],
    *,
    baseline: str = "dense",
    floor: str = "random_features",
    command: str | None = None,
    machine: str | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """Summarise rows: mean and 95 % t-interval over seeds, gaps to `baseline` and the best trained arm, lift over `floor`.

    Rows with different settings are different lines, and a gap or lift is taken only between lines that are comparable;
    the warnings say where none is. Few-shot rows (`extra["shots"]`, `extra["draw"]`) are grouped by shots, and their
    draws are averaged within a seed first. `machine` defaults to the devices that the rows name.

    Raises UltError without accuracy rows, and for a baseline or floor that is no known arm and has no row.
    """
    all_cells, notes_on_cells = cells(rows, (baseline, floor))
    present = {cell.arm for cell in all_cells}
    for key, arm in (("baseline", baseline), ("floor", floor)):
        if arm not in present and arm not in arm_looks():
            raise unknown(key, arm, present)
    targets: dict[tuple[str, int | None], list[Cell]] = {}
    for cell in all_cells:
        targets.setdefault(cell.target, []).append(cell)
    best = {target: _best_trained(there) for target, there in targets.items()}
    k = len({cell.task for cell in all_cells})
    gaps = [against(cell, all_cells, baseline, "gap to") for cell in all_cells]
    lifts = [against(cell, all_cells, floor, "lift over") for cell in all_cells]
    best_gaps = [against(cell, all_cells, best[cell.target], "gap to") for cell in all_cells]
    lines = [
        _line(cell, gap.difference, best_gap.difference, lift.difference, storage(cell, all_cells, k))
        for cell, gap, best_gap, lift in zip(all_cells, gaps, best_gaps, lifts, strict=True)
    ]
    sections = tuple(
        Section(
            *target, tuple(line for line in lines if (line.task, line.shots) == target), best[target], _chance(there)
        )
        for target, there in targets.items()
    )
    others = [(cell, gap) for cell, gap in zip(all_cells, best_gaps, strict=True) if best[cell.target] != baseline]
    unpaired = remarks([*zip(all_cells, gaps, strict=True), *zip(all_cells, lifts, strict=True), *others])
    used = tuple(row for cell in all_cells for row in cell.rows)
    return Table(
        sections=sections,
        rows=used,
        baseline=baseline,
        floor=floor,
        k=k,
        warnings=(*notes_on_cells, *unpaired, *_mixed(used), *_incomplete(sections, baseline, floor)),
        command=command,
        machine=machine or ", ".join(sorted({row.device for row in used if row.device})) or None,
        notes=tuple(notes),
    )


def _line(
    cell: Cell,
    gap: Interval | None,
    best_gap: Interval | None,
    lift: Interval | None,
    stored: Storage,
) -> Line:
    rows = cell.rows
    seconds = [total for row in rows if (total := row.total_seconds) is not None]
    seen = {row.seen for row in rows if row.seen is not None}
    return Line(
        task=cell.task,
        shots=cell.shots,
        arm=cell.arm,
        label=cell.label,
        accuracy=interval(cell.by_seed.values()),
        by_seed=cell.by_seed,
        gap=gap,
        best_gap=best_gap,
        lift=lift,
        trained=" / ".join(dict.fromkeys(row.trained for row in rows)),
        parameters_trained=round(fmean(row.parameters_trained for row in rows)),
        seconds=fmean(seconds) if seconds else None,
        stored=stored,
        seen="partly" if len(seen) > 1 else {True: "seen", False: "unseen", None: ""}[next(iter(seen), None)],
        n_test=(min(row.n for row in rows), max(row.n for row in rows)),
        n_train=(min(row.n_train for row in rows), max(row.n_train for row in rows)),
        draws=cell.draws,
    )


def _best_trained(cells: Sequence[Cell]) -> str | None:
    """The arm of one target that validates best of those that train weights; None where fewer than two say."""
    looks = arm_looks()
    levels: dict[str, float] = {}
    for cell in cells:
        valid = [row.extra["valid_accuracy"] for row in cell.rows if "valid_accuracy" in row.extra]
        if cell.arm in looks and looks[cell.arm].trains and valid:
            levels[cell.arm] = max(levels.get(cell.arm, 0.0), fmean(valid))
    return max(levels, key=lambda arm: levels[arm]) if len(levels) > 1 else None


def _chance(cells: Sequence[Cell]) -> float | None:
    chances = [float(row.extra["chance"]) for cell in cells for row in cell.rows if "chance" in row.extra]
    return fmean(chances) if chances else None


def _range(sizes: Iterable[int]) -> str:
    ends = sorted(set(sizes))
    return f"{ends[0]:,}" if len(ends) == 1 else f"{ends[0]:,} to {ends[-1]:,}"


def _mixed(rows: Sequence[Row]) -> Iterator[str]:
    """In what the circumstances of the rows differ."""
    for trait in ("precision", "device", "code_version"):
        counts = Counter(getattr(row, trait) for row in rows)
        if len(counts) > 1:
            parts = (f"{value}: {n} row{'s' if n > 1 else ''}" for value, n in sorted(counts.items()))
            yield f"The rows differ in {trait.replace('_', ' ')} ({', '.join(parts)})."


def _incomplete(sections: Sequence[Section], baseline: str, floor: str) -> Iterator[str]:
    """Where sizes differ within a section, or a difference is over fewer seeds than the accuracy."""
    for section in sections:
        for what, ends in (("test", "n_test"), ("training", "n_train")):
            if len({size for line in section.lines for size in getattr(line, ends)}) > 1:
                yield f"{section.title}: the rows differ in the number of {what} images."
        for line in section.lines:
            for arm, difference in ((baseline, line.gap), (floor, line.lift)):
                if difference is not None and difference.n < line.accuracy.n:
                    seeds = f"{difference.n} of {line.accuracy.n} seeds"
                    yield f"{section.title}, {line.label}: the difference to {arm} is over {seeds}."
