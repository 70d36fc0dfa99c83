"""Work that is never done twice and never left half done, one process at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ult_lightning.base._errors import UltError, fault
from ult_lightning.base._files import unwritable

T = TypeVar("T")


def once(
    path: str | os.PathLike[str],
    make: Callable[[], T],
    load: Callable[[Path], T],
    *,
    force: bool = False,
    notice: Callable[[str], None] | None = None,
) -> T:
    """The value of the piece of work whose finished form is the file `path`.

    A finished file is loaded and `make` is not called. Else `make` runs under the lock `path` + ".lock": it
    writes `path` itself, atomically, and returns the value; whoever comes meanwhile waits and then loads. A file
    that `load` refuses with an UltError is made again and `notice` is told why. With `force`, `make` always runs.

    A finished file needs no lock, so it can be read on a disk that cannot be written.
    """
    final = Path(path)
    tell = notice if notice is not None else _silence
    if not force and (finished := _loaded(final, load, _silence)) is not None:
        return finished[0]

    lock = final.with_name(final.name + ".lock")
    with file_lock(lock, waiting=lambda _: tell(f"{final} is being made by another process; waiting for it.")):
        if not force and (finished := _loaded(final, load, tell)) is not None:
            return finished[0]
        value = make()
    if not final.exists():
        raise RuntimeError(f"the maker of {final} returned without writing it")
    return value


def _loaded(final: Path, load: Callable[[Path], T], tell: Callable[[str], None]) -> tuple[T] | None:
    if not final.exists():
        return None
    try:
        return (load(final),)
    except UltError as refusal:
        tell(f"{final} cannot be used and is made again: {refusal}")
        return None


def _silence(_: str) -> None:
    return None


def without_repeats(notice: Callable[[str], None]) -> Callable[[str], None]:
    """A notice that passes on each sentence once.

    >>> tell = without_repeats(print)
    >>> tell("an owl"), tell("an owl")
    an owl
    (None, None)
    """
    heard: set[str] = set()

    def tell(sentence: str) -> None:
        if sentence not in heard:
            heard.add(sentence)
            notice(sentence)

    return tell


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
