"""Rows into cells: all measurements of one arm on one target with equal settings, one value per seed.

A store may hold several experiments. Rows that differ in any setting are never averaged: the arm then has variants,
and their labels name what tells them apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from ult_lightning.base import fault
from ult_lightning.report._shown_settings import Settings, decisive_settings, identity_of, settings_of, short
from ult_lightning.report._style import arm_order, listed
from ult_lightning.report._variants import (
    Group,
    Variant,
    labels,
    left_out,
    order,
    shown_names,
    telling_names,
    variant_of,
)
from ult_lightning.results import Row

METRIC = "accuracy"

_Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """The rows of one arm on one target (and number of shots) with equal `settings`.

    `variant` is empty, or the (setting, value) pairs that tell this cell from the arm's other cells; `label`
    is the arm's name with them.
    """

    task: str
    shots: int | None
    arm: str
    rows: tuple[Row, ...]
    settings: Settings = field(default_factory=dict)
    variant: Variant = ()
    label: str = ""

    @property
    def by_seed(self) -> dict[int, float]:
        """Accuracy (0..1) per seed; the draws of a few-shot seed are averaged first."""
        values: dict[int, list[float]] = defaultdict(list)
        for row in self.rows:
            values[row.seed].append(row.value)
        return {seed: fmean(values[seed]) for seed in sorted(values)}

    @property
    def draws(self) -> int:
        """The largest number of draws in a seed."""
        return max(Counter(row.seed for row in self.rows).values())


def cells(rows: Sequence[Row], partners: Sequence[str] = ()) -> tuple[list[Cell], list[str]]:
    """Group accuracy rows by target, shots, arm and settings; also sentences that a reader must know.

    `partners` are the arms that others are measured against: labels tell which variant of them is meant. Targets keep
    the order in which they first appear, then by shots; arms have their fixed order. Raises UltError where no row
    holds an accuracy.
    """
    used = [row for row in rows if row.metric == METRIC and row.unit == "fraction"]
    if not used:
        raise fault(
            "rows",
            len(used),
            f"at least one row whose metric is {METRIC}",
            "run `ult compare` or `ult transfer` first, or widen the filters",
        )
    notes = _others(rows, len(used))
    found, older = _grouped(used)
    if older:
        notes.append(f"{older} rows were measured again with equal settings: the newest is shown.")
    found, said = _labelled(found, partners)
    tasks = list(dict.fromkeys(row.task for row in used))
    arms = arm_order(cell.arm for cell in found)
    found.sort(key=lambda cell: (tasks.index(cell.task), cell.shots or 0, arms.index(cell.arm), order(cell.variant)))
    return found, [*notes, *said]


def shots_of(row: Row) -> int | None:
    """Images per class of a few-shot row, None for a whole training part."""
    shots = row.extra.get("shots")
    return None if shots is None else int(shots)


def _others(rows: Sequence[Row], used: int) -> list[str]:
    others = sorted({f"{row.metric} in {row.unit}" for row in rows} - {f"{METRIC} in fraction"})
    return [f"{len(rows) - used} rows of other metrics ({', '.join(others)}) are left out."] if others else []


def _grouped(rows: Sequence[Row]) -> tuple[list[Cell], int]:
    """The cells without their labels, and how many rows were measured again later."""
    several = _arms_with_tickets(rows)
    groups: dict[tuple[str, int | None, str, _Key], dict[tuple[object, ...], Row]] = {}
    shown: dict[tuple[str, int | None, str, _Key], Settings] = {}
    older = 0
    for row in sorted(rows, key=lambda row: (row.created, row.id)):
        identity = identity_of(row) if row.arm in several else None
        ticket = {} if identity is None else {"ticket": identity}
        key = (row.task, shots_of(row), row.arm, _key({**decisive_settings(row), **ticket}))
        group = groups.setdefault(key, {})
        older += _slot(row) in group
        group[_slot(row)] = row
        shown[key] = {**settings_of(row), **ticket}
    return [Cell(*key[:3], tuple(group.values()), shown[key]) for key, group in groups.items()], older


def _key(settings: Settings) -> _Key:
    return tuple(sorted(settings.items()))


def _slot(row: Row) -> tuple[object, ...]:
    """Where two rows of one cell would be measurements of the same thing."""
    return row.seed, row.extra.get("draw")


def _arms_with_tickets(rows: Sequence[Row]) -> set[str]:
    """The arms that were measured with several tickets on one seed, where the ticket is a setting like others."""
    tickets: dict[tuple[object, ...], set[str | None]] = defaultdict(set)
    for row in rows:
        tickets[row.arm, row.task, shots_of(row), _slot(row), _key(decisive_settings(row))].add(identity_of(row))
    return {str(slot[0]) for slot, found in tickets.items() if len(found) > 1}


def _groups(found: Iterable[Cell]) -> list[Group]:
    """The settings of the cells, those of one arm on one target and number of shots together."""
    groups: dict[tuple[object, ...], list[Settings]] = defaultdict(list)
    for cell in found:
        groups[cell.arm, cell.task, cell.shots].append(cell.settings)
    return list(groups.values())


def _labelled(found: Sequence[Cell], partners: Sequence[str]) -> tuple[list[Cell], list[str]]:
    """The cells with their variants and labels, and what explains those."""
    telling = telling_names(_groups(found))
    against = _groups(cell for cell in found if cell.arm in partners)
    out: list[Cell] = []
    notes: list[str] = []
    silent: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for arm in arm_order(cell.arm for cell in found):
        mine = [cell for cell in found if cell.arm == arm]
        shown = shown_names(_groups(mine), against, telling)
        variants = [variant_of(cell.settings, shown) for cell in mine]
        named, said = labels(arm, variants)
        notes += said
        out += [
            replace(cell, variant=variant, label=named[variant]) for cell, variant in zip(mine, variants, strict=True)
        ]
        silent[tuple(left_out(_groups(mine), shown))].append(arm)
    return out, notes + _silent(silent)


def _silent(silent: Mapping[tuple[str, ...], Sequence[str]]) -> list[str]:
    """What the labels leave out, arms that leave out the same together."""
    return [
        f"The variants of {listed(arms)} also differ in {listed([short(name) for name in names])}."
        for names, arms in silent.items()
        if names
    ]
