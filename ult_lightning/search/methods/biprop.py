"""Biprop (Diffenderfer & Kailkhura 2021, "Multi-prize lottery ticket hypothesis", algorithm 1): a mask over binary weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ult_lightning.search.methods.method import METHODS, TrainingOptions
from ult_lightning.search.methods.scores import ScoreLearner
from ult_lightning.tickets import Subnetwork


@METHODS.register("biprop")
class Biprop(ScoreLearner):
    """Edge-popup whose kept weights are alpha * sign(w), with alpha the mean |w| over the kept ones of a layer (the gain term).

    Biases are masked only. The options' defaults are those of the paper on CIFAR-10, the same as edge-popup's.
    """

    OPTIONS = TrainingOptions

    def __init__(self, body: nn.Module, kept: Mapping[str, int], options: Any, *, seed: int, steps: int = 1) -> None:
        self.scales: dict[str, Tensor] = {}
        super().__init__(body, kept, options, seed=seed, steps=steps)

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Recomputes masks, scales and binary weights; a layer of which nothing is kept has the scale 0."""
        super().before_step(step)
        for name, layer in self.layers.items():
            if name.endswith("weight"):
                weight = self._original(name)
                torch.abs(weight, out=layer.scratch)
                scale = layer.scratch.mul_(layer.mask).sum() / layer.mask.sum().clamp(min=1)
                if layer.values is None:
                    layer.values, self.scales[name] = torch.empty_like(weight), torch.empty_like(scale)
                torch.sign(weight, out=layer.values).mul_(scale)
                self.scales[name] = self.scales[name].to(scale.device).copy_(scale)

    def subnetwork(self) -> Subnetwork:
        """The present mask, and the scale of each weight."""
        scales = {name: scale.cpu().numpy() for name, scale in self.scales.items()}
        return Subnetwork(super().subnetwork().mask, scales)

    def _original(self, name: str) -> Tensor:
        prefix, _, leaf = name.rpartition(".")
        original = self.body.get_submodule(f"{prefix}.parametrizations.{leaf}".lstrip(".")).original
        assert isinstance(original, Tensor)
        return original
