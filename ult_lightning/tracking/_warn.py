"""One line per failure."""

from __future__ import annotations

import logging

_LONGEST = 200


def warn(what: str, error: BaseException | None = None) -> None:
    """Log one warning line: what happened, and the first line of the error behind it."""
    if error is not None:
        lines = str(error).strip().splitlines()
        said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        what = f"{what} ({said[:_LONGEST]})"
    logging.getLogger("ult_lightning.tracking").warning("%s", what)
