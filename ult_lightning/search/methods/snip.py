"""SNIP (Lee et al. 2019, "SNIP: single-shot network pruning based on connection sensitivity")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ult_lightning.base import UltError, option
from ult_lightning.nets import Mother, evaluating, maskable
from ult_lightning.search.methods.method import METHODS, Loss, Scorer, ScoringOptions, select
from ult_lightning.tickets import Mask, Subnetwork


@dataclass(frozen=True)
class SnipOptions(ScoringOptions):
    """``batches``: training batches whose gradients are added up (one, in the paper)."""

    batches: int = option(1, least=1)


@METHODS.register("snip")
class Snip(Scorer):
    """Keeps the parameters with the largest connection sensitivity |g * w|, g the loss's gradient."""

    OPTIONS = SnipOptions
    reads_data = True
    options: SnipOptions

    def __init__(self, options: SnipOptions, *, seed: int) -> None:
        super().__init__(options, seed=seed)
        self.batches = options.batches

    def subnetwork(
        self,
        mother: Mother,
        kept: Mapping[str, int],
        *,
        batches: Sequence[Any] = (),
        loss: Loss | None = None,
    ) -> Subnetwork:
        """One forward and backward pass per batch, batch norms on the batch's own statistics."""
        assert loss is not None
        parameters = maskable(mother.body)
        before = {name: buffer.clone() for name, buffer in mother.named_buffers()}
        flags = {name: p.requires_grad for name, p in parameters.items()}
        gradients: dict[str, Tensor] = {}
        with evaluating(mother):
            for module in mother.modules():
                module.training = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
            for parameter in parameters.values():
                parameter.requires_grad_(True)
            try:
                for batch in batches:
                    of_batch = torch.autograd.grad(loss(mother, batch), list(parameters.values()))
                    for name, gradient in zip(parameters, of_batch, strict=True):
                        gradients[name] = gradients[name] + gradient if name in gradients else gradient
            finally:
                for name, parameter in parameters.items():
                    parameter.requires_grad_(flags[name])
                with torch.no_grad():
                    for name, buffer in mother.named_buffers():
                        buffer.copy_(before[name])
        scores = {name: (gradients[name] * parameters[name].detach()).abs() for name in parameters}
        if not all(bool(torch.isfinite(score).all()) for score in scores.values()):
            raise UltError("The sensitivities of snip are not finite: try another norm or init, or a smaller width.")
        masks = select(scores, kept, pooled=self.pooled)
        return Subnetwork(Mask({name: mask.cpu().numpy() for name, mask in masks.items()}))
