"""How things look in a terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


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
