"""Parts and classes of a user's own data, by the names that people give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ult_lightning.data._data_error import data_fault

T = TypeVar("T")

_NAMES = {"train": ("train", "training"), "valid": ("val", "valid", "validation"), "test": ("test", "testing")}
_WORDS = {"train": "training", "valid": "validation", "test": "test"}
_LONGEST_LIST = 24


def part_of(name: str) -> str | None:
    """Which part ("train", "valid", "test") a folder or file of that name holds; None for another name.

    >>> part_of("Validation"), part_of("owl")
    ('valid', None)
    """
    return next((part for part, names in _NAMES.items() if name.casefold() in names), None)


def by_part(named: Mapping[str, tuple[str, T]], *, where: Path) -> dict[str, T]:
    """From what a user calls it -> (name, content) to part -> content; DataError where two hold the same part."""
    parts: dict[str, T] = {}
    for part, word in _WORDS.items():
        same = [shown for shown, (name, _) in named.items() if part_of(name) == part]
        if len(same) > 1:
            raise data_fault(str(where), " and ".join(same), f"one {word} part", "move the others elsewhere")
        if same:
            parts[part] = named[same[0]][1]
    return parts


def in_class_order(names: Collection[str]) -> list[str]:
    """Names of classes in the order in which they are numbered: by number where all are numbers, else by text.

    >>> in_class_order({"10", "9", "0"}), in_class_order({"owl", "cat"})
    (['0', '9', '10'], ['cat', 'owl'])
    """
    numbers = all(name.isascii() and name.isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if numbers else (0, name))


def numbered(parts: Mapping[str, Sequence[str]], *, where: Path) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The names of the classes, which are those of the part "train", and the labels (n,) int64 of every part.

    Raises DataError for a part that holds a class which training lacks.
    """
    names = in_class_order(set(parts["train"]))
    number = {name: place for place, name in enumerate(names)}
    for part, labels in parts.items():
        strange = in_class_order(set(labels) - set(names))
        if strange:
            listed = f": {', '.join(names)}" if len(names) <= _LONGEST_LIST else f", which has {len(names)}"
            wanted, mend = f"only classes of train{listed}", "rename it or add it to train"
            raise data_fault(f"{where} {part}", f"class {strange[0]}", wanted, mend)
    return tuple(names), {
        part: torch.tensor([number[label] for label in labels], dtype=torch.int64) for part, labels in parts.items()
    }
