"""Prepared data sets: one file each, made once, checked whenever it is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from ult_lightning.base import canonical_json, digest, file_lock, once, write_bytes
from ult_lightning.data._data_error import data_fault
from ult_lightning.data._source import DataSet, Source, Split, assemble

FORMAT = 3
_KEY = "ult_data"


def default_cache_dir(data_dir: Path) -> Path:
    """`data_dir`/prepared where that can be written, else ~/.cache/ult_lightning."""
    there = data_dir / "prepared"
    return there if _can_be_written(there) else Path.home() / ".cache" / "ult_lightning"


def _can_be_written(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that is there, takes new files."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _check_writable(argument: str, folder: Path) -> None:
    if not _can_be_written(folder):
        raise data_fault(argument, str(folder), "a folder that can be written", f"name one with {argument}=FOLDER")


def data_set(
    source: Source,
    data_dir: Path,
    *,
    cache_dir: Path | None = None,
    download: bool = False,
    notice: Callable[[str], None] | None = None,
) -> DataSet:
    """The canonical form of a source: its prepared copy where it has one, else read now and kept.

    The copy lies in `cache_dir` (`default_cache_dir` where None). It is made under a lock and made again where it is
    damaged, was written by another version, or a source file has another size or time since.

    Raises DataError: missing files, a failed download, or data that makes no task; UltError: a cache folder that cannot
    be written.
    """
    files = _present(source, data_dir, download=download, notice=notice)
    if not source.kept:
        return _made(source, data_dir)
    key = _key(source, files)
    folder, variant = str(data_dir.resolve()) if files else "", [source.variant] if source.variant else []
    place = digest([source.name, source.origin, folder, *variant])[:8]
    path = (cache_dir or default_cache_dir(data_dir)) / f"{source.name}-{place}.safetensors"

    if not path.exists():
        _check_writable("cache_dir", path.parent)

    def make() -> DataSet:
        made = _made(source, data_dir)
        _save(made, path, key)
        return made

    return once(path, make, lambda file: _load(file, key), notice=notice)


def content_digest(parts: Mapping[str, Split], classes: int) -> str:
    """SHA-256 over shapes, images, labels and the number of classes."""
    arrays = _arrays(parts)
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    state = hashlib.sha256(canonical_json({"classes": classes, "shapes": shapes}).encode())
    for name in sorted(arrays):
        state.update(np.ascontiguousarray(arrays[name].numpy()).data)
    return state.hexdigest()


def _present(source: Source, data_dir: Path, *, download: bool, notice: Callable[[str], None] | None) -> list[Path]:
    """The source's files, downloaded where they are missing and that is wanted."""
    files = source.files(data_dir)
    if all(file.is_file() for file in files):
        return files
    if source.fetch is not None and download:
        _check_writable("data_dir", data_dir)
        with file_lock(data_dir / f".{source.name}.lock", waiting=notice):
            if not all(file.is_file() for file in files):
                source.fetch(data_dir)
    missing = [file for file in files if not file.is_file()]
    if missing:
        mend = "put them there, or name the folder that holds them with data_dir=FOLDER"
        if source.fetch is not None:
            mend = f"type download=true, {mend}"
        raise data_fault(f"data_dir for {source.name}", f"no {missing[0]}", f"its {len(files)} files", mend)
    return files


def _key(source: Source, files: list[Path]) -> str:
    stats = [(os.path.realpath(file), file.stat()) for file in files]
    return digest([FORMAT, source.name, [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]])


def _made(source: Source, data_dir: Path) -> DataSet:
    by_path = source.origin.startswith(f"{source.name}:")  # folder:/my/images, which says more than folder
    raw = source.read(data_dir)
    parts, classes = assemble(raw, name=source.origin if by_path else source.name)
    names = raw.names if raw.names is not None and len(raw.names) == classes else None
    test_from = "val" if raw.test is None and raw.valid is not None else None
    return DataSet(parts, classes, content_digest(parts, classes), names, test_from)


def _arrays(parts: Mapping[str, Split]) -> dict[str, Tensor]:
    return {f"{part}_{kind}": getattr(split, kind) for part, split in parts.items() for kind in ("images", "labels")}


def _save(made: DataSet, path: Path, key: str) -> None:
    from safetensors.torch import save

    about = {
        "format": FORMAT,
        "key": key,
        "parts": list(made.parts),
        "classes": made.classes,
        "digest": made.digest,
        "names": made.names,
        "test_from": made.test_from,
    }
    content = save(_arrays(made.parts), metadata={_KEY: canonical_json(about)})
    write_bytes(path, content)  # not save_file: its files are readable by their owner alone


def _load(path: Path, key: str) -> DataSet:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            if about["format"] != FORMAT or about["key"] != key:
                raise data_fault("prepared copy", str(path), "one of the files as they are now")
            parts = {
                part: Split(file.get_tensor(f"{part}_images"), file.get_tensor(f"{part}_labels"))
                for part in about["parts"]
            }
        names = None if about["names"] is None else tuple(map(str, about["names"]))
        kept = DataSet(parts, int(about["classes"]), str(about["digest"]), names, about["test_from"])
        intact = content_digest(parts, kept.classes) == kept.digest
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as cause:
        raise data_fault("prepared copy", str(path), "an intact file", str(cause)) from cause
    if not intact:
        raise data_fault("prepared copy", str(path), "a file that fits its digest")
    return kept
