"""Tasks for a Lightning Trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule

from ult_lightning.data._augment import Range
from ult_lightning.data._errors import DataError, data_fault
from ult_lightning.data._load import load_task
from ult_lightning.data._spec import TaskSpec
from ult_lightning.data._stream import Mixing, TaskBatches, TaskStream
from ult_lightning.data._task import Task


class TaskDataModule(LightningDataModule):
    """One or several tasks: training batches as a `TaskStream`, validation and test as one loader per task.

    `tasks` are tasks or what `load_task` takes; `seed`, `data_dir`, `cache_dir` and `download` are for the
    latter, `seed` also shuffles. Data moves once to the device of the Trainer, so there are no workers. One process
    only: a Trainer with several devices is refused.

    A training batch is a list of `TaskBatch` (x, y, task), a validation or test batch a single one.
    """

    def __init__(
        self,
        tasks: Sequence[Task | TaskSpec | str | Mapping[str, Any]],
        *,
        batch_size: int = 128,
        mixing: Mixing = "alternate",
        seed: int,
        steps_per_epoch: int | None = None,
        augment: bool = False,
        range: Range = "standardized",
        eval_batch_size: int = 500,
        data_dir: str | Path = "data",
        cache_dir: str | Path | None = None,
        download: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(tasks, (str, Mapping)) or not tasks:
            raise data_fault("tasks", tasks, "a list of at least one task", "such as ['mnist5k']")
        self._wanted = tuple(tasks)
        self._reading: dict[str, Any] = {
            "seed": seed,
            "data_dir": data_dir,
            "cache_dir": cache_dir,
            "download": download,
        }
        self._training: dict[str, Any] = {
            "batch_size": batch_size,
            "mixing": mixing,
            "seed": seed,
            "steps_per_epoch": steps_per_epoch,
            "augment": augment,
        }
        self._range: Range = range
        self._eval_batch_size = eval_batch_size
        self.tasks: tuple[Task, ...] = ()

    def prepare_data(self) -> None:
        """Download and prepare what is not there yet, once per machine."""
        for task in self._wanted:
            if not isinstance(task, Task):
                load_task(task, **self._reading)

    def setup(self, stage: str | None = None) -> None:
        """Load the tasks (once) and move them to the device of the Trainer."""
        trainer = getattr(self, "trainer", None)
        if trainer is not None and trainer.world_size > 1:
            wanted = "one process, since each one would see the same batches"
            mend = "use Trainer(devices=1)"
            raise data_fault("devices", trainer.world_size, wanted, mend)
        loaded = self.tasks or tuple(
            task if isinstance(task, Task) else load_task(task, **self._reading) for task in self._wanted
        )
        device = "cpu" if trainer is None else trainer.strategy.root_device
        self.tasks = tuple(task.to(device) for task in loaded)

    def train_dataloader(self) -> TaskStream:
        """The training stream."""
        return TaskStream(self._loaded(), range=self._range, **self._training)

    def val_dataloader(self) -> list[TaskBatches]:
        """One loader per task over its validation part."""
        return self._loaders("valid")

    def test_dataloader(self) -> list[TaskBatches]:
        """One loader per task over its test part."""
        return self._loaders("test")

    def _loaders(self, split: Any) -> list[TaskBatches]:
        return [
            TaskBatches(task, split, position=place, batch_size=self._eval_batch_size, range=self._range)
            for place, task in enumerate(self._loaded())
        ]

    def _loaded(self) -> tuple[Task, ...]:
        if not self.tasks:
            raise DataError("The tasks are not loaded yet; call setup() first, as a Trainer does.")
        return self.tasks
