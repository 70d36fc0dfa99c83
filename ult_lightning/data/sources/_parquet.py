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

from ult_lightning.base import nearest
from ult_lightning.data._data_error import data_fault
from ult_lightning.data._source import Raw, Source
from ult_lightning.data.sources._layout import by_part, numbered, part_of
from ult_lightning.data.sources._pixels import decoded, stacked

_USUAL = {"image": ("img", "image"), "label": ("label", "labels", "fine_label")}

Labels = np.ndarray[Any, Any]


def parquet_source(path: Path, *, name: str, origin: str, image: str | None = None, label: str | None = None) -> Source:
    """`path`/train-*.parquet with val-* and test-* beside them where they are, or the same in `path`/data.

    The column `image` holds encoded bytes, or a struct with `bytes`; the column `label` integers or text (None: the one
    of a usual name). Class names come from the Hugging Face metadata where the files have it, else from the labels.
    `Raw` says what happens without validation or test part. Other files are not read.
    """
    read = partial(read_parquet, path=path, image=image, label=label)
    columns = "" if image is label is None else f"{image}/{label}"
    return Source(name, origin, read, partial(parquet_files, path=path), variant=columns)


def is_parquet(path: Path) -> bool:
    """Whether `path` holds training data in parquet files."""
    return any(part_of(name) == "train" for root in (path, path / "data") for name, _ in _named(root).values())


def _named(root: Path) -> dict[str, tuple[str, list[Path]]]:
    """From what a user calls them ("val-*.parquet") to the name before the dash and the files."""
    named: dict[str, tuple[str, list[Path]]] = {}
    for file in sorted([*root.glob("*.parquet"), *root.glob("*/*.parquet")]):
        direct = file.parent == root
        name, dash, _ = (file.stem if direct else file.parent.name).partition("-")
        shown = f"{name}/*.parquet" if not direct else f"{name}-*.parquet" if dash else file.name
        named.setdefault(shown, (name, []))[1].append(file)
    return named


def _shards(path: Path) -> dict[str, list[Path]]:
    """The files of each part, from the first place that has training files; empty without any."""
    layouts = (by_part(_named(root), where=path) for root in (path, path / "data"))
    return next((parts for parts in layouts if "train" in parts), {})


def parquet_files(data_dir: Path, *, path: Path) -> list[Path]:
    files = [file for shards in _shards(path).values() for file in shards]
    if not files:
        wanted = "files train-*.parquet (and val-*, test-*)"
        raise data_fault("folder", str(path), wanted, "there are none: check the path")
    return files


def read_parquet(
    data_dir: Path,
    *,
    path: Path,
    image: str | None = None,
    label: str | None = None,
    classes: int | None = None,
) -> Raw:
    """The images of all parts; labels are numbers as they are where the number of classes is known, else by name."""
    parts = _shards(path)
    images, labels = {}, {}
    for part, shards in parts.items():
        tables = [_opened(shard) for shard in shards]
        columns = [_columns(table, shard, image, label) for table, shard in zip(tables, shards, strict=True)]
        images[part] = stacked(one for pictures, _ in columns for one in pictures)
        labels[part] = np.concatenate([numbers for _, numbers in columns])
    names = _class_names(parts["train"][0], label)
    if all(array.dtype.kind in "iu" for array in labels.values()) and (classes is not None or names is not None):
        targets = {part: torch.from_numpy(array.astype(np.int64)) for part, array in labels.items()}
        classes = classes if names is None else len(names)
    else:
        texts = {part: list(map(str, array.tolist())) for part, array in labels.items()}
        names, targets = numbered(texts, where=path)
        classes = len(names)
    return Raw(**{part: (images[part], targets[part]) for part in parts}, classes=classes, names=names)


def _columns(table: Any, shard: Path, image: str | None, label: str | None) -> tuple[list[Tensor], Labels]:
    """The images and the labels of one file."""
    images, labels = (
        _column(table.column_names, key, given, shard) for key, given in (("image", image), ("label", label))
    )
    contents = enumerate(_contents(table[images], shard, images))
    pictures = [decoded(content, where=f"{shard} row {row}") for row, content in contents]
    return pictures, _labels(table[labels], shard, labels)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as cause:
        mend = "type pip install 'ult_lightning[parquet]'"
        raise data_fault("parquet", "no pyarrow", "the package pyarrow to read parquet files", mend) from cause
    return pyarrow.parquet


def _opened(shard: Path) -> Any:
    parquet = _parquet()
    try:
        return parquet.read_table(shard)
    except (OSError, ValueError) as cause:  # pyarrow's own errors are subclasses of these
        raise data_fault(str(shard), str(cause), "a parquet file", "fetch the file again") from cause


def _column(present: list[str], key: str, given: str | None, shard: Path) -> str:
    """The column of images or labels: the one `given`, else the only one of a usual name."""
    listed = f"columns {', '.join(present)}"
    if given is not None:
        if given in present:
            return given
        near = nearest(given, present)
        mend = f"did you mean {' or '.join(near)}" if near else "name one that is there"
        raise data_fault(f"{key} for {shard}", given, f"one of its {listed}", mend)
    usual = [name for name in _USUAL[key] if name in present]
    if len(usual) == 1:
        return usual[0]
    wanted = f"one named {' or '.join(_USUAL[key])}" if not usual else f"one {key} column among them"
    mend = f"say which one with {{name: 'parquet:{shard.parent}', {key}: {(usual or present)[0]}}}"
    raise data_fault(str(shard), listed, wanted, mend)


def _contents(column: Any, shard: Path, name: str) -> Iterator[bytes]:
    from pyarrow import compute, types

    if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = compute.struct_field(column, "bytes")
    if not (types.is_binary(column.type) or types.is_large_binary(column.type)):
        mend = "encode the images, for example as PNG"
        raise data_fault(str(shard), f"{name} of type {column.type}", "encoded bytes", mend)
    for row, cell in enumerate(column):
        content = cell.as_py()
        if content is None:
            raise data_fault(f"{shard} row {row}", "no bytes", "an encoded image", "embed the image in the file")
        yield content


def _labels(column: Any, shard: Path, name: str) -> Labels:
    """The labels (n,) of one file, integers or text."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = types.is_string(column.type) or types.is_large_string(column.type)
    if not (text or types.is_integer(column.type)) or column.null_count:
        got = f"{name} of type {column.type} with {column.null_count} empty cells"
        raise data_fault(str(shard), got, "integers or text in every row", "give each image its class")
    labels: Labels = np.asarray(column.to_pylist(), dtype=object if text else np.int64)
    if not text and len(labels) and labels.min() < 0:
        row = int(labels.argmin())
        mend = "drop the unlabelled images, or move a split that has no labels elsewhere"
        raise data_fault(f"{shard} row {row}", f"label {labels[row]}", "labels of 0 or more", mend)
    return labels


def _class_names(shard: Path, label: str | None) -> tuple[str, ...] | None:
    """The names of the classes in the Hugging Face metadata of a file, None where it does not say."""
    parquet = _parquet()
    try:
        metadata = parquet.read_schema(shard).metadata or {}
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        known = _USUAL["label"] if label is None else (label,)
        return tuple(map(str, features[next(name for name in known if name in features)]["names"]))
    except (KeyError, TypeError, ValueError, StopIteration, OSError):
        return None
