"""key=value arguments of the verbs that need no Hydra."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ult_lightning.base import fault, unknown


def split_arguments(arguments: Sequence[str], known: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """The key=value arguments whose key is known, and the other words.

    Raises UltError for a key that is not known, a key given twice, and an empty value.
    """
    keyed: dict[str, str] = {}
    others: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if argument.startswith("-"):
            raise unknown("flag", argument, ("--help",))
        if not equals or not key.isidentifier():
            others.append(argument)
            continue
        if key == "traceback":
            continue
        if key not in known:
            raise unknown("key", key, known)
        if key in keyed:
            raise fault(key, [keyed[key], value], "one value")
        if not value:
            raise fault(key, value, "a value behind the equals sign")
        keyed[key] = value
    return keyed, others
