"""What a user types to name a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ult_lightning.base import unknown
from ult_lightning.data._augment import checked_policy
from ult_lightning.data._errors import DataError, data_fault
from ult_lightning.data._labels import canonical_labels

PATH_KINDS = ("folder", "parquet")
_COLUMNS = ("image", "label")
_UNSAID = (*_COLUMNS, "augment")
"""Fields that leave no trace where they are at their default."""


@dataclass(frozen=True)
class TaskSpec:
    """A data set, a label map and limits; validated, hashable, and cheap to make (no data is touched).

    `name` is a registered task, the name of a folder in the data folder, or "folder" or "parquet" with a `path`.
    `labels` names a label map or lists classes ("0-4", "0+2+7"; sorted, and relabelled from 0). `train_limit`
    and `valid_limit` are numbers of images, stratified. `image` and `label` name the columns of parquet files (None: the
    usual names). `augment` is the policy of augmentation (None: that of the source; "shift" for images of your own).

    Raises:
        DataError: anything else.
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
        self._check_path()
        self._check_columns()
        if self.augment is not None:
            checked_policy(self.augment)
        for key in ("train_limit", "valid_limit"):
            value = getattr(self, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise data_fault(key, value, "a number of images, 1 or more", "leave it out for all")

    def _check_path(self) -> None:
        if self.name in PATH_KINDS and not (isinstance(self.path, str) and self.path):
            mend = f"write {self.name}:/path/to/folder"
            raise data_fault("task", self.name, "a path behind it", mend)
        if self.name not in PATH_KINDS and self.path is not None:
            wanted = "no path, since only folder and parquet take one"
            raise data_fault("path", self.path, wanted, f"write folder:{self.path}")

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

        Raises:
            DataError: as the class, and for unknown keys.
        """
        if isinstance(text, TaskSpec):
            return text
        if isinstance(text, Mapping):
            return cls._from_mapping(text)
        if not isinstance(text, str):
            mend = "such as mnist5k:0-4 or {name: mnist5k, labels: 0-4}"
            raise data_fault("task", text, "text or a mapping", mend)
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
        return {key: value for key, value in asdict(self).items() if value is not None or key not in _UNSAID}
