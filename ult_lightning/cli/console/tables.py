"""How things look in a terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path


def aligned(cells: Sequence[Sequence[str]], *, left: Collection[int] = (0,), indent: str = "  ") -> list[str]:
    """Lines of aligned columns, numbers to the right, the columns `left` to the left.

    >>> aligned([["task", "n"], ["digits", "360"]])
    ['  task      n', '  digits  360']
    """
    widths = [max(len(text) for text in column) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = (
            text.ljust(w) if i in left else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append((indent + "  ".join(padded)).rstrip())
    return lines


def shown(place: str | Path) -> str:
    """A path as short as it gets: relative where it lies in the working folder; URLs as they are."""
    text = os.fspath(place)
    if "://" in text or not os.path.isabs(text):
        return text
    relative = os.path.relpath(text)
    return text if relative.startswith(os.pardir) else relative


def typed(verb: str, *words: str) -> str:
    """A command line that can be typed as it stands: `ult` goes by its path where the shell does not find it."""
    program, beside = "ult", Path(sys.executable).with_name("ult")
    if shutil.which(program) is None and beside.is_file():
        program = shown(beside)
    return shlex.join([program, *verb.split(), *words])
