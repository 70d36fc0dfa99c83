"""`ult rows`: the rows of a store as JSON lines."""

from __future__ import annotations

import sys
from pathlib import Path

from ult_lightning.base import fault
from ult_lightning.cli._exit import DONE, mute_stdout
from ult_lightning.cli._plain import split_arguments

_FILTERS = ("task", "arm", "seed", "metric", "ticket")


def rows(arguments: list[str]) -> int:
    """Print one JSON object per row that passes the filters; a reader that goes away (`| head`) is no error."""
    from ult_lightning.results import RowStore, rows_as_json_lines

    keyed, others = split_arguments(arguments, ("store", *_FILTERS))
    if others:
        raise fault("argument", others[0], "key=value", f"the keys are store, {', '.join(_FILTERS)}")
    if "seed" in keyed and not keyed["seed"].isdigit():
        raise fault("seed", keyed["seed"], "a whole number, at least 0")
    store = Path(keyed.get("store", "store")).expanduser()
    if not store.is_dir():
        raise fault("store", str(store), "a folder with rows", "`ult compare` or `ult transfer` make one")
    found = RowStore(store).all(task=keyed.get("task"), arm=keyed.get("arm"))
    for key in ("seed", "metric", "ticket"):
        if key in keyed:
            found = [row for row in found if str(getattr(row, key)) == _canonical(key, keyed[key])]
    try:
        for row in found:
            print(rows_as_json_lines([row]))
        sys.stdout.flush()
    except BrokenPipeError:
        mute_stdout()
    return DONE


def _canonical(key: str, value: str) -> str:
    return str(int(value)) if key == "seed" else value
