"""Training batches of several tasks: pure functions of seed, task and step, so that resuming needs no state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ult_lightning.base import unknown
from ult_lightning.data._data_error import DataError, check_whole, data_fault
from ult_lightning.data._splits import random_order, random_words

if TYPE_CHECKING:
    from ult_lightning.data._augment import Range
    from ult_lightning.data._task import Part, Task

Mixing = Literal["alternate", "joint"]


class TaskBatch(NamedTuple):
    """x (b, 3, 32, 32) float32, y (b,) int64, and the position of the task they belong to."""

    x: Tensor
    y: Tensor
    task: int


class TaskStream:
    """Endless shuffled training batches of several tasks, cut into epochs.

    Each item is a list of `TaskBatch`: one batch of the next task in turn (`mixing="alternate"`), or one batch of each
    task (`"joint"`). The s-th batch of task t depends on (seed, t, s) alone: task t runs through one permutation of its
    training images after another and drops the incomplete last batch of each (fewer images than `batch_size` make one
    batch). Epoch e starts at global step e * len(self), so that a run which resumes at an epoch, with `set_epoch`, sees
    the batches that an uninterrupted one sees.

    `augment` is as in `Task.policy`, for each task. Of `world_size` processes that train together, the one of number
    `rank` gets its own equal part of each batch; together they see what one alone would see, augmentation included.

    The default length is about one pass over all images: sum of the sizes / batch_size for alternate, mean of the sizes
    / batch_size for joint. Iterating does not advance the epoch; `set_epoch` does (Lightning calls it).

    Raises DataError: no tasks, another mixing or policy, a size that is not a positive whole number, or batches that
    `world_size` processes cannot share.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        batch_size: int,
        mixing: Mixing = "alternate",
        seed: int,
        steps_per_epoch: int | None = None,
        augment: bool | str = False,
        range: Range = "standardized",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not tasks:
            raise data_fault("tasks", [], "at least one task", "name one, such as mnist5k")
        if mixing not in get_args(Mixing):
            raise unknown("mixing", str(mixing), get_args(Mixing), error=DataError)
        check_whole("batch_size", batch_size)
        self.tasks = tuple(tasks)
        self.batch_size = batch_size
        self.mixing = mixing
        self.seed = seed
        self.policies = tuple(task.policy(augment) for task in self.tasks)
        self.range: Range = range
        self.rank = rank
        self.world_size = world_size
        for task in self.tasks:
            size = min(batch_size, len(task.train))
            if size % world_size:
                got = f"batches of {size} images of {task.id}"
                wanted = f"a multiple of {world_size}, the number of devices"
                raise data_fault("batch_size", got, wanted, "change batch_size or devices")
        self.epoch = 0
        self.sampler = self  # Lightning looks for `dataloader.sampler.set_epoch`
        images = sum(len(task.train) for task in self.tasks) / (len(self.tasks) if mixing == "joint" else 1)
        self._steps = max(1, round(images / batch_size)) if steps_per_epoch is None else steps_per_epoch
        check_whole("steps_per_epoch", self._steps)
        self._permutations: dict[int, tuple[int, Tensor]] = {}

    def __len__(self) -> int:
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        """The next iteration yields the batches of this epoch (from 0)."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[TaskBatch]]:
        first = self.epoch * self._steps
        for step in range(first, first + self._steps):
            yield self.step(step)

    def step(self, step: int) -> list[TaskBatch]:
        """What the global step yields."""
        if self.mixing == "joint":
            return [self.task_batch(task, step) for task in range(len(self.tasks))]
        turn, task = divmod(step, len(self.tasks))
        return [self.task_batch(task, turn)]

    def task_batch(self, task: int, step: int) -> TaskBatch:
        """Batch number `step` of one task, of several ranks this one's part of it."""
        generator, policy = None, self.policies[task]
        if policy != "none":
            word = int(random_words(1, "augment", self.seed, task, step)[0])
            generator = torch.Generator().manual_seed(word >> 1)
        index = self.index(task, step)
        share = len(index) // self.world_size
        rows = slice(self.rank * share, (self.rank + 1) * share)
        options: dict[str, Any] = {"augment": policy, "generator": generator, "range": self.range, "rows": rows}
        x, y = self.tasks[task].batch("train", index, **options)
        return TaskBatch(x, y, task)

    def index(self, task: int, step: int) -> Tensor:
        """The training images (b,) in batch number `step` of one task, those of all ranks."""
        n = len(self.tasks[task].train)
        size = min(self.batch_size, n)
        number, place = divmod(step, n // size)
        held = self._permutations.get(task)
        if held is None or held[0] != number:
            order = torch.from_numpy(random_order(n, "stream", self.seed, task, number))
            held = self._permutations[task] = (number, order.to(self.tasks[task].device))
        return held[1][place * size : (place + 1) * size]


class TaskBatches:
    """One split of one task in order, each image once, as `TaskBatch`; for validation and test loops."""

    def __init__(
        self,
        task: Task,
        split: Part,
        *,
        position: int = 0,
        batch_size: int = 500,
        range: Range = "standardized",
    ) -> None:
        check_whole("batch_size", batch_size)
        self.task = task
        self.split: Part = split
        self.position = position
        self.batch_size = batch_size
        self.range: Range = range

    def __len__(self) -> int:
        return -(-len(self.task.part(self.split)) // self.batch_size)

    def __iter__(self) -> Iterator[TaskBatch]:
        for x, y in self.task.batches(self.split, self.batch_size, range=self.range):
            yield TaskBatch(x, y, self.position)
