"""Calls from a lower room to a higher one, without an import: the package's front door names the provider."""

from __future__ import annotations

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
