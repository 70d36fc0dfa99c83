"""`ult rows`: the rows of a store as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ult_lightning.base import fault, nearest, unknown
from ult_lightning.cli.console.exit import DONE
from ult_lightning.cli.console.plain import split_arguments
from ult_lightning.cli.console.process import mute_stdout

if TYPE_CHECKING:
    from ult_lightning.results import RowStore

_MOST_NAMES = 24
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
    matches = RowStore(store).all(task=keyed.get("task"), arm=keyed.get("arm"))
    for key in ("seed", "metric", "ticket"):
        if key in keyed:
            matches = [row for row in matches if str(getattr(row, key)) == _canonical(key, keyed[key])]
    if not matches:
        _refuse_unknown(RowStore(store), keyed)
    try:
        for row in matches:
            print(rows_as_json_lines([row]))
        sys.stdout.flush()
    except BrokenPipeError:
        mute_stdout()
    return DONE


def _refuse_unknown(store: RowStore, keyed: Mapping[str, str]) -> None:
    """Raise UltError for a filter that names what no row of the store has; an arm may be one that is to come."""
    rows = store.all()
    for key in ("task", "arm", "metric", "ticket"):
        there = {str(getattr(row, key)) for row in rows} - {"None"}
        if not rows or key not in keyed or keyed[key] in there:
            continue
        if key == "arm":
            from ult_lightning.compare import ARMS

            if keyed[key] in {*ARMS.names(), "ticket"}:
                continue
        near = nearest(keyed[key], there)
        if not near and len(there) > _MOST_NAMES:
            raise fault(key, keyed[key], f"one of the {len(there)} {key}s in the store", "`ult rows` shows them")
        raise unknown(key, keyed[key], there)


def _canonical(key: str, value: str) -> str:
    return str(int(value)) if key == "seed" else value
