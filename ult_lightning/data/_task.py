"""A task: images that live on one device, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ult_lightning.base import unknown
from ult_lightning.data._augment import Range, Triple, checked_policy, standardize, statistics, unit
from ult_lightning.data._augment import augment as augmented
from ult_lightning.data._data_error import DataError, check_whole, data_fault
from ult_lightning.data._source import Split
from ult_lightning.data._splits import stratified
from ult_lightning.data._task_spec import TaskSpec

if TYPE_CHECKING:
    from ult_lightning.data._data_module import TaskDataModule
    from ult_lightning.data._stream import TaskBatches, TaskStream

Part = Literal["train", "valid", "test"]


@dataclass(frozen=True, eq=False)
class Task:
    """A data set under a label map, split, with the statistics of its training part.

    `class_ids` are the original classes in use, `origin_classes` the same in the numbering of the origin. `mean` and
    `std` (three channels; std at least 1/255) are those of the canonical training images on the scale [0, 1], black
    borders included. `digest` is that of the whole data set. `shots` and `draw` are set by `few_shot` only.
    `class_names` has the name of each class (its original number where the data has no names), None where a class
    stands for several original ones, as in parity. `test_from` is "val" where the data has no test part and its
    validation part is the test split. `augmentation` is the policy that training under `augment=True` takes.
    """

    spec: TaskSpec
    classes: int
    class_ids: tuple[int, ...]
    origin: str
    train: Split
    valid: Split
    test: Split
    mean: Triple
    std: Triple
    seed: int
    digest: str
    origin_classes: tuple[int, ...]
    shots: int | None = None
    draw: int | None = None
    class_names: tuple[str, ...] | None = None
    test_from: str | None = None
    augmentation: str = "shift"

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers of images: train, valid, test."""
        return {"train": len(self.train), "valid": len(self.valid), "test": len(self.test)}

    @property
    def device(self) -> torch.device:
        return self.train.images.device

    def part(self, split: Part) -> Split:
        """The split of that name; raises DataError for another name."""
        if split not in get_args(Part):
            raise unknown("split", str(split), get_args(Part), error=DataError)
        part: Split = getattr(self, split)
        return part

    def to(self, device: torch.device | str) -> Task:
        """The same task with all images on `device`; itself where they are there already."""
        if self.device == torch.device(device):
            return self
        train, valid, test = (part.to(device) for part in (self.train, self.valid, self.test))
        return replace(self, train=train, valid=valid, test=test)

    def policy(self, augment: bool | str) -> str:
        """What `augment` stands for: True is the task's own policy, False is "none", a name is that policy.

        Raises DataError: another name, with the nearest ones.
        """
        if isinstance(augment, bool):
            return self.augmentation if augment else "none"
        return checked_policy(augment)

    def batch(
        self,
        split: Part,
        index: Tensor,
        *,
        augment: bool | str = False,
        generator: torch.Generator | None = None,
        range: Range = "standardized",
        rows: slice = slice(None),
    ) -> tuple[Tensor, Tensor]:
        """The images at `index` (b,) int64 as x (b, 3, 32, 32) float32 and y (b,) int64.

        `range`: mean 0 and std 1 over the training part ("standardized"), or [0, 1] ("unit"). `augment` is as in `policy`;
        shifts (in 4 black pixels of padding, before normalisation) and mirror images are drawn by the CPU `generator`,
        which is then required. `rows` are the rows of that batch that are returned, as they are in the whole.

        Raises DataError: another split, range or policy, or a policy other than "none" without a generator.
        """
        part, policy = self.part(split), self.policy(augment)
        index = index.to(part.images.device)
        if policy == "none":
            images = part.images.index_select(0, index[rows])
        elif generator is not None:
            images = augmented(part.images.index_select(0, index), policy, generator=generator, rows=rows)
        else:
            wanted = "a generator where augment is true"
            raise data_fault("generator", None, wanted, "pass torch.Generator().manual_seed(0)")
        return self._floats(images, range), part.labels.index_select(0, index[rows])

    def batches(
        self,
        split: Part,
        batch_size: int = 500,
        *,
        range: Range = "standardized",
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All images of a split in order, each once, as (x, y) like `batch`; the last batch may be smaller."""
        part = self.part(split)
        if batch_size < 1:
            raise data_fault("batch_size", batch_size, "1 or more", "500 is usual")
        for images, labels in zip(*(torch.split(both, batch_size) for both in (part.images, part.labels)), strict=True):
            yield self._floats(images, range), labels

    @staticmethod
    def stream(tasks: Sequence[Task], **options: Any) -> TaskStream:
        """Training batches of several tasks: a `TaskStream` with these options."""
        from ult_lightning.data._stream import TaskStream

        return TaskStream(tasks, **options)

    @staticmethod
    def module(tasks: Sequence[Task], **options: Any) -> TaskDataModule:
        """All loaders of several tasks, for a Trainer: a `TaskDataModule` with these options."""
        from ult_lightning.data._data_module import TaskDataModule

        return TaskDataModule(tasks, **options)

    def ordered(self, split: Part, *, position: int = 0, **options: Any) -> TaskBatches:
        """One split in order, each image once, as `TaskBatch`: a `TaskBatches` with these options."""
        from ult_lightning.data._stream import TaskBatches

        return TaskBatches(self, split, position=position, **options)

    def few_shot(self, shots: int, *, draw: int) -> Task:
        """The task with `shots` training images per class, drawn by (seed, draw) from its training part.

        Validation is cut to as many images as training has, stratified, at least one per class; mean and std are those
        of the drawn images; test is untouched.

        Raises DataError: a class has fewer training images than shots.
        """
        check_whole("shots", shots, "a number of images per class, 1 or more")
        counts = np.bincount(_numpy(self.train.labels), minlength=self.classes)
        poorest = int(counts.argmin())
        if counts[poorest] < shots:
            wanted = f"at most {counts[poorest]}, the training images of class {poorest} of {self.id}"
            raise data_fault("shots", shots, wanted, "ask for fewer shots or raise train_limit")
        train = self.train.take(self._shots(shots, draw))
        valid = self.valid
        if len(valid) > len(train):
            chosen = stratified(_numpy(valid.labels), len(train), "few-shot valid", self.seed, draw)
            valid = valid.take(torch.from_numpy(chosen).to(self.device))
        mean, std = statistics(train.images)
        return replace(self, train=train, valid=valid, mean=mean, std=std, shots=shots, draw=draw)

    def _shots(self, shots: int, draw: int) -> Tensor:
        labels = _numpy(self.train.labels)
        drawn = []
        for label in range(self.classes):
            members = np.flatnonzero(labels == label)
            chosen = stratified(labels[members], shots, "few-shot", self.seed, draw, label)
            drawn.append(members[chosen])
        return torch.from_numpy(np.sort(np.concatenate(drawn))).to(self.device)

    def describe(self) -> dict[str, Any]:
        """What rows and tickets say about it, as JSON values."""
        own = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name not in ("spec", *get_args(Part))
        }
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
        return {"id": self.id, "labels": self.spec.labels, "sizes": self.sizes, **plain}

    def science(self) -> dict[str, Any]:
        """The part of `describe` that decides numbers: neither names, which may hold a path, nor what follows, nor the
        policy of augmentation, which decides some only where it is used.
        """
        left_out = {"id", "origin", "mean", "std", "class_names", "augmentation"}
        if self.test_from is None:
            left_out.add("test_from")
        return {key: value for key, value in self.describe().items() if key not in left_out}

    def _floats(self, images: Tensor, range: Range) -> Tensor:
        if range == "standardized":
            return standardize(images, self.mean, self.std)
        if range == "unit":
            return unit(images)
        raise unknown("range", str(range), get_args(Range), error=DataError)


def _numpy(labels: Tensor) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(labels.cpu().numpy(), dtype=np.int64)
