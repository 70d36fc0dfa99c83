"""The order of the arms, their colours, and how numbers are written."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ult_lightning.results import arm_looks

DASH = "–"
MINUS = "−"

# Okabe and Ito's colours, which stay apart under the common forms of colour blindness, those furthest apart first.
_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#C2649A", "#3C9FD6", "#B87A00")
_DARK = ("#5AA9EE", "#F0803C", "#2BC196", "#DE8DBB", "#8CCBF2", "#E69F00")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
_OTHER = ("#8C6D46", "#5B5BA8", "#4F7A28", "#A03030")


@dataclass(frozen=True)
class Theme:
    """Colours of one figure, as "#rrggbb"; `curves` are those of what is no arm."""

    paper: str
    ink: str
    soft: str
    grid: str
    curves: tuple[str, ...]


LIGHT = Theme(paper="#ffffff", ink="#1c1f23", soft="#5a6169", grid="#e3e6ea", curves=_LIGHT)
DARK = Theme(paper="#15181c", ink="#e8eaed", soft="#a3abb4", grid="#30363d", curves=_DARK)


def arm_order(arms: Iterable[str]) -> list[str]:
    """Each arm once: the known ones in their fixed order, then the others by name.

    >>> arm_order(["zeta", "universal", "dense", "universal", "alpha"])
    ['dense', 'universal', 'alpha', 'zeta']
    """
    present, known = set(arms), arm_looks()
    return [arm for arm in known if arm in present] + sorted(present.difference(known))


def arm_look(arm: str, theme: Theme = LIGHT) -> tuple[str, str]:
    """The colour and the matplotlib marker of an arm: the same in every figure."""
    look = arm_looks().get(arm)
    if look is None:
        return _OTHER[sum(arm.encode()) % len(_OTHER)], "*"
    return look.dark if theme == DARK else look.light, look.marker


def natural(text: str) -> list[str | float]:
    """A sorting key that takes numbers inside texts as numbers.

    >>> sorted(["12", "6", "conv4", "conv2"], key=natural)
    ['6', '12', 'conv2', 'conv4']
    """
    parts = _NUMBER.split(text)
    return [float(part) if place % 2 else part for place, part in enumerate(parts)]


def listed(words: Sequence[str], most: int = 5) -> str:
    """Words as a sentence lists them.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], most=2)
    ('a, b and c', 'a, b and 2 more')
    """
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def target_title(task: str, shots: int | None) -> str:
    """A target with its images per class: "digits, 5 per class"."""
    return task if shots is None else f"{task}, {shots} per class"


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values with one heading line; empty where there is no value."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([names, *rows])
    return out.getvalue()


def percent(value: float, decimals: int) -> str:
    """A fraction as per cent, without the sign.

    >>> percent(0.8862, 2)
    '88.62'
    """
    return f"{100 * value:.{decimals}f}"


def points(value: float, decimals: int) -> str:
    """A difference of fractions in points, with its sign; a zero has none.

    >>> points(-0.0042, 2), points(0.0123, 1), points(-0.00001, 2)
    ('−0.42', '+1.2', '0.00')
    """
    size = f"{100 * abs(value):.{decimals}f}"
    if float(size) == 0:
        return size
    return (MINUS if value < 0 else "+") + size


def plus_minus(half: float, decimals: int) -> str:
    """Half an interval in points, or nothing where there is none (one seed).

    >>> plus_minus(0.0021, 2), plus_minus(float("nan"), 2)
    (' ± 0.21', '')
    """
    return "" if math.isnan(half) else f" ± {100 * half:.{decimals}f}"


def count(value: float) -> str:
    """A count with thousands kept readable.

    >>> count(450), count(20490), count(2425024)
    ('450', '20.5 k', '2.43 M')
    """
    return _scaled(value, ("", " k", " M", " G", " T"))


def size(value: float) -> str:
    """A number of bytes in decimal units (1 kB = 1,000 bytes).

    >>> size(920), size(311500), size(9700096)
    ('920 B', '312 kB', '9.70 MB')
    """
    return _scaled(value, (" B", " kB", " MB", " GB", " TB"))


def duration(seconds: float) -> str:
    """Seconds with about three digits.

    >>> duration(0.4213), duration(3.14), duration(128.4), duration(5025.0)
    ('0.42', '3.1', '128', '5,025')
    """
    if seconds < 1:
        return f"{seconds:.2f}"
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}"


def _scaled(value: float, units: tuple[str, ...]) -> str:
    step = 0
    while value >= 999.5 and step < len(units) - 1:
        value, step = value / 1000, step + 1
    if step == 0:
        return f"{value:.0f}{units[0]}"
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}{units[step]}"
