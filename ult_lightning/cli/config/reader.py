"""Typed values out of a composed config, with one sentence for each that is of the wrong kind."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ult_lightning.base import UltError, check_value, fault, nearest
from ult_lightning.cli.config.folders import experiment_keys
from ult_lightning.cli.console.messages import missing_key, omegaconf_sentence

T = TypeVar("T")


class Reader:
    """Reads keys by dotted name and remembers which, so that a key nobody reads can be refused.

    `typed`: the overrides of the command line. A key that a file of ours brings may stay unread, unless it was typed.
    """

    def __init__(self, cfg: DictConfig, typed: Collection[str] = ()) -> None:
        self._cfg = cfg
        self._read: set[str] = set()
        keys = {override.partition("=")[0].lstrip("+~") for override in typed}
        self._ours = experiment_keys(typed) - keys

    def get(self, key: str, kind: type[T]) -> T:
        """The value as bool, int, float (finite), str (not empty; a bare number counts as its text) or Path (`~` is home)."""
        value = self.optional(key, kind)
        if value is None:
            raise fault(key, None, _WORDS[kind])
        return value

    def optional(self, key: str, kind: type[T]) -> T | None:
        """The same, or None where null stands there."""
        value = self.value(key)
        return None if value is None else _typed(kind, value, key)

    def listed(self, key: str, kind: type[T]) -> tuple[T, ...]:
        """A list, or one value that stands for a list of one; null is empty."""
        return tuple(_typed(kind, item, key) for item in self.items(key))

    def items(self, key: str) -> tuple[Any, ...]:
        """A list, or one value that stands for a list of one; null is empty."""
        value = self.value(key)
        if value is None:
            return ()
        return tuple(value) if isinstance(value, list) else (value,)

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping with all that is in it; null is empty."""
        value = self.value(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise fault(key, value, "keys with values", f"for example '{key}={{name:1}}'")
        return {str(name): item for name, item in value.items()}

    def has(self, key: str) -> bool:
        """Whether the config has that key at all."""
        *groups, last = key.split(".")
        node: Any = self._cfg
        for group in groups:
            node = node._get_node(group) if isinstance(node, DictConfig) and group in node else None
        return isinstance(node, DictConfig) and last in node

    def refuse_unread(self, verb: str) -> None:
        """Raise UltError for the first key that nobody read and no value refers to: it would change nothing."""
        known = list(self._read)
        text = OmegaConf.to_yaml(self._cfg, resolve=False)
        for key in _leaves(self._cfg):
            if f"${{{key}}}" in text or key in self._ours:
                continue
            if not any(key == read or key.startswith(f"{read}.") for read in self._read):
                near = nearest(key, known)
                mend = f"the nearest are {', '.join(near)}" if near else ""
                raise fault("key", key, f"a key that `ult {verb}` has", mend)

    def value(self, key: str) -> Any:
        """Whatever stands there, in plain containers."""
        self._read.add(key)
        if not self.has(key):
            raise self._absent(key)
        try:
            value = OmegaConf.select(self._cfg, key, throw_on_missing=True, throw_on_resolution_failure=True)
            plain = isinstance(value, DictConfig | ListConfig)
            return OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if plain else value
        except OmegaConfBaseException as error:
            raise UltError(omegaconf_sentence(error, key)) from error

    def _absent(self, key: str) -> UltError:
        """The error for a key that is not there: perhaps a group above it was given a value itself."""
        above = key
        while "." in above:
            above = above.rpartition(".")[0]
            value = OmegaConf.select(self._cfg, above) if self.has(above) else self._cfg
            if not isinstance(value, DictConfig):
                word = value if isinstance(value, str) and value.isidentifier() else "VALUE"
                return fault(above, value, "keys with values", f"say {key}={word}")
        return UltError(missing_key(key))


def _leaves(node: Any, prefix: str = "") -> Iterator[str]:
    for name in node:
        child = node._get_node(name)
        key = f"{prefix}{name}"
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing() and len(child):
            yield from _leaves(child, f"{key}.")
        elif not (isinstance(child, DictConfig) and not child._is_none() and not len(child)):
            yield key


_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    Path: "a word",
}


def _typed(kind: type[T], value: object, key: str) -> T:
    if kind in (str, Path):
        if isinstance(value, bool | list | dict) or value is None or not str(value).strip():
            raise fault(key, value, "a word")
        return cast("T", Path(str(value)).expanduser() if kind is Path else str(value))
    return cast("T", check_value(kind, value, key))
