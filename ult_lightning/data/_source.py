"""What a data set must bring to become a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ult_lightning.base import Registry, canonical
from ult_lightning.data._data_error import data_fault
from ult_lightning.data._splits import train_test


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a task: images (n, c, 32, 32) uint8 with c 1 (grey) or 3, labels (n,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def take(self, index: Tensor) -> Split:
        """The images at `index` (m,), copied."""
        return Split(self.images.index_select(0, index), self.labels.index_select(0, index))

    def to(self, device: torch.device | str) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class DataSet:
    """A whole data set in canonical form, before label maps and limits.

    `parts` has "train", in which every class has an image, "test", and "valid" where the source brings a validation
    part beside a test part. `digest` is a SHA-256 over images, labels and `classes`. `names` of the classes, None where
    the source gives none. `test_from` is "val" where the test part is what the source calls validation, else None.
    """

    parts: Mapping[str, Split]
    classes: int
    digest: str
    names: tuple[str, ...] | None = None
    test_from: str | None = None


@dataclass(frozen=True, eq=False)
class Raw:
    """What a source reads: images (n, c, h, w) uint8 of one size, labels (n,) of any integer type.

    Without `test`, `valid` becomes the test part; without both, a fixed stratified fifth of `train` does. Without a
    `valid` that is left, each seed holds out a part of `train`. `classes` is None where the source does not know it:
    then it is the largest training label plus 1. `names` of the classes, if it has any.
    """

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor] | None = None
    valid: tuple[Tensor, Tensor] | None = None
    classes: int | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Source:
    """One data set: the files it is read from, how to read them, and how to get them.

    `origin` is shared by sets with the same images (mnist5k is a part of mnist). `files(data_dir)` lists the files it
    needs, there or not; a change of one makes a prepared copy stale. `read(data_dir)` may count on them.
    `fetch(data_dir)` downloads them; None where that is not possible. `origin_classes` gives, where sets of one origin
    number their classes differently, the class numbers of the origin that each class stands for. `kept` says whether a
    prepared copy is worth a file; `variant` tells apart what is read from the same files in several ways.
    `augmentation` is the policy of its tasks: "crop_flip" only where a mirror image is of the same class.
    """

    name: str
    origin: str
    read: Callable[[Path], Raw]
    files: Callable[[Path], list[Path]]
    fetch: Callable[[Path], None] | None = None
    origin_classes: tuple[tuple[int, ...], ...] | None = None
    kept: bool = True
    variant: str = ""
    augmentation: str = "shift"


TASKS: Registry[Source] = Registry("task")


def canonical_split(images: Tensor, labels: Tensor, *, what: str) -> Split:
    """Images and labels of one split in canonical form; raises DataError where they do not fit each other."""
    if len(images) != len(labels):
        mend = "each image needs one label: fetch the files again"
        raise data_fault(what, f"{len(images)} images and {len(labels)} labels", "as many", mend)
    if len(images) == 0:
        raise data_fault(what, "no images", "at least one image", "look into its files")
    if images.dtype != torch.uint8:
        raise data_fault(what, f"images of type {images.dtype}", "uint8", "scale them to 0 to 255 and round them")
    if labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise data_fault(what, f"labels of type {labels.dtype}", "integers", "number the classes from 0")
    if int(labels.min()) < 0:
        raise data_fault(what, _label_at(labels, labels.argmin()), "labels of 0 or more", "drop the unlabelled images")
    return Split(canonical(images).contiguous(), labels.long())


def assemble(raw: Raw, *, name: str) -> tuple[dict[str, Split], int]:
    """The parts of a `DataSet` and the number of classes, from what a source has read.

    Raises DataError: labels out of range, a class without a training image, fewer than two classes.
    """
    given = {"train": raw.train, "valid": raw.valid, "test": raw.test}
    parts = {part: canonical_split(*pair, what=f"{name} {part}") for part, pair in given.items() if pair is not None}
    train = parts["train"]
    classes = int(train.labels.max()) + 1 if raw.classes is None else raw.classes
    _check_classes(parts, classes, name=name, stated=raw.classes is not None)
    if "test" not in parts and "valid" in parts:
        parts["test"] = parts.pop("valid")
    elif "test" not in parts:
        first, second = train_test(np.asarray(train.labels))
        parts |= {"train": train.take(torch.from_numpy(first)), "test": train.take(torch.from_numpy(second))}
    if len({part.images.shape[1] for part in parts.values()}) > 1:  # grey in one part, colour in another
        colours = {part: split.images.expand(-1, 3, -1, -1).contiguous() for part, split in parts.items()}
        parts = {part: Split(colours[part], split.labels) for part, split in parts.items()}
    return parts, classes


def _label_at(labels: Tensor, position: Tensor) -> str:
    return f"label {int(labels[position])} at image {int(position)}"


def _check_classes(parts: Mapping[str, Split], classes: int, *, name: str, stated: bool) -> None:
    train = parts["train"]
    if classes > len(train):
        got = f"{len(train)} training images and the label {int(train.labels.max())}"
        raise data_fault(name, got, "at least one image per class", "number the classes from 0 without gaps")
    for part, split in parts.items():
        if int(split.labels.max()) >= classes:
            got = _label_at(split.labels, split.labels.argmax())
            mend = "number classes from 0" if stated else "the training split must hold every class"
            raise data_fault(f"{name} {part}", got, f"labels from 0 to {classes - 1}", mend)
    empty = torch.bincount(train.labels, minlength=classes).eq(0).nonzero().flatten().tolist()
    if empty:
        got, mend = f"no training image of class {empty[0]}", "number the classes from 0 without gaps"
        raise data_fault(name, got, f"images of all classes from 0 to {classes - 1}", mend)
    if classes < 2:
        raise data_fault("task", name, "a task with at least two classes", "one class has nothing to be told from")
