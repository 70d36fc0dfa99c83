"""The error of this room."""

from __future__ import annotations

from ult_lightning.base import UltError, fault


class DataError(UltError):
    """A task that cannot be had: its name, files, images, labels or sizes."""


def data_fault(argument: str, got: object, wanted: str, mend: str = "") -> DataError:
    """The `base.fault` of this room, for the caller to raise."""
    error = fault(argument, got, wanted, mend, error=DataError)
    assert isinstance(error, DataError)
    return error
