"""Rows into cells: all measurements of one arm on one target, one value per seed.

A store may hold several experiments. Rows of one arm, target, seed and draw that differ in their settings are
never averaged: the arm is split into variants named by the settings that tell them apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from ult_lightning.base import canonical_json, fault
from ult_lightning.report._style import arm_order
from ult_lightning.results import Row

METRIC = "accuracy"
_LONGEST_LABEL = 30
_MOST_KEYS = 3

Variant = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """The rows of one arm on one target (and number of shots).

    `variant` is empty, or the (setting, value) pairs that tell this cell from the arm's other cells; `label`
    is the arm's name with them.
    """

    task: str
    shots: int | None
    arm: str
    rows: tuple[Row, ...]
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


@dataclass
class _Grouping:
    """What `cells` hands back: the cells in the order of the table, and sentences about the grouping."""

    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def cells(rows: Sequence[Row]) -> tuple[list[Cell], list[str]]:
    """Group accuracy rows by target, shots, arm and variant; also sentences that a reader must know.

    Targets keep the order in which they first appear, then by shots; arms have their fixed order. Raises
    UltError where no row holds an accuracy.
    """
    used = [row for row in rows if row.metric == METRIC and row.unit == "fraction"]
    if not used:
        raise fault(
            "rows",
            len(used),
            f"at least one row whose metric is {METRIC}",
            "run `ult compare` or `ult transfer` first, or widen the filters",
        )
    grouping = _Grouping()
    others = sorted({f"{row.metric} in {row.unit}" for row in rows} - {f"{METRIC} in fraction"})
    if others:
        left = len(rows) - len(used)
        grouping.notes.append(f"{left} rows of other metrics ({', '.join(others)}) are left out.")
    tasks = list(dict.fromkeys(row.task for row in used))
    by_arm: dict[str, list[Row]] = defaultdict(list)
    for row in used:
        by_arm[row.arm].append(row)
    repeated = 0
    for arm in arm_order(by_arm):
        found, older = _arm_cells(arm, by_arm[arm], grouping.notes)
        grouping.cells.extend(found)
        repeated += older
    if repeated:
        grouping.notes.append(
            f"{repeated} rows were measured again with equal settings: the newest is shown."
        )
    grouping.cells.sort(key=lambda cell: (tasks.index(cell.task), cell.shots or 0))  # stable: arms keep order
    return grouping.cells, grouping.notes


def shots_of(row: Row) -> int | None:
    """Images per class of a few-shot row, None for a whole training part."""
    shots = row.extra.get("shots")
    return None if shots is None else int(shots)


def settings_of(row: Row) -> dict[str, str]:
    """The row's science settings, flat ("search.density": "0.5"), without those that name seeds."""
    flat: dict[str, str] = {}
    _flatten("", row.config, flat)
    flat.update(n_train=str(row.n_train), n_valid=str(row.n_valid), precision=str(row.precision))
    return {name: value for name, value in flat.items() if name.rsplit(".", 1)[-1] not in ("seed", "seeds")}


def _flatten(prefix: str, value: object, into: dict[str, str]) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), inner, into)
    else:
        into[prefix] = value if isinstance(value, str) else canonical_json(value)


def _slot(row: Row) -> tuple[object, ...]:
    """Where two rows would be measurements of the same thing."""
    return row.task, shots_of(row), row.seed, row.extra.get("draw")


def _arm_cells(arm: str, rows: Sequence[Row], notes: list[str]) -> tuple[list[Cell], int]:
    """The cells of one arm, and how many of its rows were measured again later."""
    names = _telling_settings(rows)
    groups: dict[tuple[str, int | None, Variant], dict[tuple[object, ...], Row]] = {}
    older = 0
    for row in sorted(rows, key=lambda one: (one.created, one.id)):
        settings = settings_of(row) if names else {}
        variant = tuple((name, settings.get(name, "absent")) for name in names)
        group = groups.setdefault((row.task, shots_of(row), variant), {})
        older += _slot(row) in group
        group[_slot(row)] = row
    labels = _labels(arm, sorted({variant for _, _, variant in groups}), notes)
    found = [
        Cell(task, shots, arm, tuple(group.values()), variant, labels[variant])
        for (task, shots, variant), group in groups.items()
    ]
    return sorted(found, key=lambda cell: cell.variant), older


def _telling_settings(rows: Sequence[Row]) -> list[str]:
    """The fewest settings that tell rows of the same slot apart; empty where no slot holds two rows.

    Settings with few values come first, so that a digest or an id, which differs with everything, is used
    only where nothing else differs.
    """
    slots: dict[tuple[object, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        slots[_slot(row)].append(settings_of(row))
    crowded = [group for group in slots.values() if len(group) > 1]
    values: dict[str, set[str]] = defaultdict(set)
    for group in crowded:
        for name in {name for settings in group for name in settings}:
            found = {settings.get(name, "absent") for settings in group}
            if len(found) > 1:
                values[name] |= found
    chosen: list[str] = []
    left = _doubles(crowded, chosen)
    for name in sorted(values, key=lambda one: (len(values[one]), one)):
        fewer = _doubles(crowded, [*chosen, name])
        if fewer < left:
            chosen.append(name)
            left = fewer
    return chosen


def _doubles(groups: Iterable[Sequence[Mapping[str, str]]], names: Sequence[str]) -> int:
    """How many rows share their slot and the values of `names` with an earlier row."""
    return sum(
        len(group) - len({tuple(settings.get(name, "absent") for name in names) for settings in group})
        for group in groups
    )


def _labels(arm: str, variants: Sequence[Variant], notes: list[str]) -> dict[Variant, str]:
    """A label per variant: "universal [density=0.5]", or a letter that a note explains where it is long."""
    if len(variants) == 1:
        return {variants[0]: arm}
    labels: dict[Variant, str] = {}
    for place, variant in enumerate(variants):
        short = ", ".join(f"{name.rsplit('.', 1)[-1]}={value}" for name, value in variant[:_MOST_KEYS])
        label = f"{arm} [{short}]"
        if len(label) > _LONGEST_LABEL or len(variant) > _MOST_KEYS or label in labels.values():
            label = f"{arm} [{place + 1}]"
            notes.append(f"{label}: " + ", ".join(f"{name} = {value}" for name, value in variant) + ".")
        labels[variant] = label
    return labels
