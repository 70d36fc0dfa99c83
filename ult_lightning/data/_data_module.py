"""Tasks for a Lightning Trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule

from ult_lightning.base import without_repeats
from ult_lightning.data._augment import Range
from ult_lightning.data._data_error import DataError, data_fault
from ult_lightning.data._load import load_task
from ult_lightning.data._stream import Mixing, TaskBatches, TaskStream
from ult_lightning.data._task import Part, Task
from ult_lightning.data._task_spec import TaskSpec


class TaskDataModule(LightningDataModule):
    """One or several tasks: training batches as a `TaskStream`, and one loader per task for all else.

    `tasks` are tasks or what `load_task` takes; `seed`, `data_dir`, `cache_dir`, `download` and `notice` are for the
    latter, `seed` also shuffles. Data moves once to the device of the Trainer, so there are no workers, and nothing is
    kept in a checkpoint, since the batches of an epoch depend on its number alone.

    A training batch is a list of `TaskBatch` (x, y, task), any other batch a single one. Of several devices, each
    trains on its own equal part of each batch (`batch_size` is that of all together) and evaluates on all images, so
    that what each of them measures is the measure. A policy or mixing that is none, and batches that the devices cannot
    share, raise DataError when training starts. `validation`: whether training is interrupted to validate. `range` is
    that of all images.
    """

    def __init__(
        self,
        tasks: Sequence[Task | TaskSpec | str | Mapping[str, Any]],
        *,
        batch_size: int = 128,
        mixing: Mixing = "alternate",
        seed: int,
        steps_per_epoch: int | None = None,
        augment: bool | str = False,
        range: Range = "standardized",
        eval_batch_size: int = 500,
        validation: bool = True,
        data_dir: str | Path = "data",
        cache_dir: str | Path | None = None,
        download: bool = False,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(tasks, (str, Mapping)) or not tasks:
            raise data_fault("tasks", tasks, "a list of at least one task", "such as ['mnist5k']")
        self._given = tuple(tasks)
        self._load = partial(load_task, seed=seed, data_dir=data_dir, cache_dir=cache_dir, download=download)
        self._notice = None if notice is None else without_repeats(notice)
        self._stream = partial(
            TaskStream,
            batch_size=batch_size,
            mixing=mixing,
            seed=seed,
            steps_per_epoch=steps_per_epoch,
            augment=augment,
            range=range,
        )
        self.range: Range = range
        self._eval_batch_size, self._validation = eval_batch_size, validation
        loaded = tuple(task for task in self._given if isinstance(task, Task))
        self.tasks: tuple[Task, ...] = loaded if len(loaded) == len(self._given) else ()

    @property
    def steps_per_epoch(self) -> int:
        """The length of the training stream; raises DataError while the tasks are not loaded."""
        return len(self._stream(self._loaded()))

    def prepare_data(self) -> None:
        """Download and prepare what is not there yet, once per machine."""
        for task in self._given:
            if not isinstance(task, Task):
                self._load(task, notice=self._notice)

    def setup(self, stage: str | None = None) -> None:
        """Load the tasks (once) and move them to the device of the Trainer."""
        rank, _ = self._place()
        notice = self._notice if rank == 0 else None
        loaded = self.tasks or tuple(
            task if isinstance(task, Task) else self._load(task, notice=notice) for task in self._given
        )
        device = "cpu" if self.trainer is None else self.trainer.strategy.root_device
        self.tasks = tuple(task.to(device) for task in loaded)

    def train_dataloader(self) -> TaskStream:
        """The training stream, of several devices this one's part of it."""
        rank, world_size = self._place()
        return self._stream(self._loaded(), rank=rank, world_size=world_size)

    def val_dataloader(self) -> list[TaskBatches]:
        """One loader per task over its validation part; none without `validation`."""
        return self._loaders("valid") if self._validation else []

    def test_dataloader(self) -> list[TaskBatches]:
        """One loader per task over its test part."""
        return self._loaders("test")

    def predict_dataloader(self) -> list[TaskBatches]:
        """One loader per task over its test part."""
        return self._loaders("test")

    def _place(self) -> tuple[int, int]:
        """The number of this process, and how many train together."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _loaders(self, split: Part) -> list[TaskBatches]:
        return [
            TaskBatches(task, split, position=place, batch_size=self._eval_batch_size, range=self.range)
            for place, task in enumerate(self._loaded())
        ]

    def _loaded(self) -> tuple[Task, ...]:
        if not self.tasks:
            raise DataError("The tasks are not loaded yet; call setup() first, as a Trainer does.")
        return self.tasks
