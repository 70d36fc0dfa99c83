"""What a line says beyond its own cell: differences to other arms, and the bytes for all targets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ult_lightning.report._cells import Cell
from ult_lightning.report._style import listed, target_title
from ult_lightning.report._variants import Settings, compared, is_digest, place, short
from ult_lightning.results import Interval, Row, paired

_MOST_NAMES = 3
_MOST_CELLS = 3
_LONGEST_VALUE = 24
_OF_TARGET = {"task", "sources", "steps"}  # settings that differ between the targets of one experiment


@dataclass(frozen=True)
class Pair:
    """The paired difference of a cell to another arm, None where there is none.

    `remark` is what a reader must know of it, to be said of the cell: "no gap to dense, whose rows differ in ...".
    """

    difference: Interval | None = None
    remark: str = ""


def against(cell: Cell, cells: Sequence[Cell], arm: str | None, what: str) -> Pair:
    """The difference to the one comparable cell of `arm` on the same target and shots; `what` is "gap to", for example.

    Comparable are cells that agree in every setting that both have and that must be equal for a fair difference: the
    mother, the sizes, the steps, the sources, the head. Of several, the one that agrees in all other settings too.
    """
    others = [one for one in cells if (one.target, one.arm) == (cell.target, arm)]
    if cell.arm == arm or not others:
        return Pair()
    fair = [one for one in others if not _unequal(cell, one, fair=True)]
    if len(fair) > 1:
        fair = [one for one in fair if not _unequal(cell, one)] or fair
    if not fair:
        names, nearest = min(
            ((_unequal(cell, one, fair=True), one) for one in others), key=lambda differing: len(differing[0])
        )
        which = "nearest rows" if len(others) > 1 else "rows"
        return Pair(remark=f"no {what} {arm}, whose {which} differ in {_values(cell, nearest, names)}")
    if len(fair) > 1:
        return Pair(remark=f"no {what} {arm}, of which {len(fair)} variants fit: {_among(fair)}")
    (other,) = fair
    if not set(cell.by_seed) & set(other.by_seed):
        return Pair(remark=f"no {what} {arm}, for want of a common seed")
    names = _unequal(cell, other)
    remark = f"the {what} {arm} is between rows that differ in {_values(cell, other, names)}" if names else ""
    return Pair(paired(cell.by_seed, other.by_seed), remark)


def remarks(pairs: Iterable[tuple[Cell, Pair]]) -> list[str]:
    """What is to be said of the pairs, equal remarks in one sentence; beyond a few lines, how many more there are."""
    lines: dict[str, list[str]] = defaultdict(list)
    for cell, pair in pairs:
        if pair.remark:
            lines[pair.remark].append(f"{target_title(*cell.target)}, {cell.label}")
    sentences = []
    for remark, names in lines.items():
        more = len(names) - _MOST_CELLS
        rest = [f"{more} more line{'s' * (more > 1)}"] if more > 0 else []
        sentences.append(f"{'; '.join([*names[:_MOST_CELLS], *rest])}: {remark}.")
    return sentences


def _unequal(cell: Cell, other: Cell, *, fair: bool = False) -> list[str]:
    """The settings that both cells have and that differ; with `fair`, only those that must not."""
    names = [name for name in cell.settings.keys() & other.settings if cell.settings[name] != other.settings[name]]
    counted = [name for name in names if (compared(name) if fair else name not in ("ticket.made_by", "ticket"))]
    return sorted(counted, key=place)


def _values(cell: Cell, other: Cell, names: Sequence[str]) -> str:
    """Settings with their values in both cells: "steps (200 there, 100 here)"."""
    words = []
    for name in names:
        here, there = cell.settings[name], other.settings[name]
        legible = max(len(here), len(there)) <= _LONGEST_VALUE and not is_digest(here)
        words.append(f"{short(name)} ({there} there, {here} here)" if legible else short(name))
    return listed(words, _MOST_NAMES)


def _among(fair: Sequence[Cell]) -> str:
    """In what several cells differ among themselves."""
    values: dict[str, set[str]] = defaultdict(set)
    for name, value in (item for one in fair for item in one.settings.items()):
        values[name].add(value)
    several = sorted((name for name in values if len(values[name]) > 1), key=place)
    return f"they differ in {listed([short(name) for name in several], _MOST_NAMES)}"


@dataclass(frozen=True)
class Storage:
    """Bytes for k tasks, those of them that tasks share, and those of one task; None where rows do not say them."""

    k_tasks: int | None = None
    shared: int | None = None
    per_task: int | None = None


def storage(cell: Cell, cells: Sequence[Cell], k: int) -> Storage:
    """The bytes of this arm for `k` tasks, means over its seeds.

    A ticket file counts once however many tasks use it, an arm with several tickets counts each; a task that the arm
    has not measured counts as the mean of its others.
    """
    seeds: dict[int, list[Row]] = defaultdict(list)
    for row in (row for one in _one_arm(cell, cells) for row in one.rows):
        if row.extra.get("bytes_shared") is not None and row.extra.get("bytes_per_task") is not None:
            seeds[row.seed].append(row)
    if not seeds:
        alone = [row.bytes for row in cell.rows if row.bytes is not None]
        return Storage(k_tasks=round(fmean(alone)) if alone and k == 1 else None)
    shared = fmean(_shared(rows) for rows in seeds.values())
    per_task = fmean(_per_task(rows) for rows in seeds.values())
    return Storage(round(shared + k * per_task), round(shared), round(per_task))


def _shared(rows: Sequence[Row]) -> float:
    """The sum over distinct networks of one seed, told apart by ticket or fingerprint; else an arm has one."""
    networks: dict[str, float] = {}
    for row in rows:
        name = row.ticket or row.extra.get("fingerprint") or row.extra.get("fingerprint_after")
        networks[str(name or "")] = float(row.extra["bytes_shared"])
    return sum(networks.values())


def _per_task(rows: Sequence[Row]) -> float:
    """The mean over the tasks of one seed, draws averaged first."""
    tasks: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        tasks[row.task].append(float(row.extra["bytes_per_task"]))
    return fmean(map(fmean, tasks.values()))


def _one_arm(cell: Cell, cells: Sequence[Cell]) -> list[Cell]:
    """The cell and, for every other target, the one cell of the same experiment, where that is clear."""
    same = [one for one in cells if (one.arm, one.shots) == (cell.arm, cell.shots) and one.task != cell.task]
    arm = [cell]
    for task in dict.fromkeys(one.task for one in same):
        fitting = [one for one in same if one.task == task and _experiment(one.settings) == _experiment(cell.settings)]
        if len(fitting) > 1:
            fitting = [one for one in fitting if one.variant == cell.variant]
        arm += fitting if len(fitting) == 1 else []
    return arm


def _experiment(settings: Settings) -> dict[str, str]:
    """The settings that all targets of an experiment share."""
    return {name: value for name, value in settings.items() if name.partition(".")[0] not in _OF_TARGET}
