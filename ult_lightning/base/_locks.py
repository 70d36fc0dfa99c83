"""One process at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ult_lightning.base._errors import fault
from ult_lightning.base._files import unwritable


@contextmanager
def file_lock(path: str | os.PathLike[str], *, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; a killed holder leaves it free.

    Where another process (or thread) holds it, `waiting` is told so once, in one sentence, and then this call
    waits for as long as it takes. Not re-entrant.

    Raises:
        UltError: the lock file cannot be made, or the disk knows no locks.
    """
    from filelock import FileLock, Timeout

    name = os.fspath(path)
    lock = FileLock(name)
    try:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting is not None:
                waiting(f"{name} is held by another process; waiting for it.")
            lock.acquire(timeout=-1)
    except NotImplementedError as cause:
        raise fault("path", name, "a disk that knows file locks", "name another folder") from cause
    except OSError as cause:
        refusal = unwritable(name, cause)
        if refusal is None:
            raise
        raise refusal from cause
    try:
        yield
    finally:
        lock.release()
