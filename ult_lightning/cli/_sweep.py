"""Sweeps: what became of each job, which job may write which file, and the list of failures at the end.

Every job writes a note into its own folder and claims its `out=` in the sweep's folder: both are files, so that they
work with any Hydra launcher, on one machine or on a cluster.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

from ult_lightning.base import UltError, fault, write_text

NOTE = "ult_status.json"
CLAIMS = ".claims"


@dataclass
class Watch:
    """What one command line leads to, seen from the process it was typed in."""

    sweep: Path | None = None
    error: Exception | None = None


_watches: list[Watch] = []


@contextmanager
def watching() -> Iterator[Watch]:
    """Within the block, a sweep that starts and the error of a single run are told to the Watch."""
    watch = Watch()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.pop()


def single_run_failed(error: Exception) -> None:
    """Hand the error of a single run past Hydra, which would print about it."""
    if not _watches:
        raise error
    _watches[-1].error = error


class SweepFolder(Callback):
    """A Hydra callback: tells where the sweep writes, and clears what an older sweep left there."""

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Called by Hydra once, before the first job."""
        folder = Path(str(config.hydra.sweep.dir)).absolute()
        for note in folder.rglob(NOTE):
            note.unlink(missing_ok=True)
        shutil.rmtree(folder / CLAIMS, ignore_errors=True)
        if _watches:
            _watches[-1].sweep = folder


def write_note(folder: Path, **content: Any) -> None:
    """Say in a job's folder what became of it: `state` is running, finished or failed."""
    write_text(folder / NOTE, json.dumps(content, sort_keys=True))


def report_failures(folder: Path, command: Sequence[str]) -> int:
    """Print on stderr every job of a sweep that did not finish, with the command that runs it again; 1 if any."""
    notes = [json.loads(note.read_text(encoding="utf-8")) for note in folder.rglob(NOTE)]
    failed = sorted((n for n in notes if n["state"] != "finished"), key=lambda n: n["number"])
    if not failed:
        return 0
    lines = [f"ult: {len(failed)} of {len(notes)} jobs failed; to run them again:"]
    for note in failed:
        lines.append(f"  #{note['number']} {note.get('error', 'stopped without a word')}")
        lines.append(f"     {shlex.join([*command, *note['overrides']])}")
    print("\n".join(lines), file=sys.stderr, flush=True)
    return 1


def claim(path: Path, *, sweep: Path, owner: str, key: str = "out") -> None:
    """Reserve `path` for one job of a sweep; raises UltError if another job has it. `owner` may claim it again."""
    target = os.path.realpath(path)
    file = sweep / CLAIMS / hashlib.sha256(os.fsencode(target)).hexdigest()[:32]
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(file, "x", encoding="utf-8") as note:
            note.write(owner)
    except FileExistsError:
        if file.read_text(encoding="utf-8") != owner:
            raise shared_out(str(path), key) from None


def shared_out(got: str, key: str = "out") -> UltError:
    """The error for two jobs of a sweep that want to write the same file."""
    mend = f"put what differs into it, as in '{key}=my-${{seed}}.ticket'"
    return fault(key, got, "another path for each job of a sweep", mend)


def refuse_shared_out(overrides: Sequence[str]) -> None:
    """Before a sweep starts: raise UltError if all its jobs would write the same `out=`.

    Only sees what stands on the command line; `claim` sees the rest.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException:
        return  # Hydra says it better
    several = any(_points(override) > 1 for override in parsed)
    for override in parsed:
        if override.key_or_group != "out" or override.is_delete() or override.is_sweep_override():
            continue
        value = override.value()
        if several and value is not None and "${" not in str(value):
            raise shared_out(str(value))


def _points(override: Any) -> int:
    if not override.is_sweep_override():
        return 1
    if not override.is_discrete_sweep() or "glob(" in override.input_line:
        return 2
    return len(list(override.sweep_string_iterator()))
