"""A user's own images in folders."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ult_lightning.data._data_error import data_fault
from ult_lightning.data._source import Raw, Source
from ult_lightning.data.sources._layout import by_part, numbered, part_of
from ult_lightning.data.sources._pixels import decoded, stacked

IMAGE_ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pfm"}
)

Labelled = list[tuple[Path, str]]
"""Image files with the name of their class, in a fixed order."""


def folder_source(path: Path, *, name: str, origin: str) -> Source:
    """`path`/train/CLASS/FILE with `val` and `test` beside `train` where they are, or `path`/CLASS/FILE.

    Classes are numbered in the order of their names. `Raw` says what happens without validation or test part. Other
    folders than these parts are not read.
    """
    return Source(name, origin, partial(_read_folder, path=path), partial(_folder_files, path=path))


def is_folder(path: Path) -> bool:
    """Whether `path` looks like an image folder: it holds a training part, or images one folder below."""
    folders = _folders(path)
    if any(part_of(child.name) for child in folders):
        return any(part_of(child.name) == "train" for child in folders)
    return any(_is_image(file) for child in folders for file in child.iterdir())


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith(".") and file.is_file()


def _parts(path: Path) -> dict[str, Labelled]:
    """The files of each part that has any; refuses a folder without training images."""
    named = {child.name: (child.name, _labelled(child)) for child in _folders(path) if part_of(child.name)}
    parts = by_part({shown: one for shown, one in named.items() if one[1]}, where=path)
    if not named:
        parts = {"train": _class_folders(path)}
    if not parts.get("train"):
        wanted = "image files as train/CLASS/FILE (and val/, test/) or as CLASS/FILE"
        raise data_fault("folder", str(path), wanted, "there are none: check the path")
    return parts


def _labelled(root: Path) -> Labelled:
    files = ((file, folder.name) for folder in _folders(root) for file in sorted(folder.rglob("*")))
    return [(file, name) for file, name in files if _is_image(file)]


def _class_folders(path: Path) -> Labelled:
    """The files of `path`/CLASS/FILE; deeper ones are refused, since the folders above may be no classes."""
    files = _labelled(path)
    for file, name in files:
        if file.parent != path / name:
            mend = "name the folder that holds the class folders"
            raise data_fault("folder", f"an image at {file}", "images at CLASS/FILE", mend)
    return files


def _folder_files(data_dir: Path, *, path: Path) -> list[Path]:
    return [file for files in _parts(path).values() for file, _ in files]


def _read_folder(data_dir: Path, *, path: Path) -> Raw:
    parts = _parts(path)
    names, labels = numbered({part: [name for _, name in files] for part, files in parts.items()}, where=path)
    images = {part: stacked(decoded(file, where=str(file)) for file, _ in files) for part, files in parts.items()}
    return Raw(**{part: (images[part], labels[part]) for part in parts}, classes=len(names), names=names)
