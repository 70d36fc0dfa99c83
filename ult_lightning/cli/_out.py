"""Whether a place can be written, asked before hours of work go into what is to lie there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ult_lightning.base import UltError, fault, unwritable

_BLOCK = bytes(4096)


def check_file(key: str, path: Path | None) -> None:
    """Raise UltError unless a file can be written at `path` (its folder may be missing); None is fine."""
    if path is None:
        return
    if path.is_dir():
        raise fault(key, str(path), "a file name", "a folder of that name is there")
    check_folder(key, path.parent)


def check_folder(key: str, folder: Path) -> None:
    """Raise UltError unless files can be written in `folder`, or in the nearest folder above it that exists."""
    place = folder.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise fault(key, str(folder), "a folder that can be made", f"{place} is no folder")
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(_BLOCK)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as cause:
        refusal = unwritable(folder, cause)
        if refusal is None:
            raise
        raise UltError(str(refusal).replace("path:", f"{key}:", 1)) from cause
