"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ult_lightning.base._errors import UltError, fault

_MENDS = {
    errno.ENOSPC: "the disk is full: free some space or name another folder",
    errno.EDQUOT: "the disk quota is used up: free some space or name another folder",
    errno.EROFS: "the disk is read-only: name another folder",
    errno.EACCES: "permission is denied: name a folder that you may write to",
    errno.EPERM: "permission is denied: name a folder that you may write to",
    errno.ENOTDIR: "a part of the path is a file: name another folder",
    errno.EEXIST: "a part of the path is a file: name another folder",
    errno.EISDIR: "a folder of that name is there: name a file",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.EFBIG: "the file is larger than this disk allows: name another folder",
    errno.ELOOP: "the path is a circle of links: name another folder",
}


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def unwritable(
    path: str | os.PathLike[str],
    cause: OSError,
    *,
    argument: str = "path",
    mend: str = "",
) -> UltError | None:
    """The sentence for a disk that refuses to be written, or None where `cause` is of another kind.

    `argument` is what named the path; `mend`, if given, stands in place of the usual advice.
    """
    if cause.errno not in _MENDS:
        return None
    why, _, advice = _MENDS[cause.errno].partition(": ")
    return fault(argument, os.fspath(path), "a place that can be written", f"{why}: {mend or advice}")


def obstacle(path: str | os.PathLike[str]) -> str | None:
    """What is at `path` (behind links) that no file may replace: "a folder", "a device"; None for a file and for nothing.

    >>> obstacle(".")
    'a folder'
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:  # nothing is there, or its reason is told by whoever writes
        return None
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it becomes `path` when the block ends well.

    The temporary name ends like `path`, so that writers which look at the suffix do the same thing. Parent
    folders are made. On success the file is flushed to the disk and renamed over the file that was there; when the
    block raises, it is removed and `path` is as it was.

    Raises:
        UltError: a full, read-only or forbidden disk, a path that leads through a file, or something at `path`
            that is no file.
    """
    final = Path(path)
    there = obstacle(final)
    if there is not None:
        mend = f"{there} of that name is there: name a file"
        raise fault("path", str(final), "a place that can be written", mend)
    draft = final.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{final.name}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        _flush(draft)
        os.replace(draft, final)
        _flush_folder(final.parent)
    except OSError as cause:
        refusal = unwritable(final, cause) if _is_about(cause, final) else None
        if refusal is None:
            raise
        raise refusal from cause
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` through `atomic_path`; raises what that raises."""
    with atomic_path(path) as draft:
        draft.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 (line ends as they are) to `path`; raises what `atomic_path` raises."""
    write_bytes(path, text.encode("utf-8"))


def _is_about(cause: OSError, final: Path) -> bool:
    """Whether the disk refused this file (or did not say which): not some other file the block touched."""
    if cause.filename is None:
        return True
    named = Path(os.fsdecode(cause.filename))
    return named.parent == final.parent or named in final.parents


def _flush(draft: Path) -> None:
    handle = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # the file is whole already; some disks refuse to flush a folder
        _flush(folder)
