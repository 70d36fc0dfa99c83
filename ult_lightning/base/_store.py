"""The mark that says which format a store folder is written in."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ult_lightning.base._errors import UltError, fault
from ult_lightning.base._files import write_text
from ult_lightning.base._hashing import canonical_json

STORE_FORMAT = 1


def check_store(
    root: str | os.PathLike[str],
    *,
    create: bool = False,
    mark: str = "store.json",
    version: int = STORE_FORMAT,
) -> None:
    """Make sure that the folder `root` is a store that this version understands: the file `mark` says `version`.

    A folder without a mark (or no folder at all) is an empty store; with `create` it gets its mark, which is
    what a writer asks for before its first file.

    Raises:
        UltError: `root` is a file, its mark is unreadable, or another version wrote it.
    """
    folder = Path(root)
    path = folder / mark
    if folder.exists() and not folder.is_dir():
        raise fault("store", str(folder), "a folder", "this is a file: name another folder")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if create:
            write_text(path, canonical_json({"format": version, "made_by": "ult_lightning"}) + "\n")
        return
    except (OSError, UnicodeDecodeError) as cause:
        raise _broken(path) from cause
    written = _format_of(path, text)
    if written != version:
        age = "a newer" if written > version else "an older"
        mend = f"{age} ult_lightning wrote this store: use that version, or name another folder with store="
        raise fault(str(path), written, f"store format {version}", mend)


def _format_of(mark: Path, text: str) -> int:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise _broken(mark) from cause
    written = content.get("format") if isinstance(content, dict) else None
    if isinstance(written, bool) or not isinstance(written, int):
        raise _broken(mark)
    return written


def _broken(mark: Path) -> UltError:
    return UltError(
        f"{mark}: the mark of the store is damaged or not ours; name another folder with store=, "
        "or delete this one file if the folder is a store of this version."
    )
