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
    of a usual name). Class names come from the Hugging Face metadata where the files have it, else from the labels. `Raw`
    says what happens without validation or test part. Other files are not read.
    """
    read = partial(read_parquet, path=path, image=image, label=label)
    columns = "" if image is label is None else f"{image}/{label}"
    return Source(name, origin, read, partial(parquet_files, path=path), variant=columns)


def is_parquet(path: Path) -> bool:
    """Whether `path` holds training data in parquet files."""
    return any(part_of(name) == "train" for root in _roots(path) for name, _ in _named(root).values())


def _roots(path: Path) -> tuple[Path, Path]:
    return path, path / "data"


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
    found = (by_part(_named(root), where=path) for root in _roots(path))
    return next((parts for parts in found if "train" in parts), {})


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
    parts = _shards(path)
    read = {part: _read_shards(shards, image, label) for part, shards in parts.items()}
    images = {part: found for part, (found, _) in read.items()}
    names = _class_names(parts["train"][0], label)
    numbers = all(found.dtype.kind in "iu" for _, found in read.values())
    if numbers and (classes is not None or names is not None):
        labels = {part: torch.from_numpy(found.astype(np.int64)) for part, (_, found) in read.items()}
        classes = classes if names is None else len(names)
    else:
        names, labels = numbered(
            {part: list(map(str, found.tolist())) for part, (_, found) in read.items()}, where=path
        )
        classes = len(names)
    return Raw(**{part: (images[part], labels[part]) for part in parts}, classes=classes, names=names)


def _read_shards(shards: list[Path], image: str | None, label: str | None) -> tuple[Tensor, Labels]:
    images: list[Tensor] = []
    labels: list[Labels] = []
    for shard in shards:
        table = _opened(shard)
        image_column = _column(table.column_names, "image", image, shard)
        label_column = _column(table.column_names, "label", label, shard)
        images += [
            decoded(content, where=f"{shard} row {row}")
            for row, content in enumerate(_contents(table[image_column], shard, image_column))
        ]
        labels.append(_labels(table[label_column], shard, label_column))
    return stacked(images), np.concatenate(labels)


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
                raise data_fault(f"{shard} row {row}", "no bytes", "an encoded image", "embed the image in the file")
            yield content
            row += 1


def _labels(column: Any, shard: Path, name: str) -> Labels:
    """The labels (n,) of one file, integers or text."""
    import pyarrow

    types = pyarrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = types.is_string(column.type) or types.is_large_string(column.type)
    if not (text or types.is_integer(column.type)) or column.null_count:
        got = f"{name} of type {column.type} with {column.null_count} empty cells"
        raise data_fault(str(shard), got, "integers or text in every row", "give each image its class")
    found: Labels = np.asarray(column.to_pylist(), dtype=object if text else np.int64)
    if not text and len(found) and found.min() < 0:
        row = int(found.argmin())
        mend = "drop the unlabelled images, or move a split that has no labels elsewhere"
        raise data_fault(f"{shard} row {row}", f"label {found[row]}", "labels of 0 or more", mend)
    return found


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
