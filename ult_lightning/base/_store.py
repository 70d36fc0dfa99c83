"""A folder of files by id, and the mark that says which format it is written in."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ult_lightning.base._errors import UltError, fault, unknown
from ult_lightning.base._files import write_text
from ult_lightning.base._hashing import canonical_json

STORE_FORMAT = 1
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class FolderStore:
    """Things of one kind, by id: the files `root/<kind>s/<id><suffix>`."""

    kind: str
    suffix: str
    error: type[UltError] = UltError

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._check()

    def path(self, id: str) -> Path:
        """Where the file of that id lies, or would lie; raises the store's error for what cannot be an id."""
        return self.root / f"{self.kind}s" / f"{check_id(id, self.kind, self.error)}{self.suffix}"

    def has(self, id: str) -> bool:
        """Whether a file is there for that id (whole or not: reading it says)."""
        return self.path(id).is_file()

    def ids(self) -> tuple[str, ...]:
        """All ids, sorted."""
        files = (self.root / f"{self.kind}s").glob(f"*{self.suffix}")
        return tuple(sorted(file.name.removesuffix(self.suffix) for file in files if not file.name.startswith(".")))

    def _known(self, id: str) -> Path:
        """The path of a file that is there; raises the store's error, with the nearest ids."""
        if not self.has(id):
            raise unknown(f"{self.kind} id", id, self.ids(), error=self.error)
        return self.path(id)

    def _check(self, *, create: bool = False) -> None:
        check_store(self.root, create=create)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r}, {len(self.ids())} {self.kind}s)"


def check_id(got: object, kind: str, error: type[UltError] = UltError) -> str:
    """`got` as the id of a row or ticket, which is a file name too; raises `error`."""
    if not isinstance(got, str) or not _ID.fullmatch(got):
        raise fault(f"{kind} id", got, "at most 100 letters, digits, dots, dashes and underscores", error=error)
    return got


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
