"""What is a task? Data sets by name or path, label maps, honest splits, batches that live on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.base import lazily
from ult_lightning.data._augment import POLICIES, augment, crop_and_flip, standardize, unit
from ult_lightning.data._cache import default_cache_dir
from ult_lightning.data._data_error import DataError
from ult_lightning.data._load import load_task, seen_by
from ult_lightning.data._source import TASKS, Raw, Source, Split
from ult_lightning.data._stream import TaskBatch, TaskBatches, TaskStream
from ult_lightning.data._task import Task
from ult_lightning.data._task_spec import DROPPED, LABEL_MAPS, TaskSpec
from ult_lightning.data.functions import (
    FUNCTIONS,
    FunctionSpec,
    FunctionTask,
    Polynomial,
    Trigonometric,
    exponents_up_to,
    frequencies_up_to,
    load_functions,
)

if TYPE_CHECKING:
    from ult_lightning.data._data_module import TaskDataModule

__all__ = [
    "DROPPED",
    "FUNCTIONS",
    "LABEL_MAPS",
    "POLICIES",
    "TASKS",
    "DataError",
    "FunctionSpec",
    "FunctionTask",
    "Polynomial",
    "Raw",
    "Source",
    "Split",
    "Task",
    "TaskBatch",
    "TaskBatches",
    "TaskDataModule",
    "TaskSpec",
    "TaskStream",
    "Trigonometric",
    "augment",
    "crop_and_flip",
    "default_cache_dir",
    "exponents_up_to",
    "frequencies_up_to",
    "load_functions",
    "load_task",
    "seen_by",
    "standardize",
    "unit",
]

__getattr__ = lazily(__name__, {"TaskDataModule": "_data_module"})  # Lightning is imported only by those who want it
