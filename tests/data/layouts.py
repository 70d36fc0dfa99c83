"""Small made-up data in the layouts that users have."""

from __future__ import annotations

import bz2
import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def pixels(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels_of(classes: int, per_class: int) -> np.ndarray[Any, Any]:
    return np.tile(np.arange(classes), per_class)


def write_idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


def write_idx_pair(folder: Path, prefix: str, images: Pixels, labels: np.ndarray[Any, Any]) -> None:
    write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
    write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)


def write_usps(path: Path, images: Pixels, labels: np.ndarray[Any, Any]) -> None:
    lines = []
    for image, label in zip(images, labels, strict=True):
        values = image.reshape(-1) / 255 * 2 - 1
        lines.append(" ".join([str(label + 1), *(f"{k}:{value:.6f}" for k, value in enumerate(values, 1))]))
    path.write_bytes(bz2.compress("\n".join(lines).encode()))


def write_svhn(path: Path, images: Pixels, labels: np.ndarray[Any, Any]) -> None:
    from scipy.io import savemat

    targets = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": targets})


def write_cifar(folder: Path, files: dict[str, tuple[Pixels, np.ndarray[Any, Any]]], *, fine: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (images, labels) in files.items():
        key = "fine_labels" if fine else "labels"
        content = {"data": images.reshape(len(images), -1), key: labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(content))
    names = {"fine_label_names": [], "label_names": []}
    (folder / ("meta" if fine else "batches.meta")).write_bytes(pickle.dumps(names))


def write_folder(root: Path, *, classes: int = 3, per_class: int = 6, side: int = 32, grey: bool = False) -> Path:
    for part in ("train", "test"):
        for label in range(classes):
            folder = root / part / f"class{label}"
            folder.mkdir(parents=True)
            for k in range(per_class):
                shape = (side, side) if grey else (side, side, 3)
                Image.fromarray(pixels(label * 100 + k, *shape)).save(folder / f"{k}.png")
    return root


def encoded(image: Pixels, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind)
    return out.getvalue()


def write_parquet(path: Path, contents: list[Any], labels: Any, **columns: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    image, label = columns.get("image", "img"), columns.get("label", "label")
    cells = [{"bytes": content, "path": None} for content in contents]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({image: pa.array(cells, kind), label: labels}), path)
