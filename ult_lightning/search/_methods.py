"""Methods by name. A method attaches itself to a mother's body and says, at each step, what the mask is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import nn

from ult_lightning.base import Registry
from ult_lightning.search._settings import SearchSettings
from ult_lightning.tickets import Mask


class Attached(Protocol):
    """A method at work on one body."""

    def update(self) -> None:
        """Recomputes the mask; called once before each step."""

    def scores(self) -> list[nn.Parameter]:
        """What the optimizer moves."""

    def mask(self) -> Mask:
        """The present mask."""


class Method(Protocol):
    """A way of finding masks."""

    def __call__(self, body: nn.Module, kept: Mapping[str, int], settings: SearchSettings) -> Attached: ...


METHODS: Registry[Method] = Registry("method")
