"""Imports that wait until they are needed: from a lower room to a higher one, and from a front door to what is behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

_PROVIDERS: dict[str, str] = {}


def provide(name: str, target: str) -> None:
    """Say that `name` is found at `target` ("package.module:attribute"); nothing is imported yet."""
    if target.count(":") != 1:
        raise ValueError(f"target: got {target!r}, wanted 'package.module:attribute'")
    _PROVIDERS[name] = target


def provided(name: str) -> Any:
    """Import and return what `provide` named; raises LookupError for a name that nobody provides."""
    if name not in _PROVIDERS:
        raise LookupError(f"nobody provides {name!r}; provided are {sorted(_PROVIDERS)}")
    module, attribute = _PROVIDERS[name].split(":")
    return getattr(import_module(module), attribute)


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose names are imported when they are asked for: `homes` has the module of each."""

    def found(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return found
