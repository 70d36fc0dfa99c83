"""Which cell of the baseline a cell is measured against, and why there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ult_lightning.report._cells import Cell
from ult_lightning.report._shown_settings import compared, is_digest, place, short
from ult_lightning.report._style import listed, target_title
from ult_lightning.results import Interval, paired

_MOST_NAMES = 3
_MOST_CELLS = 3
_LONGEST_VALUE = 24


@dataclass(frozen=True)
class Pair:
    """The paired difference of a cell to another arm, None where there is none.

    `said` is what a reader must know of it, to be said of the cell: "no gap to dense, whose rows differ in ...".
    """

    difference: Interval | None = None
    said: str = ""


def against(cell: Cell, found: Sequence[Cell], arm: str, what: str) -> Pair:
    """The difference to the one comparable cell of `arm` on the same target and shots; `what` is "gap to", for example.

    Comparable are cells that agree in every setting that both have and that must be equal for a fair difference: the
    mother, the sizes, the steps, the sources, the head. Of several, the one that agrees in all other settings too.
    """
    if cell.arm == arm:
        return Pair()
    there = [one for one in found if (one.task, one.shots, one.arm) == (cell.task, cell.shots, arm)]
    if not there:
        return Pair()
    fair = [one for one in there if not _unequal(cell, one, fair=True)]
    if len(fair) > 1:
        fair = [one for one in fair if not _unequal(cell, one)] or fair
    if not fair:
        return Pair(said=f"no {what} {arm}, {_nearest(cell, there)}")
    if len(fair) > 1:
        return Pair(said=f"no {what} {arm}, of which {len(fair)} variants fit: {_between(fair)}")
    if not set(cell.by_seed) & set(fair[0].by_seed):
        return Pair(said=f"no {what} {arm}, for want of a common seed")
    difference = paired(cell.by_seed, fair[0].by_seed)
    other = _unequal(cell, fair[0])
    return Pair(difference, f"the {what} {arm} is between rows that differ in {_values(cell, fair[0], other)}" if other else "")  # fmt: skip


def reasons(said: Iterable[tuple[Cell, Pair]]) -> list[str]:
    """What is said of the pairs, equal reasons in one sentence."""
    cells: dict[str, list[str]] = defaultdict(list)
    for cell, pair in said:
        if pair.said:
            cells[pair.said].append(f"{target_title(cell.task, cell.shots)}, {cell.label}")
    return [f"{_subjects(names)}: {reason}." for reason, names in cells.items()]


def _subjects(names: Sequence[str]) -> str:
    """The lines of which something is said; beyond a few, how many more there are."""
    more = len(names) - _MOST_CELLS
    return "; ".join([*names[:_MOST_CELLS], *([f"{more} more line{'s' * (more > 1)}"] if more > 0 else [])])


def _unequal(cell: Cell, other: Cell, *, fair: bool = False) -> list[str]:
    """The settings that both cells have and that differ; with `fair`, only those that must not."""
    mine, there = cell.settings, other.settings
    return sorted(
        (
            name
            for name in mine.keys() & there.keys()
            if mine[name] != there[name] and (compared(name) if fair else name not in ("ticket.made_by", "ticket"))
        ),
        key=place,
    )


def _nearest(cell: Cell, there: Sequence[Cell]) -> str:
    """In what the least different of these cells differs."""
    differing = [(_unequal(cell, one, fair=True), one) for one in there]
    names, nearest = min(differing, key=lambda found: len(found[0]))
    return f"whose {'nearest ' if len(there) > 1 else ''}rows differ in {_values(cell, nearest, names)}"


def _values(cell: Cell, other: Cell, names: Sequence[str]) -> str:
    """Settings with their values in both cells: "steps (200 there, 100 here)"."""
    words = []
    for name in names:
        here, there = cell.settings[name], other.settings[name]
        told = max(len(here), len(there)) <= _LONGEST_VALUE and not is_digest(here)
        words.append(f"{short(name)} ({there} there, {here} here)" if told else short(name))
    return listed(words, _MOST_NAMES)


def _between(fair: Sequence[Cell]) -> str:
    """In what several cells differ among themselves."""
    values: dict[str, set[str]] = defaultdict(set)
    for name, value in (item for one in fair for item in one.settings.items()):
        values[name].add(value)
    several = sorted((name for name, found in values.items() if len(found) > 1), key=place)
    return f"they differ in {listed([short(name) for name in several], _MOST_NAMES)}"
