"""The process around a command: its streams, its signals, its warnings."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ult_lightning.base import unwritable


def lenient_streams() -> None:
    """Let stdout and stderr print a question mark for what their encoding has no sign for, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def mute_stdout() -> None:
    """After a broken pipe: let Python's last flush of stdout go nowhere instead of complaining."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass


def output_refusal(error: BaseException, *, sure: bool = False) -> str | None:
    """The sentence for a stdout that takes no more (it leads to a full disk), None where `error` is something else.

    An error that names no file may be that of another one; then stdout is asked, unless the caller is `sure`.
    """
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    cause = error if sure else _refused_flush()
    refusal = cause and unwritable("stdout", cause, argument="output", mend="let it lead to another place")
    if refusal is None:
        return None
    mute_stdout()
    return str(refusal)


def _refused_flush() -> OSError | None:
    try:
        sys.stdout.flush()
    except OSError as cause:
        return cause
    return None


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[list[int]]:
    """Within the block SIGTERM, which a cluster sends when the time is up, stops the work as Ctrl-C does.

    Yields a list that is empty until the signal came. Where somebody handles the signal already, nothing changes.
    """
    came: list[int] = []

    def stop(number: int, _: Any) -> None:
        if not came:  # once: what it stops may be cleaning up when it comes again
            came.append(number)
            raise KeyboardInterrupt

    alone = threading.current_thread() is threading.main_thread()
    if not alone or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield came
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Within the block our own warnings are one line on stderr, without the file and line they came from.

    `showwarning` and not `formatwarning`: Lightning replaces the latter when it is imported.
    """
    before = warnings.showwarning
    warnings.showwarning = partial(_show, before)
    try:
        yield
    finally:
        warnings.showwarning = before


def _show(otherwise: Any, message: Warning | str, category: type[Warning], *place: Any, **named: Any) -> None:
    if category.__module__.startswith("ult_lightning"):
        print(f"ult: warning: {message}", file=sys.stderr, flush=True)
    else:
        otherwise(message, category, *place, **named)
