"""A user's own images in folders."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import torch

from ult_lightning.data._errors import data_fault
from ult_lightning.data._source import Raw, Source
from ult_lightning.data.sources._pixels import decoded, stacked

IMAGE_ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)


def folder_source(path: Path, *, name: str, origin: str) -> Source:
    """`path`/train/CLASS/FILE and `path`/test/CLASS/FILE; classes are numbered in the order of their names.

    Without a test folder a fixed stratified fifth of train is the test part. Other folders are not read.
    """
    return Source(name, origin, partial(_read_folder, path=path), partial(_folder_files, path=path))


def is_folder(path: Path) -> bool:
    """Whether `path` looks like an image folder."""
    return (path / "train").is_dir()


def _folder_files(data_dir: Path, *, path: Path) -> list[Path]:
    found = [file for part in ("train", "test") for file, _ in _labelled(path, part)]
    if not any((path / "train") in file.parents for file in found):
        wanted = "image files as train/CLASS/FILE (and test/CLASS/FILE)"
        raise data_fault("folder", str(path), wanted, "there are none: check the path")
    return found


def _labelled(path: Path, part: str) -> Iterator[tuple[Path, str]]:
    """The image files of one part with the name of their class, in a fixed order."""
    root = path / part
    if not root.is_dir():
        return
    for folder in sorted(
        child for child in root.iterdir() if child.is_dir() and not child.name.startswith(".")
    ):
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith(".") and file.is_file():
                yield file, folder.name


def in_class_order(names: Collection[str]) -> list[str]:
    """Names of class folders in the order in which classes are numbered: by number where all are numbers, else by text.

    >>> in_class_order({"10", "9", "0"}), in_class_order({"owl", "cat"})
    (['0', '9', '10'], ['cat', 'owl'])
    """
    numbers = all(name.isascii() and name.isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if numbers else (0, name))


def _read_folder(data_dir: Path, *, path: Path) -> Raw:
    names = in_class_order({name for _, name in _labelled(path, "train")})
    parts = []
    for part in ("train", "test"):
        files = list(_labelled(path, part))
        strange = sorted({name for _, name in files} - set(names))
        if strange:
            got, wanted = f"class {strange[0]}", f"only classes of train: {', '.join(names)}"
            raise data_fault(str(path / part), got, wanted, "rename the folder or add it to train")
        images = stacked(decoded(file, where=str(file)) for file, _ in files)
        parts.append((images, torch.tensor([names.index(name) for _, name in files], dtype=torch.int64)))
    return Raw(parts[0], parts[1] if len(parts[1][1]) else None, classes=len(names), names=tuple(names))
