"""Whether a place can be written, asked before hours of work go into what is to lie there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from ult_lightning.base import fault, unwritable
from ult_lightning.base._files import obstacle

_BLOCK = bytes(4096)


def check_file(key: str, path: Path | None) -> None:
    """Raise UltError unless a file can be written at `path` (its folder may be missing); None is fine."""
    if path is None:
        return
    there = obstacle(path)
    if there is not None:
        raise fault(key, str(path), "a file name", f"{there} of that name is there")
    check_folder(key, path.parent)


def refuse_read(key: str, path: Path | None, reads: Collection[Path]) -> None:
    """Raise UltError where `path`, which is to be written, is one of the files that the command reads."""
    for other in reads:
        if path is not None and path.exists() and other.exists() and path.samefile(other):
            raise fault(key, str(path), "another file", f"the command reads {other}, which would be lost")


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
        refusal = unwritable(folder, cause, argument=key)
        if refusal is None:
            raise
        raise refusal from cause
