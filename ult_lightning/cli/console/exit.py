"""From an exception to one line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from ult_lightning.base import UltError
from ult_lightning.cli.console.process import mute_stdout, output_refusal, sigterm_as_ctrl_c

DONE, FAILED, USER_ERROR, STOPPED, BROKEN_PIPE, TERMINATED = 0, 1, 2, 130, 141, 143
GOES_ON = "what is finished is kept, the same command goes on from there."


class JobBug(Exception):
    """An unexpected exception inside a job, whose traceback is in a file already."""


def guarded(action: Callable[[], int], arguments: Sequence[str]) -> int:
    """The exit code of `action`; what it raises becomes one line on stderr."""
    with sigterm_as_ctrl_c() as terminated:
        try:
            code = action()
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            if terminated:
                return say(f"stopped by the signal SIGTERM; {GOES_ON}", TERMINATED)
            return say(f"stopped by Ctrl-C; {GOES_ON}", STOPPED)
        except BrokenPipeError:
            mute_stdout()
            return BROKEN_PIPE
        except UltError as error:
            if wants_traceback(arguments):
                raise
            return say(f"error: {one_line(error)}", USER_ERROR)
        except JobBug as bug:
            if wants_traceback(arguments):
                raise (bug.__cause__ or bug) from None
            return say(one_line(bug), FAILED)
        except SystemExit as leaving:
            return leaving.code if isinstance(leaving.code, int) else DONE if leaving.code is None else FAILED
        except Exception as bug:
            if wants_traceback(arguments):
                raise
            refusal = output_refusal(bug, sure=True)  # a job's other files are dealt with already
            if refusal is not None:
                return say(f"error: {refusal}", USER_ERROR)
            return say(bug_sentence(bug, Path(tempfile.gettempdir())), FAILED)


def wants_traceback(arguments: Sequence[str]) -> bool:
    """Whether `traceback=true` or ULT_TRACEBACK=1 asks for Python's own words."""
    flags = {"traceback=true", "++traceback=true"} & {a.casefold().replace(" ", "") for a in arguments}
    return bool(flags) or os.environ.get("ULT_TRACEBACK", "").casefold() in ("1", "true", "yes")


def say(line: str, code: int) -> int:
    """Print `ult: line` on stderr and return `code`."""
    print(f"ult: {line}", file=sys.stderr, flush=True)
    return code


def one_line(error: BaseException) -> str:
    """The text of an exception on one line."""
    return " ".join(str(error).split())


def bug_sentence(bug: BaseException, folder: Path) -> str:
    """The sentence for an exception nobody foresaw; its traceback goes to a file in `folder`."""
    text = "".join(traceback.format_exception(bug))
    what = f"{type(bug).__name__}: {one_line(bug)}" if str(bug).strip() else type(bug).__name__
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="traceback-", suffix=".txt", dir=folder, text=True)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return f"this is a bug of ours, {what} (no place for its traceback; ULT_TRACEBACK=1 prints it)."
    return f"this is a bug of ours, {what} (traceback in {name}; ULT_TRACEBACK=1 prints it)."
