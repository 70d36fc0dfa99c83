"""From a spec to the source behind it."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base import unknown
from ult_lightning.data._data_error import DataError, data_fault
from ult_lightning.data._source import TASKS, Source
from ult_lightning.data._task_spec import PATH_KINDS, TaskSpec
from ult_lightning.data.sources._folder import folder_source, is_folder
from ult_lightning.data.sources._parquet import is_parquet, parquet_source


def find_source(spec: TaskSpec, data_dir: Path) -> Source:
    """The source behind a spec: a path, a registered name, or the name of a folder in `data_dir`.

    Raises DataError: none of them, with the nearest names.
    """
    columns = {"image": spec.image, "label": spec.label}
    own = data_dir / spec.name
    if spec.name == "parquet" or (spec.name not in (*PATH_KINDS, *TASKS) and is_parquet(own)):
        path, origin = _place(spec, own)
        return parquet_source(path, name=spec.name, origin=origin, **columns)
    for key, value in columns.items():
        if value is not None:
            wanted = f"no column, since {spec.name} is not read from parquet files of yours"
            raise data_fault(key, value, wanted, "leave it out")
    if spec.name in TASKS:
        return TASKS.get(spec.name)
    if spec.name == "folder" or is_folder(own):
        path, origin = _place(spec, own)
        return folder_source(path, name=spec.name, origin=origin)
    raise unknown("task", spec.name, [*TASKS.names(), *_own_names(data_dir)], error=DataError)


def _place(spec: TaskSpec, own: Path) -> tuple[Path, str]:
    """Where the data of a spec lies, and the origin that it stands for."""
    if spec.path is None:
        return own, spec.name
    path = Path(spec.path).expanduser()
    return path, f"{spec.name}:{path.resolve()}"


def _own_names(data_dir: Path) -> list[str]:
    if not data_dir.is_dir():
        return []
    return [child.name for child in sorted(data_dir.iterdir()) if is_parquet(child) or is_folder(child)]
