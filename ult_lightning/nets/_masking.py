"""Masking as a parametrization: any module's Conv and Linear parameters, multiplied by one learnable binary mask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ult_lightning.nets import _streams as streams
from ult_lightning.nets._inits import fan_in
from ult_lightning.nets._mother import maskable
from ult_lightning.nets._select import top_k_mask
from ult_lightning.tickets import Mask


class _StraightThrough(torch.autograd.Function):
    """weight * mask; the gradient passes to the scores as if the mask were |score| (Ramanujan et al. 2020).

    Under autocast the product is made in the lower precision at once: the same bits as a cast after it, in less time.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, weight: Tensor, mask: Tensor, scratch: Tensor) -> Tensor:
        ctx.save_for_backward(scores, weight)
        ctx.scratch = scratch
        kind = weight.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        return torch.mul(weight, mask, out=torch.empty_like(weight, dtype=dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        scores, weight = ctx.saved_tensors
        return (grads[0] * weight).mul_(torch.sign(scores, out=ctx.scratch)), None, None, None


class Subset(nn.Module):
    """The parametrization of one parameter: a score for each entry and the mask that the scores gave last.

    ``scores`` start uniform on (-bound, bound) with bound = 1 / sqrt(fan_in) of the layer's weight, which is
    kaiming-uniform with a = sqrt 5; a bias takes the bound of its layer, so that its scores can move too.
    """

    mask: Tensor
    scratch: Tensor

    def __init__(self, shape: tuple[int, ...], bound: float, *, seed: int, name: str) -> None:
        super().__init__()
        self.bound = bound
        unit = 2.0 * streams.uniform(streams.raw(seed, "scores", name, math.prod(shape))) - 1.0
        self.scores = nn.Parameter(torch.from_numpy((bound * unit).astype(np.float32)).view(shape))
        self.register_buffer("mask", torch.ones(shape, dtype=torch.bool), persistent=False)
        self.register_buffer(
            "scratch", torch.empty(shape), persistent=False
        )  # memory that each step would ask for anew

    def forward(self, weight: Tensor) -> Tensor:
        masked: Tensor = _StraightThrough.apply(self.scores, weight, self.mask, self.scratch)
        return masked


class MaskedParameters:
    """All masked parameters of one module: attaches the parametrizations, and computes every mask in one call.

    ``kept`` is the number of entries to keep per parameter; with ``pooled=True`` only the totals over all weights and
    over all biases count, and |score| / bound ranks entries of different layers against each other (weights and
    biases are ranked apart, since their scores are of different scales).
    """

    def __init__(self, body: nn.Module, kept: Mapping[str, int], *, seed: int, pooled: bool = False) -> None:
        self.kept, self.pooled = dict(kept), pooled
        self.subsets: dict[str, Subset] = {}
        for name, parameter in maskable(body).items():
            prefix, _, leaf = name.rpartition(".")
            layer = body.get_submodule(prefix)
            weight = layer.weight
            assert isinstance(weight, Tensor)
            bound = 1.0 / math.sqrt(fan_in(tuple(weight.shape)))
            subset = Subset(tuple(parameter.shape), bound, seed=seed, name=name)
            parametrize.register_parametrization(layer, leaf, subset.to(parameter.device), unsafe=True)
            self.subsets[name] = subset
        self.update()

    def update(self) -> None:
        """Recomputes every mask from the present scores: exactly the counts asked for."""
        with torch.no_grad():
            if not self.pooled:
                for name, subset in self.subsets.items():
                    subset.mask = top_k_mask(torch.abs(subset.scores, out=subset.scratch), self.kept[name])
                return
            for leaf in ("weight", "bias"):
                group = [(n, s) for n, s in self.subsets.items() if n.rpartition(".")[2] == leaf]
                if group:
                    ranks = torch.cat([(s.scores.abs() / s.bound).reshape(-1) for _, s in group])
                    chosen = top_k_mask(ranks, sum(self.kept[n] for n, _ in group))
                    parts = torch.split(chosen, [s.scores.numel() for _, s in group])
                    for (_, subset), part in zip(group, parts, strict=True):
                        subset.mask = part.view(subset.scores.shape)

    def scores(self) -> list[nn.Parameter]:
        """The score tensors, in parameter order."""
        return [s.scores for s in self.subsets.values()]

    def mask(self) -> Mask:
        """The present mask as a value."""
        return Mask({name: subset.mask.cpu().numpy() for name, subset in self.subsets.items()})
