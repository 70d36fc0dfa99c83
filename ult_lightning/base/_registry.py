"""Families of things that are chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from ult_lightning.base._errors import unknown
from ult_lightning.base._plugins import load_installed

T = TypeVar("T")
V = TypeVar("V")


class Registry(Generic[T]):
    """Names to values, in the order of their registration; a wrong name gets the nearest ones.

    `what` is the word that messages use for a member ("net", "method").

    >>> nets = Registry[int]("net")
    >>> nets.add("conv2", 2)
    >>> nets.get("conv3")
    Traceback (most recent call last):
    ...
    ult_lightning.base._errors.UltError: net: got 'conv3', wanted one of conv2; did you mean conv2?
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._members: dict[str, T] = {}

    def register(self, name: str) -> Callable[[V], V]:
        """A decorator that adds what it decorates under `name`."""

        def keep(value: V) -> V:
            self.add(name, value)  # type: ignore[arg-type]
            return value

        return keep

    def add(self, name: str, value: T) -> None:
        """Add one member; raises ValueError where the name is taken."""
        if name in self._members:
            raise ValueError(f"{self.what} {name!r} is registered already")
        self._members[name] = value

    def get(self, name: str) -> T:
        """The member of that name, of an installed plugin if need be; raises UltError with the nearest names."""
        if name not in self._members:
            load_installed()
        if name not in self._members:
            raise unknown(self.what, name, self._members)
        return self._members[name]

    def names(self) -> tuple[str, ...]:
        """All names, in the order of registration."""
        return tuple(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
