"""The error of this room, and the check that many of its doors share."""

from __future__ import annotations

from functools import partial

from ult_lightning.base import UltError, fault


class DataError(UltError):
    """A task that cannot be had: its name, files, images, labels or sizes."""


data_fault = partial(fault, error=DataError)
"""The `base.fault` of this room, for the caller to raise."""


def check_whole(
    argument: str, got: object, wanted: str = "a whole number, 1 or more", mend: str = "", least: int = 1
) -> None:
    """Raises DataError for what is no whole number of at least `least` (True and 2.0 are none)."""
    if isinstance(got, bool) or not isinstance(got, int) or got < least:
        raise data_fault(argument, got, wanted, mend)
