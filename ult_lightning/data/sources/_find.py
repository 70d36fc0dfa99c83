"""From a spec to the source behind it."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base import unknown
from ult_lightning.data._errors import DataError
from ult_lightning.data._source import TASKS, Source
from ult_lightning.data._spec import TaskSpec
from ult_lightning.data.sources._folder import folder_source, is_folder
from ult_lightning.data.sources._parquet import is_parquet, parquet_source


def find_source(spec: TaskSpec, data_dir: Path) -> Source:
    """The source behind a spec: a path, a registered name, or the name of a folder in `data_dir`.

    Raises:
        DataError: none of them, with the nearest names.
    """
    if spec.path is not None:
        path = Path(spec.path).expanduser()
        maker = folder_source if spec.name == "folder" else parquet_source
        return maker(path, name=spec.name, origin=f"{spec.name}:{path.resolve()}")
    if spec.name in TASKS:
        return TASKS.get(spec.name)
    own = data_dir / spec.name
    if is_parquet(own):
        return parquet_source(own, name=spec.name, origin=spec.name)
    if is_folder(own):
        return folder_source(own, name=spec.name, origin=spec.name)
    raise unknown("task", spec.name, [*TASKS.names(), *_own_names(data_dir)], error=DataError)


def _own_names(data_dir: Path) -> list[str]:
    if not data_dir.is_dir():
        return []
    return [child.name for child in sorted(data_dir.iterdir()) if is_parquet(child) or is_folder(child)]
