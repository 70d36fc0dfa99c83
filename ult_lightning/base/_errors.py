"""The one error that users see, and the sentences it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_LONGEST_REPR = 160
_LONGEST_LIST = 24
_ALIKE = 0.6


class UltError(Exception):
    """Something a user can cause and mend: its text is one sentence, shown without a traceback."""


def fault(argument: str, got: object, wanted: str, mend: str = "", error: type[UltError] = UltError) -> UltError:
    """The error "argument: got ..., wanted ...; mend." for the caller to raise.

    `error` is the class of the result; a long `got` is shortened in its middle.

    >>> str(fault("density", 1.5, "a number in (0, 1]", "density is the share that is kept"))
    'density: got 1.5, wanted a number in (0, 1]; density is the share that is kept.'
    """
    tail = f"; {mend.rstrip('. ')}" if mend else ""
    return error(f"{argument}: got {_shown(got)}, wanted {wanted.rstrip('. ')}{tail}.")


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """At most `n` known names that `name` may have meant, the likeliest first.

    Case, dashes and dots are not counted as differences; a name of which the other is the beginning is
    near however long it is.

    >>> nearest("Mobilenet-v2", ["conv4", "mobilenet_v2", "mobilenet_v3_large"])
    ['mobilenet_v2', 'mobilenet_v3_large']
    """
    wanted = _folded(name)
    matches = []
    for candidate in dict.fromkeys(known):
        other = _folded(candidate)
        likeness = SequenceMatcher(None, wanted, other).ratio()
        begins = bool(wanted) and bool(other) and (other.startswith(wanted) or wanted.startswith(other))
        if begins or likeness >= _ALIKE:
            matches.append((-likeness, candidate))
    return [candidate for _, candidate in sorted(matches)[:n]]


def unknown(what: str, name: str, known: Iterable[str], error: type[UltError] = UltError) -> UltError:
    """The error for a name that no registry holds, with the nearest known names (for the caller to raise).

    >>> str(unknown("net", "cnov4", ["conv2", "conv4", "resnet18"]))
    "net: got 'cnov4', wanted one of conv2, conv4, resnet18; did you mean conv4 or conv2?"
    """
    names = sorted(set(known))
    near = nearest(name, names)
    if not names:
        wanted = f"a known {what}, and none is registered"
    elif near and len(names) > _LONGEST_LIST:
        wanted = f"one of {len(names)} known names"
    else:
        wanted = f"one of {', '.join(names)}"
    question = f"; did you mean {' or '.join(near)}?" if near else "."
    return error(f"{what}: got {_shown(name)}, wanted {wanted}{question}")


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_").replace(".", "_")


def _shown(value: object) -> str:
    text = repr(value)
    if len(text) <= _LONGEST_REPR:
        return text
    half = _LONGEST_REPR // 2
    return f"{text[:half]} ... {text[-half:]}"
