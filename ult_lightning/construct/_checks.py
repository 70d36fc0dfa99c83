"""What the constructions accept: checks of their arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ult_lightning.base import UltError, fault

Notice = Callable[[str], None]


class ConstructError(UltError):
    """A ticket that this mother does not hold."""


DEFAULT_EPS = {"polynomial": 1e-3, "fourier": 1e-2, "univariate": 1e-3}
"""The largest error allowed where neither ``eps`` nor a plan says it."""

SMALLEST_EPS = 1e-6

STYLES = ("two", "direct")


def silent(_: str) -> None:
    """A notice that nobody hears."""


def whole(argument: str, got: object, low: int = 1) -> int:
    """``got`` if it is a whole number of at least ``low``, else ``UltError``."""
    if isinstance(got, bool) or not isinstance(got, int) or got < low:
        raise fault(argument, got, f"a whole number of at least {low}")
    return got


def positive(argument: str, got: object, below: float = math.inf) -> float:
    """``got`` as a float above 0 (and below ``below``), else ``UltError``."""
    good = (
        isinstance(got, int | float) and not isinstance(got, bool) and math.isfinite(got) and 0 < got < below
    )
    if not good:
        wanted = "a number above 0" if below == math.inf else f"a number above 0 and below {below:g}"
        raise fault(argument, got, wanted)
    return float(got)  # type: ignore[arg-type]


def one_of_styles(style: str) -> None:
    """Raise ``UltError`` unless the style is known."""
    if style not in STYLES:
        raise fault("style", style, f"one of {', '.join(STYLES)}")


def limit_of(family: str, eps: float | None, planned: bool) -> float | None:
    """The limit that a certificate is held to: ``eps``, by default that of the family, or none with a plan and no ``eps``."""
    if eps is None:
        return None if planned else DEFAULT_EPS[family]
    if positive("eps", eps, 0.5) < SMALLEST_EPS:
        raise fault("eps", eps, f"at least {SMALLEST_EPS:g}", "the network computes in float32")
    return float(eps)


def widths_in_words(by: int, **widths: int | Sequence[int] | None) -> str:
    """Named widths, each multiplied, as a user types them; those that are None are left out.

    >>> widths_in_words(2, log=(200, 10, 200), linear=200, fold=None)
    'log=[400,20,400] linear=400'
    """
    words = []
    for name, value in widths.items():
        if isinstance(value, int):
            words.append(f"{name}={by * value}")
        elif value is not None:
            words.append(f"{name}=[{','.join(str(by * n) for n in value)}]")
    return " ".join(words)
