"""What a user types to name a task: a data set, a label map (several tasks from one data set) and limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ult_lightning.base import Registry, nearest, unknown
from ult_lightning.data._augment import checked_policy
from ult_lightning.data._data_error import DataError, check_whole, data_fault

DROPPED = -1

LABEL_MAPS: Registry[Callable[[int], Sequence[int]]] = Registry("label map")
"""Name -> function from the number of classes to the new class of each (DROPPED: its images leave the task)."""

_CLASS_LIST = re.compile(r"\d{1,6}(-\d{1,6})?(\+\d{1,6}(-\d{1,6})?)*")

PATH_KINDS = ("folder", "parquet")
_COLUMNS = ("image", "label")
_OPTIONAL = (*_COLUMNS, "augment")
"""Fields that leave no trace where they are at their default."""


@dataclass(frozen=True)
class TaskSpec:
    """A data set, a label map and limits; validated, hashable, and cheap to make (no data is touched).

    `name` is a registered task, the name of a folder in the data folder, or "folder" or "parquet" with a `path`.
    `labels` names a label map or lists classes ("0-4", "0+2+7"; sorted, and relabelled from 0). `train_limit` and
    `valid_limit` are numbers of images, stratified. `image` and `label` name the columns of parquet files (None: the
    usual names). `augment` is the policy of augmentation (None: that of the source; "shift" for images of your own).

    Raises DataError: anything else.
    """

    name: str
    labels: str | None = None
    path: str | None = None
    train_limit: int | None = None
    valid_limit: int | None = None
    image: str | None = None
    label: str | None = None
    augment: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or set(self.name) & set(":/\\"):
            raise data_fault("task", self.name, "a task's name", "such as mnist5k or mnist5k:0-4")
        if self.labels is not None:
            object.__setattr__(self, "labels", canonical_labels(str(self.labels)))
        if self.name in PATH_KINDS and not (isinstance(self.path, str) and self.path):
            raise data_fault("task", self.name, "a path behind it", f"write {self.name}:/path/to/folder")
        if self.name not in PATH_KINDS and self.path is not None:
            wanted = "no path, since only folder and parquet take one"
            raise data_fault("path", self.path, wanted, f"write folder:{self.path}")
        self._check_columns()
        if self.augment is not None:
            checked_policy(self.augment)
        for key in ("train_limit", "valid_limit"):
            if getattr(self, key) is not None:
                check_whole(key, getattr(self, key), "a number of images, 1 or more", "leave it out for all")

    def _check_columns(self) -> None:
        for key in _COLUMNS:
            value = getattr(self, key)
            if value is not None and (not isinstance(value, str) or not value):
                raise data_fault(key, value, "the name of a column", "leave it out for the usual ones")
            if value is not None and self.name == "folder":
                raise data_fault(key, value, "no column, since only parquet files have some", "leave it out")

    @classmethod
    def parse(cls, text: object) -> TaskSpec:
        """From what a user types: `name`, `name:labels`, `folder:/path`, `parquet:/path:labels`, or a mapping
        with the fields as keys, whose name may be any of these texts.

        Raises DataError: as the class, and for unknown keys.
        """
        if isinstance(text, TaskSpec):
            return text
        if isinstance(text, Mapping):
            return cls._from_mapping(text)
        if not isinstance(text, str):
            raise data_fault("task", text, "text or a mapping", "such as mnist5k:0-4 or {name: mnist5k, labels: 0-4}")
        name, colon, rest = text.strip().partition(":")
        if name in PATH_KINDS:
            path, last_colon, tail = rest.rpartition(":")
            if last_colon and "/" not in tail and "\\" not in tail:
                return cls(name, labels=tail, path=path)
            return cls(name, path=rest)
        if colon and not rest:
            raise data_fault("task", text, "a label map behind the colon", f"write {name}:parity")
        return cls(name, labels=rest or None)

    @classmethod
    def _from_mapping(cls, mapping: Mapping[str, Any]) -> TaskSpec:
        known = [field.name for field in fields(cls)]
        for key in mapping:
            if key not in known:
                raise unknown("task key", str(key), known, error=DataError)
        if "name" not in mapping:
            raise data_fault("task", dict(mapping), "the key name", "such as name: mnist5k")
        name = mapping["name"]
        if not isinstance(name, str) or ":" not in name:
            return cls(**mapping)
        typed = cls.parse(name)
        own = {key: value for key, value in mapping.items() if key != "name" and value is not None}
        for key in ("path", "labels"):
            if key in own and getattr(typed, key) is not None:
                raise data_fault(key, own[key], f"it once, and {name} says it", "leave one of them out")
        return replace(typed, **own)

    @property
    def id(self) -> str:
        """What a user would type for it, with its columns in brackets; the limits are not part of it."""
        text = ":".join(part for part in (self.name, self.path, self.labels) if part is not None)
        columns = [f"{key}={getattr(self, key)}" for key in _COLUMNS if getattr(self, key) is not None]
        return f"{text}[{','.join(columns)}]" if columns else text

    def to_dict(self) -> dict[str, Any]:
        """Its fields as JSON values, columns and augment where they are named; `parse` takes it back."""
        return {key: value for key, value in asdict(self).items() if value is not None or key not in _OPTIONAL}


@LABEL_MAPS.register("parity")
def _parity(classes: int) -> list[int]:
    return [label % 2 for label in range(classes)]


@LABEL_MAPS.register("five_or_more")
def _five_or_more(classes: int) -> list[int]:
    return [int(label >= 5) for label in range(classes)]


def canonical_labels(text: str) -> str:
    """The one spelling of a label map: a registered name, or classes sorted and joined as in "0-4+7".

    >>> canonical_labels("7+0+1+2")
    '0-2+7'

    Raises DataError: neither.
    """
    if text in LABEL_MAPS:
        return text
    if not _CLASS_LIST.fullmatch(text):
        near = nearest(text, LABEL_MAPS)
        mend = f"did you mean {' or '.join(near)}" if near else "join single classes with +"
        wanted = f"one of {', '.join(sorted(LABEL_MAPS))}, or classes such as 0-4 or 0+2+7"
        raise data_fault("labels", text, wanted, mend)
    runs: list[list[int]] = []
    for label in _classes_of(text):
        if runs and label == runs[-1][1] + 1:
            runs[-1][1] = label
        else:
            runs.append([label, label])
    return "+".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def label_table(labels: str | None, classes: int, *, task: str) -> tuple[int, ...]:
    """The new class of each of the `classes` original ones, DROPPED where its images leave the task.

    `task` is the id that messages use.

    Raises DataError: a listed class that the data set lacks, or fewer than two classes left.
    """
    if labels is None:
        table = tuple(range(classes))
    elif labels in LABEL_MAPS:
        table = tuple(LABEL_MAPS.get(labels)(classes))
    else:
        kept = _classes_of(labels)
        if kept[-1] >= classes:
            mend = f"{task.partition(':')[0]} has no others"
            raise data_fault("labels", labels, f"classes from 0 to {classes - 1}", mend)
        table = tuple(kept.index(label) if label in kept else DROPPED for label in range(classes))
    if len(set(table) - {DROPPED}) < 2:
        raise data_fault("task", task, "a task with at least two classes", "keep more classes")
    return table


def _classes_of(text: str) -> list[int]:
    labels: set[int] = set()
    for part in text.split("+"):
        low, _, high = part.partition("-")
        first, last = int(low), int(high or low)
        if last < first:
            raise data_fault("labels", text, "ranges from low to high", f"write {last}-{first}")
        labels.update(range(first, last + 1))
    return sorted(labels)
