"""What an objective is: a class by name in OBJECTIVES that turns features and labels into the loss of a search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ult_lightning.base import NoOptions, Options, Registry


class Objective(ABC):
    """The base of all objectives.

    ``labels``: whether it reads labels. ``views``: augmented views of each image that it wants, 1 for none besides the image
    itself. ``heads_train``: whether the source heads are trained; else they are random, and the method masks them as it
    masks the body.
    """

    OPTIONS: ClassVar[type[Options]] = NoOptions
    labels: ClassVar[bool] = True
    views: ClassVar[int] = 1
    heads_train: ClassVar[bool] = True

    def __init__(self, options: Any, *, seed: int) -> None:
        self.options, self.seed = options, seed

    @abstractmethod
    def heads(self, dim: int, classes: Sequence[int]) -> nn.ModuleList:
        """One linear head (k, d) per source, from streams of its own."""

    @abstractmethod
    def loss(
        self,
        features: Tensor,
        labels: Tensor,
        head: nn.Module,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The loss () of one source's features (b, d) and labels (b,) int64."""


OBJECTIVES: Registry[type[Objective]] = Registry("objective")
