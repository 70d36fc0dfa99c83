"""Typed values out of a composed config, with one sentence for each that is of the wrong kind."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ult_lightning.base import UltError, fault, unknown
from ult_lightning.cli.config.folders import experiment_keys
from ult_lightning.cli.console.messages import missing_key, omegaconf_sentence


class Reader:
    """Reads keys by dotted name and remembers which, so that a key nobody reads can be refused.

    `typed`: the overrides of the command line. A key that a file of ours brings may stay unread, unless it was typed.
    """

    def __init__(self, cfg: DictConfig, typed: Collection[str] = ()) -> None:
        self._cfg = cfg
        self._read: set[str] = set()
        keys = {override.partition("=")[0].lstrip("+~") for override in typed}
        self._ours = experiment_keys(typed) - keys

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.optional_number(key)
        if value is None:
            raise fault(key, None, "a number")
        return value

    def optional_number(self, key: str) -> float | None:
        """A finite number, or null."""
        value = self._value(key)
        if value is None:
            return None
        return _number(key, value)

    def whole(self, key: str) -> int:
        """A whole number."""
        value = self.optional_whole(key)
        if value is None:
            raise fault(key, None, "a whole number")
        return value

    def optional_whole(self, key: str) -> int | None:
        """A whole number, or null."""
        value = self._value(key)
        if value is None:
            return None
        return _whole(key, value)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.optional_flag(key)
        if value is None:
            raise fault(key, None, "true or false")
        return value

    def optional_flag(self, key: str) -> bool | None:
        """true, false or null."""
        value = self._value(key)
        if value is not None and not isinstance(value, bool):
            raise fault(key, value, "true or false")
        return value

    def word(self, key: str) -> str:
        """A text that is not empty (a bare number counts as its text)."""
        value = self.optional_word(key)
        if value is None:
            raise fault(key, None, "a word")
        return value

    def optional_word(self, key: str) -> str | None:
        """A text that is not empty, or null."""
        value = self._value(key)
        if value is None:
            return None
        if isinstance(value, bool | list | dict) or not str(value).strip():
            raise fault(key, value, "a word")
        return str(value)

    def path(self, key: str) -> Path:
        """A path; `~` is the home folder."""
        return Path(self.word(key)).expanduser()

    def optional_path(self, key: str) -> Path | None:
        """A path or null."""
        word = self.optional_word(key)
        return None if word is None else Path(word).expanduser()

    def value(self, key: str) -> Any:
        """Whatever stands there, in plain containers."""
        return self._value(key)

    def items(self, key: str) -> tuple[Any, ...]:
        """A list, or one value that stands for a list of one; null is empty."""
        value = self._value(key)
        if value is None:
            return ()
        return tuple(value) if isinstance(value, list) else (value,)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        items = self.items(key)
        if any(isinstance(item, bool | list | dict) or item is None for item in items):
            raise fault(key, list(items), "a list of words")
        return tuple(str(item) for item in items)

    def wholes(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        return tuple(_whole(key, item) for item in self.items(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers."""
        return tuple(_number(key, item) for item in self.items(key))

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping with all that is in it; null is empty."""
        value = self._value(key)
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
                raise unknown("key", key, known) if len(known) < 2 else _unread(key, known, verb)

    def _value(self, key: str) -> Any:
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


def _unread(key: str, known: list[str], verb: str) -> UltError:
    from ult_lightning.base import nearest

    near = nearest(key, known)
    return fault("key", key, f"a key that `ult {verb}` has", f"the nearest are {', '.join(near)}" if near else "")


def _leaves(node: Any, prefix: str = "") -> Iterator[str]:
    for name in node:
        child = node._get_node(name)
        key = f"{prefix}{name}"
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing() and len(child):
            yield from _leaves(child, f"{key}.")
        elif not (isinstance(child, DictConfig) and not child._is_none() and not len(child)):
            yield key


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise fault(key, value, "a number")
    return float(value)


def _whole(key: str, value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise fault(key, value, "a whole number")
    return value
