"""What a ticket for a network is chosen by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ult_lightning.base import Options, option

Mode = Literal["2L", "L+1"]

_FIRST_BLOCK = 1.2
_FIRST_EPS = 0.1
_CONSTANTS = 24


@dataclass(frozen=True)
class NetworkOptions(Options):
    """The arguments of `network_ticket` as plain values; ``target`` and ``calibration`` (.npy) name files."""

    target: str | None = None
    mode: Mode = "2L"
    block: int = option(20, least=2, most=200)
    eps: float = option(1e-2, above=0, below=1)
    init: str = "uniform"
    calibration: str | None = None
    feedback: bool = True
    low_noise: bool | None = None
    input_shape: tuple[int, ...] | None = option(None, least=1)

    @property
    def quiet(self) -> bool:
        """``low_noise``, or what the mode says where that is None."""
        return self.mode == "L+1" if self.low_noise is None else self.low_noise

    def first_block(self) -> int:
        """The candidates in the first layer."""
        return self.block if self.mode == "2L" else math.ceil(_FIRST_BLOCK * self.block)

    def constants(self) -> int:
        """The units per layer that carry constants."""
        return max(self.block, _CONSTANTS)

    def eps_of(self, layer: int) -> float:
        """The tolerance in the layer of that number, from 0."""
        return self.eps * (_FIRST_EPS if self.mode == "L+1" and layer == 0 else 1.0)
