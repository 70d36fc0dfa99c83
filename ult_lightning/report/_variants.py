"""The settings of rows as readers see them, and the fewest of them that tell the variants of an arm apart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ult_lightning.base import canonical_json
from ult_lightning.report._style import natural
from ult_lightning.results import Row

Settings = Mapping[str, str]
Group = Sequence[Settings]  # the variants of one arm on one target and number of shots, each once
Variant = tuple[tuple[str, str], ...]

ABSENT = "absent"
_LONGEST = 26  # of what stands in the brackets, so that all arms say the same settings in the same way
_MOST_NAMES = 3

_SEEDS = {"seed", "seeds", "pilot_seed"}
_SHOWN_ELSEWHERE = {
    *("arm", "made_by", "metric", "ticket", "ticket.content", "network"),
    *("task.shots", "task.draw", "sources.target"),
}
_LONG_NUMBER = re.compile(r"\d+\.\d{5,}(?:e[+-]?\d+)?")
_DIGEST = re.compile(r"[0-9a-f]{16,}(\+[0-9a-f]{16,})*")

# Which settings a label names first: the first tier wherever it tells variants apart, the next only where it fails.
_PREFERRED = (
    *("head", "density", "net", "method", "ticket.made_by", "sources", "norm", "init", "steps"),
    *("task.train", "precision", "sources.train", "batch_size", "augment"),
)
_LAST = ("task.valid", "task.test")
_MOTHER = ("net", "norm", "init", "bias", "scale_fan", "input")
_COMPARED = {
    *("numerics", "steps", "batch_size", "augment", "precision", "task", "sources", "sources.train", "head"),
    *_MOTHER,
}
_WORDS = {
    "task.train": "n_train",
    "task.valid": "n_valid",
    "task.test": "n_test",
    "sources.train": "source_images",
    "ticket.made_by": "made_by",
}


def settings_of(row: Row) -> dict[str, str]:
    """The row's settings with those at their defaults, and its sources by name."""
    shown, hashed = dict(row.extra.get("shown", {})), row.settings.get("sources")
    if "sources" in shown and hashed is not None:
        shown["sources.id"] = "+".join(hashed)
    return _texts(row, {**row.settings, **shown})


def decisive_settings(row: Row) -> dict[str, str]:
    """What is in the row's id: rows are one experiment where they agree in it."""
    return _texts(row, row.settings)


def _texts(row: Row, settings: Mapping[str, Any]) -> dict[str, str]:
    whole = {"task.train": row.n_train, "task.valid": row.n_valid, "precision": row.precision, **settings}
    return {
        name: value if isinstance(value, str) else canonical_json(value)
        for name, value in whole.items()
        if name not in _SHOWN_ELSEWHERE and name.rpartition(".")[2] not in _SEEDS
    }


def place(name: str) -> tuple[int, str]:
    """The order of settings in labels and sentences."""
    if name in _PREFERRED:
        return _PREFERRED.index(name), name
    return len(_PREFERRED) + (name in _LAST), name


def compared(name: str) -> bool:
    """Whether two arms must agree in this setting, where both have it, for their difference to mean anything."""
    return name in _COMPARED or name.partition(".")[0] in _COMPARED - {"sources"}


def is_digest(value: str) -> bool:
    """Whether a value says nothing to a reader.

    >>> is_digest("7f22beda510b3815"), is_digest("0.0625")
    (True, False)
    """
    return _DIGEST.fullmatch(value) is not None


def short(name: str) -> str:
    """A setting's name in a label.

    >>> short("net.width"), short("task.train"), short("dense.momentum")
    ('width', 'n_train', 'dense.momentum')
    """
    return _WORDS.get(name, name.removeprefix("net."))


def legible(value: str) -> str:
    """A setting's value for a reader: four digits of long numbers, the beginning of a digest.

    >>> legible("[1.0,0.31622776601683794]"), legible("7f22beda510b3815")
    ('[1.0,0.3162]', '7f22beda')
    """
    if is_digest(value):
        return value[:8]
    return _LONG_NUMBER.sub(lambda match: f"{float(match.group()):.4g}", value)


def telling_names(groups: Sequence[Group]) -> tuple[str, ...]:
    """The settings that tell the variants of every group apart: few, and the readable ones first."""
    tiers = {name: _tier(name, values) for name, values in _varying(groups).items()}
    chosen: list[str] = []
    for level in sorted(set(tiers.values())):
        names = sorted((name for name in tiers if tiers[name] == level), key=place)
        while True:
            best = max(names, key=lambda name: _distinct(groups, [*chosen, name]))  # max keeps the first of equals
            if _distinct(groups, [*chosen, best]) == _distinct(groups, chosen):
                break
            chosen.append(best)
    for name in sorted(chosen, key=lambda one: (tiers[one], place(one)), reverse=True):
        others = [other for other in chosen if other != name]
        if _distinct(groups, others) == _distinct(groups, chosen):
            chosen = others
    return tuple(sorted(chosen, key=place))


def shown_names(groups: Sequence[Group], partners: Sequence[Group], telling: Sequence[str]) -> tuple[str, ...]:
    """What the labels of an arm say: what tells its own variants apart, or those of the arms it is measured against."""
    varying = {*_varying(groups), *_varying(partners)}
    return tuple(name for name in telling if name in varying and any(name in one for group in groups for one in group))


def left_out(groups: Sequence[Group], shown: Sequence[str]) -> list[str]:
    """Settings that have several values among the variants of an arm although the labels do not say so."""
    varying = _varying(groups, missing=False)
    names = [name for name in sorted(varying, key=place) if name not in shown and _tier(name, varying[name]) < 2]
    return [name for name in names if name != "task.valid" or "task.train" not in (*names, *shown)]


def variant_of(settings: Settings, names: Sequence[str]) -> Variant:
    """The values of these settings; one that is missing reads "absent"."""
    return tuple((name, settings.get(name, ABSENT)) for name in names)


def order(variant: Variant) -> list[object]:
    """A sorting key by which 6 steps come before 12."""
    return [natural(value) for _, value in variant]


def labels(arm: str, variants: Iterable[Variant]) -> tuple[dict[Variant, str], list[str]]:
    """A label per variant, "universal [density=0.5]"; a number where that is too long, with a note that explains it.

    A label says what a variant has, or all that it lacks where it has nothing. An arm of one variant keeps its bare
    name instead of a number.
    """
    listed = sorted(set(variants), key=order)
    own = {variant: tuple(pair for pair in variant if pair[1] != ABSENT) or variant for variant in listed}
    words = {variant: ", ".join(_words(own[variant], "=")) for variant in listed}
    named = {variant: f"{arm} [{words[variant]}]" if variant else arm for variant in listed}
    times = Counter(words.values())
    odd = [
        variant
        for variant in listed
        if times[words[variant]] > 1
        or len(words[variant]) > _LONGEST
        or len(own[variant]) > _MOST_NAMES
        or any(is_digest(value) for _, value in own[variant])
    ]
    for number, variant in enumerate(odd, 1):
        named[variant] = f"{arm} [{number}]" if len(listed) > 1 else arm
    return named, [f"{named[variant]}: {', '.join(_words(variant, ' '))}." for variant in odd]


def _words(variant: Variant, between: str) -> list[str]:
    """Each setting in words: "density=0.5", "no density"."""
    return [
        f"no {short(name)}" if value == ABSENT else f"{short(name)}{between}{legible(value)}" for name, value in variant
    ]


def _varying(groups: Iterable[Group], *, missing: bool = True) -> dict[str, set[str]]:
    """The settings with several values inside one group, and these; `missing`: to lack a setting is a value too."""
    varying: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        for name in {name for settings in group for name in settings}:
            values = {settings.get(name, ABSENT) for settings in group if missing or name in settings}
            if len(values) > 1:
                varying[name] |= values
    return varying


def _tier(name: str, values: Iterable[str]) -> int:
    """How readily a label names this setting: 0 first, 3 only where nothing else tells variants apart."""
    if any(map(is_digest, values)):
        return 3
    room = name.partition(".")[0]
    if name in _PREFERRED or name in _LAST or room in (*_MOTHER, "head"):
        return 0
    return 2 if room in ("sources", "task") else 1


def _distinct(groups: Sequence[Group], names: Sequence[str]) -> int:
    """How many variants these names tell apart, over all groups."""
    return sum(len({variant_of(settings, names) for settings in group}) for group in groups)
