"""What is a number? A row: one measured value with everything it depends on, how it is made, kept and summarised."""

from ult_lightning.base import environment
from ult_lightning.results._flat import (
    SETTING_NAMES,
    flat,
    head_settings,
    mother_settings,
    search_settings,
    shown_sources,
    source_settings,
    task_settings,
    without,
)
from ult_lightning.results._looks import ArmLook, StudyAxes, arm_looks
from ult_lightning.results._measure import Measurement, measure, row_id
from ult_lightning.results._row import Row, rows_as_json_lines
from ult_lightning.results._row_store import RowStore
from ult_lightning.results._statistics import Interval, interval, paired

__all__ = [
    "SETTING_NAMES",
    "ArmLook",
    "Interval",
    "Measurement",
    "Row",
    "RowStore",
    "StudyAxes",
    "arm_looks",
    "environment",
    "flat",
    "head_settings",
    "interval",
    "measure",
    "mother_settings",
    "paired",
    "row_id",
    "rows_as_json_lines",
    "search_settings",
    "shown_sources",
    "source_settings",
    "task_settings",
    "without",
]
