"""Bytes that an arm needs to store all targets of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ult_lightning.report._cells import Cell
from ult_lightning.report._shown_settings import Settings
from ult_lightning.results import Row

# Settings that belong to a target, so that they differ between the targets of one experiment.
_OF_TARGET = {"task", "sources", "steps"}


@dataclass(frozen=True)
class Storage:
    """Bytes for k tasks, those of them that tasks share, and those of one task; None where rows do not say them."""

    k_tasks: int | None = None
    shared: int | None = None
    per_task: int | None = None


def storage(cell: Cell, found: Sequence[Cell], k: int) -> Storage:
    """The bytes of this arm for `k` tasks, means over its seeds.

    A ticket file counts once however many tasks use it, an arm with several tickets counts each; a task that the arm
    has not measured counts as the mean of its others.
    """
    seeds: dict[int, list[Row]] = defaultdict(list)
    for row in (row for one in _one_arm(cell, found) for row in one.rows):
        if row.extra.get("bytes_shared") is not None and row.extra.get("bytes_per_task") is not None:
            seeds[row.seed].append(row)
    if not seeds:
        one = [row.bytes for row in cell.rows if row.bytes is not None]
        return Storage(k_tasks=round(fmean(one)) if one and k == 1 else None)
    shared = fmean(_shared(rows) for rows in seeds.values())
    per_task = fmean(_per_task(rows) for rows in seeds.values())
    return Storage(round(shared + k * per_task), round(shared), round(per_task))


def _shared(rows: Sequence[Row]) -> float:
    """The sum over distinct networks of one seed."""
    return sum({_network(row): float(row.extra["bytes_shared"]) for row in rows}.values())


def _network(row: Row) -> str:
    """What tells a stored network from others: its ticket, or its fingerprint; else an arm has one."""
    found = row.ticket or row.extra.get("fingerprint") or row.extra.get("fingerprint_after")
    return str(found or "")


def _per_task(rows: Sequence[Row]) -> float:
    """The mean over the tasks of one seed, draws averaged first."""
    tasks: Mapping[str, list[float]] = defaultdict(list)
    for row in rows:
        tasks[row.task].append(float(row.extra["bytes_per_task"]))
    return fmean(map(fmean, tasks.values()))


def _one_arm(cell: Cell, found: Sequence[Cell]) -> list[Cell]:
    """The cell and, for every other target, the one cell of the same experiment, where that is clear."""
    mine = _experiment(cell.settings)
    same = [one for one in found if (one.arm, one.shots) == (cell.arm, cell.shots) and one.task != cell.task]
    out = [cell]
    for task in dict.fromkeys(one.task for one in same):
        fitting = [one for one in same if one.task == task and _experiment(one.settings) == mine]
        if len(fitting) > 1:
            fitting = [one for one in fitting if one.variant == cell.variant]
        out += fitting if len(fitting) == 1 else []
    return out


def _experiment(settings: Settings) -> dict[str, str]:
    """The settings that all targets of an experiment share."""
    return {name: value for name, value in settings.items() if name.partition(".")[0] not in _OF_TARGET}
