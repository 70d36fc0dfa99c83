"""Where images come from: installed packages, torchvision's files, a user's own folders and parquet files."""

from ult_lightning.data.sources import _named_sets  # noqa: F401 (it fills TASKS)
from ult_lightning.data.sources._find import find_source

__all__ = ["find_source"]
