"""Sweeps: what became of each job, which job may write which file, and the list of failures at the end.

Every job writes a note into its own folder and claims its `out=` in the sweep's folder: both are files, so that they
work with any Hydra launcher, on one machine or on a cluster.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from ult_lightning.base import UltError, fault, write_text
from ult_lightning.cli.config.folders import reference

NOTE = "ult_status.json"
CLAIMS = ".claims"
_MOST_LINES = 20


@dataclass
class Watch:
    """What one command line leads to, seen from the process it was typed in."""

    sweep: Path | None = None
    planned: Sequence[Sequence[str]] = ()
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
            overrides = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
            _watches[-1].planned = planned_jobs(cast("list[str]", overrides))


def write_note(folder: Path, **content: Any) -> None:
    """Say in a job's folder what became of it: `state` is running, finished or failed."""
    write_text(folder / NOTE, json.dumps(content, sort_keys=True))


def planned_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a sweep over all combinations, in Hydra's order; none where that cannot be told."""
    parsed = _parsed(overrides)
    if parsed is None or any(o.is_sweep_override() and not _is_listed(o) for o in parsed):
        return []
    values: dict[str, list[str]] = {}
    for one in parsed:
        key = one.get_key_element()
        swept = one.is_sweep_override()
        points = one.sweep_string_iterator() if swept else [one.get_value_element_as_str()]
        values[key] = [f"{key}={point}" for point in points]
    return [list(job) for job in itertools.product(*values.values())]


def report_failures(folder: Path, command: Sequence[str], planned: Sequence[Sequence[str]] = ()) -> int:
    """Print on stderr every job of a sweep that did not finish, with the command that runs it again; 1 if any.

    Those that never started are told from `planned`, if that agrees with the jobs that did.
    """
    notes = [json.loads(note.read_text(encoding="utf-8")) for note in folder.rglob(NOTE)]
    started = {note["number"]: note["overrides"] for note in notes}
    agreed = all(number < len(planned) and planned[number] == own for number, own in started.items())
    missing = [n for n in range(len(planned)) if n not in started] if notes and agreed else []
    failed = sorted((n for n in notes if n["state"] != "finished"), key=lambda n: n["number"])
    if not failed and not missing:
        return 0
    count = f"{len(failed) + len(missing)} of {len(notes) + len(missing)} jobs"
    lines = [f"ult: {count} did not finish; to run them:" if missing else f"ult: {count} failed; to run them again:"]
    for note in failed:
        lines.append(f"  #{note['number']} {note.get('error', 'stopped without a word')}")
        lines.append(f"     {shlex.join([*command, *note['overrides']])}")
    for number in missing[:_MOST_LINES]:
        lines.append(f"  #{number} had not started")
        lines.append(f"     {shlex.join([*command, *planned[number]])}")
    if len(missing) > _MOST_LINES:
        lines.append(f"  and {len(missing) - _MOST_LINES} more; the same sweep again runs all")
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


def shared_out(got: str, key: str = "out", swept: Sequence[str] = ()) -> UltError:
    """The error for two jobs of a sweep that want to write the same file, where known with the keys that differ."""
    path = Path(got)
    what = "-".join(map(reference, swept)) or "${KEY}"
    example = path.with_name(f"{path.stem}-{what}{path.suffix}") if path.name else path / what
    mend = f"put what differs into it, as in '{key}={example}'"
    if not swept:
        mend += ", where KEY is a key that differs"
    return fault(key, got, "another path for each job of a sweep", mend)


def refuse_shared_out(overrides: Sequence[str]) -> None:
    """Before a sweep starts: raise UltError if all its jobs would write the same `out=`, or the same file `save=`.

    Only sees what stands on the command line; `claim` sees the rest.
    """
    parsed = _parsed(overrides) or []
    swept = [override.key_or_group for override in parsed if _points(override) > 1]
    for override in parsed:
        key = override.key_or_group
        if key not in ("out", "save") or override.is_delete() or override.is_sweep_override():
            continue
        value = override.value()
        if not swept or value is None or "${" in str(value):
            continue
        if key == "out" or (Path(str(value)).suffix and not Path(str(value)).is_dir()):
            raise shared_out(str(value), key, swept)


def _parsed(overrides: Sequence[str]) -> list[Any] | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        return list(OverridesParser.create().parse_overrides(list(overrides)))
    except OverrideParseException:
        return None  # Hydra says it better


def _points(override: Any) -> int:
    if not override.is_sweep_override():
        return 1
    return len(list(override.sweep_string_iterator())) if _is_listed(override) else 2


def _is_listed(override: Any) -> bool:
    """Whether a sweep says its points itself, without folders to look into or a random choice."""
    return override.is_discrete_sweep() and "glob(" not in override.input_line
