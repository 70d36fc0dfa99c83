"""Rows into cells: all measurements of one arm on one target with equal settings, one value per seed.

A store may hold several experiments. Rows that differ in any setting are never averaged: the arm then has variants, and
their labels name what tells them apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from ult_lightning.base import fault
from ult_lightning.report import _variants
from ult_lightning.report._style import arm_order, listed
from ult_lightning.report._variants import Group, Settings, Variant, decisive_settings
from ult_lightning.results import Row

METRIC = "accuracy"

_Place = tuple[str, int | None, str]  # task, images per class (None: the whole training part), arm


@dataclass(frozen=True)
class Cell:
    """The rows of one arm on one target (and number of shots) with equal `settings`.

    `variant` is empty, or the (setting, value) pairs that tell this cell from the arm's other cells; `label` is the
    arm's name with them.
    """

    task: str
    shots: int | None
    arm: str
    rows: tuple[Row, ...]
    settings: Settings = field(default_factory=dict)
    variant: Variant = ()
    label: str = ""

    @property
    def target(self) -> tuple[str, int | None]:
        """The task and the number of shots."""
        return self.task, self.shots

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
    the order in which they first appear, then by shots; arms have their fixed order. Raises UltError where no row holds
    an accuracy.
    """
    used = [row for row in rows if row.metric == METRIC and row.unit == "fraction"]
    if not used:
        mend = "run `ult compare` or `ult transfer` first, or widen the filters"
        raise fault("rows", len(used), f"at least one row whose metric is {METRIC}", mend)
    others = sorted({f"{row.metric} in {row.unit}" for row in rows} - {f"{METRIC} in fraction"})
    notes = [f"{len(rows) - len(used)} rows of other metrics ({', '.join(others)}) are left out."] if others else []
    grouped, older = _grouped(used)
    if older:
        notes.append(f"{older} rows were measured again with equal settings: the newest is shown.")
    labelled, explained = _labelled(grouped, partners)
    tasks = list(dict.fromkeys(row.task for row in used))
    arms = arm_order(cell.arm for cell in labelled)

    def place(cell: Cell) -> tuple[object, ...]:
        return tasks.index(cell.task), cell.shots or 0, arms.index(cell.arm), _variants.order(cell.variant)

    return sorted(labelled, key=place), [*notes, *explained]


def _grouped(rows: Sequence[Row]) -> tuple[list[Cell], int]:
    """The cells without their labels, and how many rows were measured again later."""
    several = _arms_with_tickets(rows)
    groups: dict[tuple[_Place, Variant], dict[object, Row]] = defaultdict(dict)
    settings: dict[tuple[_Place, Variant], Settings] = {}
    older = 0
    for row in sorted(rows, key=lambda row: (row.created, row.id)):
        identity = _identity(row) if row.arm in several else None
        ticket = {} if identity is None else {"ticket": identity}
        key = _place(row), tuple(sorted({**decisive_settings(row), **ticket}.items()))
        older += _slot(row) in groups[key]
        groups[key][_slot(row)] = row
        settings[key] = {**_variants.settings_of(row), **ticket}
    return [Cell(*key[0], tuple(group.values()), settings[key]) for key, group in groups.items()], older


def _place(row: Row) -> _Place:
    shots = row.extra.get("shots")
    return row.task, None if shots is None else int(shots), row.arm


def _slot(row: Row) -> tuple[object, ...]:
    """Where two rows of one cell would be measurements of the same thing."""
    return row.seed, row.extra.get("draw")


def _identity(row: Row) -> str | None:
    """The ticket, or the network without one, that a transferred row names; None for other rows."""
    identity = row.settings.get("ticket") or row.settings.get("network")
    return None if identity is None else str(identity)


def _arms_with_tickets(rows: Sequence[Row]) -> set[str]:
    """The arms that were measured with several tickets on one seed, where the ticket is a setting like others."""
    tickets: dict[tuple[object, ...], set[str | None]] = defaultdict(set)
    for row in rows:
        key = (row.arm, _place(row), _slot(row), *sorted(decisive_settings(row).items()))
        tickets[key].add(_identity(row))
    return {str(key[0]) for key, identities in tickets.items() if len(identities) > 1}


def _groups(cells: Iterable[Cell]) -> list[Group]:
    """The settings of the cells, those of one arm on one target and number of shots together."""
    groups: dict[tuple[object, ...], list[Settings]] = defaultdict(list)
    for cell in cells:
        groups[cell.arm, cell.target].append(cell.settings)
    return list(groups.values())


def _labelled(cells: Sequence[Cell], partners: Sequence[str]) -> tuple[list[Cell], list[str]]:
    """The cells with their variants and labels, and what explains those."""
    telling = _variants.telling_names(_groups(cells))
    against = _groups(cell for cell in cells if cell.arm in partners)
    labelled: list[Cell] = []
    notes: list[str] = []
    silent: dict[tuple[str, ...], list[str]] = defaultdict(list)  # what labels leave out, and the arms that do
    for arm in arm_order(cell.arm for cell in cells):
        mine = [cell for cell in cells if cell.arm == arm]
        shown = _variants.shown_names(_groups(mine), against, telling)
        variants = [_variants.variant_of(cell.settings, shown) for cell in mine]
        labels, explained = _variants.labels(arm, variants)
        notes += explained
        labelled += [replace(cell, variant=one, label=labels[one]) for cell, one in zip(mine, variants, strict=True)]
        silent[tuple(_variants.left_out(_groups(mine), shown))].append(arm)
    silent.pop((), None)
    differ = [
        f"The variants of {listed(arms)} also differ in {listed([_variants.short(name) for name in names])}."
        for names, arms in silent.items()
    ]
    return labelled, notes + differ
