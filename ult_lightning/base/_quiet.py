"""Lightning without its small talk."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_lightning(level: int = logging.WARNING) -> Iterator[None]:
    """Keeps Lightning's advice and its lines about the hardware off the screen while the block runs."""
    log = logging.getLogger("pytorch_lightning")
    before = log.level
    log.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            yield
    finally:
        log.setLevel(before)
