"""A given network in plain steps, each of them one of its layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ult_lightning.construct._arrays import Floats

Entry = Any  # one entry of the net "stack": a word or a mapping


@dataclass(frozen=True)
class Step:
    """One layer: ``kind`` relu, flatten, maxpool, linear or conv; ``weight`` (o, i, kh, kw), 1x1 for linear; ``bias`` (o,)."""

    kind: str
    name: str
    entry: Entry
    weight: Floats = field(default_factory=lambda: np.zeros((0, 0, 1, 1)))
    bias: Floats = field(default_factory=lambda: np.zeros(0))
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    @property
    def weighted(self) -> bool:
        return self.kind in ("linear", "conv")

    def apply(self, h: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """The layer's output for (b, c, h, w), features being 1x1 maps; ``weight``, ``bias`` replace its own."""
        if self.kind == "relu":
            return h.clamp_min(0.0)
        if self.kind == "flatten":
            return h.flatten(1)[:, :, None, None]
        if self.kind == "maxpool":
            return F.max_pool2d(h, self.kernel, self.stride, self.padding)
        weight = torch.from_numpy(self.weight) if weight is None else weight
        bias = torch.from_numpy(self.bias) if bias is None else bias
        return F.conv2d(h, weight, bias, self.stride, self.padding)
