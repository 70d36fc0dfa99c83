"""Options of a member of a family: one frozen dataclass beside the member, one reader for all of them.

A dataclass that derives from `Options` states its fields with `option(default, ...)`: the type comes from the annotation,
the range from the arguments. Values are checked when an instance is made, so Python and the command line get the same
sentences; `read_options` names the key as a user types it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ult_lightning.base._errors import fault, unknown

T = TypeVar("T", bound="Options")


@dataclass(frozen=True)
class Range:
    """What values an option takes, beyond its type. Of a list, each entry; `distinct`: no entry twice."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    distinct: bool = False

    def words(self) -> str:
        """The bounds in words, empty without any."""
        parts = [f"at least {self.least:g}"] if self.least is not None else []
        parts += [f"above {self.above:g}"] if self.above is not None else []
        parts += [f"at most {self.most:g}"] if self.most is not None else []
        parts += [f"below {self.below:g}"] if self.below is not None else []
        return " and ".join(parts)

    def holds(self, value: float) -> bool:
        """Whether a number lies within the bounds."""
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


def option(
    default: Any = MISSING,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    choices: Collection[str] = (),
    distinct: bool = False,
) -> Any:
    """A field of an `Options` dataclass: its default, and the range of its values (of each entry, for a tuple)."""
    return field(default=default, metadata={"range": Range(least, above, most, below, tuple(choices), distinct)})


@dataclass(frozen=True)
class Options:
    """The base of all options: checked when made, comparable, hashable where their values are.

    Annotations may be bool, int, float, str, Literal, tuple[X, ...], Mapping[str, X], and any of these or None. Whole
    numbers pass for floats, lists for tuples.
    """

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = checked(entry, type(self), getattr(self, entry.name), entry.name)
            object.__setattr__(self, entry.name, value)

    def given(self) -> dict[str, Any]:
        """The options that are not at their defaults, as JSON values: what enters an id."""
        return {
            entry.name: _plain(getattr(self, entry.name))
            for entry in fields(self)
            if entry.default is MISSING or getattr(self, entry.name) != entry.default
        }

    def to_dict(self) -> dict[str, Any]:
        """All options as JSON values."""
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}


@dataclass(frozen=True)
class NoOptions(Options):
    """The options of a member that has none."""


def read_options(kind: type[T], values: Mapping[str, Any] | None = None, *, key: str = "") -> T:
    """An instance of the options dataclass `kind` from plain values, such as a node of a config.

    `key` is what a user types before the option's name ("head.options"). Raises UltError for an unknown option (with the
    nearest names), one that is missing, and a value of the wrong type or outside its range.
    """
    entries = {entry.name: entry for entry in fields(kind)}
    checked_values: dict[str, Any] = {}
    for name, value in (values or {}).items():
        typed = f"{key}.{name}" if key else str(name)
        if name not in entries:
            if not entries:
                raise fault(typed, value, "no options here", "leave it out")
            raise unknown(f"option of {key}" if key else "option", str(name), entries)
        checked_values[name] = checked(entries[name], kind, value, typed)
    for name, entry in entries.items():
        if name not in checked_values and entry.default is MISSING:
            raise fault(f"{key}.{name}" if key else name, None, "a value")
    return kind(**checked_values)


def checked(entry: Field[Any], kind: type, value: Any, key: str) -> Any:
    """`value` as the field takes it (lists as tuples, whole numbers as floats); raises UltError that names `key`."""
    return check_value(_hints(kind)[entry.name], value, key, entry.metadata.get("range", Range()))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def check_value(hint: Any, value: Any, key: str, limits: Range = Range()) -> Any:
    """`value` as the annotation `hint` of an option takes it; raises UltError that names `key`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        others = [one for one in arguments if one is not NoneType]
        chosen = next((one for one in others if _fits(one, value)), others[0])
        return check_value(chosen, value, key, limits)
    if origin is Literal:
        if value not in arguments:
            raise unknown(key, str(value), [str(one) for one in arguments])
        return value
    if origin is tuple:
        return _sequence(arguments[0], limits, value, key)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise fault(key, value, "keys with values")
        return {str(name): check_value(arguments[1], one, f"{key}.{name}", limits) for name, one in value.items()}
    return _plain_value(hint, limits, value, key)


def _fits(hint: Any, value: Any) -> bool:
    origin = get_origin(hint)
    if origin is tuple:
        return isinstance(value, Sequence) and not isinstance(value, str)
    if origin is Literal:
        return value in get_args(hint)
    if origin is not None:
        return isinstance(value, Mapping)
    if hint in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return hint is Any or isinstance(value, hint)


def _sequence(hint: Any, limits: Range, value: Any, key: str) -> tuple[Any, ...]:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise fault(key, value, f"a list of {_many(hint)}")
    if not value:
        raise fault(key, list(value), f"a list of at least one of {_many(hint)}")
    listed = tuple(check_value(hint, one, key, limits) for one in value)
    if limits.distinct and len(set(listed)) < len(listed):
        raise fault(key, list(value), "each entry once")
    return listed


def _plain_value(hint: Any, limits: Range, value: Any, key: str) -> Any:
    if hint is Any:
        return value
    if hint is bool:
        if not isinstance(value, bool):
            raise fault(key, value, "true or false")
        return value
    if hint is str:
        if limits.choices and value not in limits.choices:
            raise unknown(key, str(value), limits.choices)
        if not isinstance(value, str) or not value:
            raise fault(key, value, "a word")
        return value
    if hint not in (int, float):
        if not isinstance(value, hint):
            raise fault(key, value, f"a {hint.__name__}")
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    whole = number and (isinstance(value, int) or float(value).is_integer())
    if not (whole if hint is int else number) or not limits.holds(value):
        what = "a whole number" if hint is int else "a number"
        raise fault(key, value, f"{what} {limits.words()}".strip())
    return hint(value)


def _many(hint: Any) -> str:
    return {int: "whole numbers", float: "numbers", str: "words"}.get(hint, "entries")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return value
