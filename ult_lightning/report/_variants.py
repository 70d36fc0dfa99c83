"""Telling the variants of an arm apart: the fewest settings that do it for the whole table, and short labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ult_lightning.report._shown_settings import Settings, is_digest, legible, place, short, tier
from ult_lightning.report._style import natural

Group = Sequence[Settings]  # the variants of one arm on one target and number of shots, each once
Variant = tuple[tuple[str, str], ...]

ABSENT = "absent"
_LONGEST = 26  # of what stands in the brackets, so that all arms say the same settings in the same way
_MOST_NAMES = 3


def telling_names(groups: Sequence[Group]) -> tuple[str, ...]:
    """The settings that tell the variants of every group apart: few, and the readable ones first."""
    values: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        for name in {name for settings in group for name in settings}:
            found = {settings.get(name, ABSENT) for settings in group}
            if len(found) > 1:
                values[name] |= found
    tiers = {name: tier(name, sorted(found)) for name, found in values.items()}
    chosen: list[str] = []
    for level in sorted(set(tiers.values())):
        _choose(chosen, [name for name in sorted(values, key=place) if tiers[name] == level], groups)
    for name in sorted(chosen, key=lambda one: (tiers[one], place(one)), reverse=True):
        others = [other for other in chosen if other != name]
        if _told(groups, others) == _told(groups, chosen):
            chosen = others
    return tuple(sorted(chosen, key=place))


def varying(groups: Iterable[Group], names: Iterable[str]) -> list[str]:
    """Those names that have several values inside one group."""
    listed = list(groups)
    return [
        name for name in names if any(len({settings.get(name, ABSENT) for settings in group}) > 1 for group in listed)
    ]


def shown_names(groups: Sequence[Group], partners: Sequence[Group], telling: Sequence[str]) -> tuple[str, ...]:
    """What the labels of an arm say: what tells its own variants apart, or those of the arms it is measured against."""
    named = {*varying(groups, telling), *varying(partners, telling)}
    return tuple(name for name in telling if name in named and any(name in one for group in groups for one in group))


def variant_of(settings: Settings, names: Sequence[str]) -> Variant:
    """The values of these settings; one that is missing reads "absent"."""
    return tuple((name, settings.get(name, ABSENT)) for name in names)


def order(variant: Variant) -> list[object]:
    """A sorting key by which 6 steps come before 12."""
    return [natural(value) for _, value in variant]


def labels(arm: str, variants: Iterable[Variant]) -> tuple[dict[Variant, str], list[str]]:
    """A label per variant, "universal [density=0.5]"; a number where that is too long, with a note that explains it.

    An arm of one variant keeps its bare name instead of a number.
    """
    listed = sorted(set(variants), key=order)
    found = {variant: _label(arm, variant) for variant in listed}
    clear = {label for label, times in Counter(found.values()).items() if times == 1}
    odd = [variant for variant in listed if found[variant] not in clear or not _fits(_told_of(variant))]
    for number, variant in enumerate(odd, 1):
        found[variant] = f"{arm} [{number}]" if len(listed) > 1 else arm
    return found, [f"{found[variant]}: {', '.join(_words(variant, ' '))}." for variant in odd]


def left_out(groups: Sequence[Group], shown: Sequence[str]) -> list[str]:
    """Settings that have several values among the variants of an arm although the labels do not say so."""
    values: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        for name in {name for settings in group for name in settings}:
            found = {settings[name] for settings in group if name in settings}
            if len(found) > 1:
                values[name] |= found
    names = [name for name in sorted(values, key=place) if name not in shown and tier(name, sorted(values[name])) < 2]
    return [name for name in names if name != "task.valid" or "task.train" not in (*names, *shown)]


def _choose(chosen: list[str], names: Sequence[str], groups: Sequence[Group]) -> None:
    """Adds to `chosen`, one by one, the name that tells the most further variants apart; the first of equals."""
    left = list(names)
    while left:
        told = _told(groups, chosen)
        best = max(left, key=lambda name: _told(groups, [*chosen, name]))  # max keeps the first of equals
        if _told(groups, [*chosen, best]) == told:
            return
        chosen.append(best)
        left.remove(best)


def _told(groups: Sequence[Group], names: Sequence[str]) -> int:
    """How many variants these names tell apart, over all groups."""
    return sum(len({variant_of(settings, names) for settings in group}) for group in groups)


def _fits(variant: Variant) -> bool:
    words = ", ".join(_words(variant, "="))
    return len(words) <= _LONGEST and len(variant) <= _MOST_NAMES and not any(is_digest(value) for _, value in variant)


def _label(arm: str, variant: Variant) -> str:
    return f"{arm} [{', '.join(_words(_told_of(variant), '='))}]" if variant else arm


def _told_of(variant: Variant) -> Variant:
    """What this variant has, or all that it lacks where it has nothing."""
    return tuple((name, value) for name, value in variant if value != ABSENT) or variant


def _words(variant: Variant, between: str) -> list[str]:
    """Each setting in words: "density=0.5", "no density"."""
    return [
        f"no {short(name)}" if value == ABSENT else f"{short(name)}{between}{legible(value)}" for name, value in variant
    ]
