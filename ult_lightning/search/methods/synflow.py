"""SynFlow (Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow")."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ult_lightning.base import UltError, option
from ult_lightning.nets import Mother, maskable
from ult_lightning.search.methods.method import METHODS, Loss, Scorer, ScoringOptions, select
from ult_lightning.tickets import Mask, Subnetwork

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)


@dataclass(frozen=True)
class SynFlowOptions(ScoringOptions):
    """``rounds``: of an exponential schedule from density 1 to the one asked for; a single round collapses layers."""

    rounds: int = option(100, least=1)


@METHODS.register("synflow")
class SynFlow(Scorer):
    """Keeps the parameters with the largest synaptic saliency, recomputed after each of 100 rounds (algorithm 1).

    The saliency of w is w * dR/dw, R the sum of the features of the network of |w| on an image of ones. Norms pass
    their input on while it is computed, and it is computed in float64: R grows with every layer.
    """

    OPTIONS = SynFlowOptions
    options: SynFlowOptions

    def subnetwork(
        self,
        mother: Mother,
        kept: Mapping[str, int],
        *,
        batches: Sequence[Any] = (),
        loss: Loss | None = None,
    ) -> Subnetwork:
        """No data are read: ``batches`` and ``loss`` are not used."""
        positive = _positive_copy(mother)
        parameters = maskable(positive.body)
        device = next(iter(parameters.values())).device
        ones = torch.ones(1, *mother.spec.input.shape, dtype=torch.float64, device=device)
        whole = {name: p.detach().clone() for name, p in parameters.items()}
        masks: dict[str, Tensor] = {}
        for i in range(1, self.options.rounds + 1):
            flow = positive(ones).sum()
            if not bool(torch.isfinite(flow)):
                raise UltError("The synaptic flow is not finite in float64: try another init, or a smaller width.")
            gradients = torch.autograd.grad(flow, list(parameters.values()), allow_unused=True)
            scores = {
                name: torch.zeros_like(p) if g is None else (p * g).detach()
                for (name, p), g in zip(parameters.items(), gradients, strict=True)
            }
            masks = select(scores, self._kept(whole, kept, i), pooled=self.pooled)
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(whole[name] * masks[name])
        return Subnetwork(Mask({name: mask.cpu().numpy() for name, mask in masks.items()}))

    def _kept(self, whole: Mapping[str, Tensor], kept: Mapping[str, int], done: int) -> dict[str, int]:
        """Entries to keep in this round: the share (kept / all) ** (done / rounds) of a layer, exact in the last round."""
        if done == self.options.rounds:
            return dict(kept)
        power = done / self.options.rounds
        total = {leaf: sum(kept[n] for n in kept if n.endswith(leaf)) for leaf in ("weight", "bias")}
        sizes = {leaf: sum(whole[n].numel() for n in kept if n.endswith(leaf)) for leaf in total}
        counts = {}
        for name, tensor in whole.items():
            leaf = "bias" if name.endswith("bias") else "weight"
            share = total[leaf] / sizes[leaf] if self.pooled else kept[name] / tensor.numel()
            counts[name] = max(round(share**power * tensor.numel()), int(share > 0))
        return counts


def _positive_copy(mother: Mother) -> Mother:
    """A copy with the parameters' magnitudes in float64, in eval mode, whose norms do nothing."""
    twin = copy.deepcopy(mother).double().eval().requires_grad_(False)
    for module in twin.modules():
        if isinstance(module, _NORMS):
            module.register_forward_hook(lambda _, inputs, __: inputs[0])
    for parameter in maskable(twin.body).values():
        parameter.copy_(parameter.abs()).requires_grad_(True)
    return twin
