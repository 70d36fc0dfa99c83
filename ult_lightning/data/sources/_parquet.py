"""A user's own images in parquet files, as Hugging Face lays them out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ult_lightning.data._errors import data_fault
from ult_lightning.data._source import TASKS, Raw, Source
from ult_lightning.data.sources._pixels import decoded, stacked

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels", "fine_label")


def parquet_source(path: Path, *, name: str, origin: str, classes: int | None = None) -> Source:
    """`path`/train-*.parquet and `path`/test-*.parquet (or in `path`/data), with an image column (`img` or `image`:
    encoded bytes, or a struct with `bytes`) and an integer column (`label`, `labels` or `fine_label`).

    Without test files a fixed stratified fifth of train is the test part. The number of classes comes from the
    Hugging Face metadata where the files have it. Other files are not read.
    """
    read = partial(_read_parquet, path=path, classes=classes)
    return Source(name, origin, read, partial(_parquet_files, path=path))


def is_parquet(path: Path) -> bool:
    """Whether `path` holds training data in parquet files."""
    return bool(_shards(path, "train"))


def _shards(path: Path, part: str) -> list[Path]:
    return sorted(path.glob(f"{part}-*.parquet")) or sorted((path / "data").glob(f"{part}-*.parquet"))


def _parquet_files(data_dir: Path, *, path: Path) -> list[Path]:
    train = _shards(path, "train")
    if not train:
        wanted = "files train-*.parquet (and test-*.parquet)"
        raise data_fault("folder", str(path), wanted, "there are none: check the path")
    return train + _shards(path, "test")


def _read_parquet(data_dir: Path, *, path: Path, classes: int | None) -> Raw:
    train, test = _shards(path, "train"), _shards(path, "test")
    names = _class_names(train[0])
    known = classes if classes is not None or names is None else len(names)
    return Raw(_read_shards(train), _read_shards(test) if test else None, classes=known, names=names)


def _read_shards(shards: list[Path]) -> tuple[Tensor, Tensor]:
    images: list[Tensor] = []
    labels: list[np.ndarray[Any, Any]] = []
    for shard in shards:
        table = _opened(shard)
        image_column = _column(table.column_names, IMAGE_COLUMNS, shard)
        label_column = _column(table.column_names, LABEL_COLUMNS, shard)
        images += [
            decoded(content, where=f"{shard} row {row}")
            for row, content in enumerate(_contents(table[image_column], shard, image_column))
        ]
        labels.append(_integers(table[label_column], shard, label_column))
    return stacked(images), torch.from_numpy(np.concatenate(labels).astype(np.int64))


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as cause:
        wanted = "the package pyarrow to read parquet files"
        mend = "type pip install 'ult_lightning[parquet]'"
        raise data_fault("parquet", "no pyarrow", wanted, mend) from cause
    return pyarrow.parquet


def _opened(shard: Path) -> Any:
    parquet = _parquet()
    try:
        return parquet.read_table(shard)
    except (OSError, ValueError) as cause:  # pyarrow's own errors are subclasses of these
        mend = "fetch the file again"
        raise data_fault(str(shard), str(cause), "a parquet file", mend) from cause


def _column(present: list[str], known: tuple[str, ...], shard: Path) -> str:
    for name in known:
        if name in present:
            return name
    raise data_fault(str(shard), f"columns {', '.join(present)}", f"one named {' or '.join(known)}")


def _contents(column: Any, shard: Path, name: str) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.compute

    row = 0
    for chunk in column.chunks:
        if pyarrow.types.is_struct(chunk.type) and chunk.type.get_field_index("bytes") >= 0:
            chunk = pyarrow.compute.struct_field(chunk, "bytes")
        if not (pyarrow.types.is_binary(chunk.type) or pyarrow.types.is_large_binary(chunk.type)):
            mend = "encode the images, for example as PNG"
            raise data_fault(str(shard), f"{name} of type {chunk.type}", "encoded bytes", mend)
        for cell in chunk:
            content = cell.as_py()
            if content is None:
                where = f"{shard} row {row}"
                raise data_fault(where, "no bytes", "an encoded image", "embed the image in the file")
            yield content
            row += 1


def _integers(column: Any, shard: Path, name: str) -> np.ndarray[Any, Any]:
    import pyarrow

    if not pyarrow.types.is_integer(column.type) or column.null_count:
        got = f"{name} of type {column.type} with {column.null_count} empty cells"
        raise data_fault(str(shard), got, "integers in every row", "number the classes from 0")
    return np.asarray(column.to_numpy())


def _class_names(shard: Path) -> tuple[str, ...] | None:
    """The names of the classes in the Hugging Face metadata of a file, None where it does not say."""
    parquet = _parquet()
    try:
        metadata = parquet.read_schema(shard).metadata or {}
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        label = next(features[name] for name in LABEL_COLUMNS if name in features)
        return tuple(map(str, label["names"]))
    except (KeyError, TypeError, ValueError, StopIteration, OSError):
        return None


def _cifar10_jpeg(data_dir: Path) -> Raw:
    return _read_parquet(data_dir, path=data_dir / "cifar10_jpeg", classes=10)


def _cifar10_jpeg_files(data_dir: Path) -> list[Path]:
    return _parquet_files(data_dir, path=data_dir / "cifar10_jpeg")


TASKS.add("cifar10_jpeg", Source("cifar10_jpeg", "cifar10", _cifar10_jpeg, _cifar10_jpeg_files))
