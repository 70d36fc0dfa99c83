"""Masking as a parametrization: the parameters of any module, each multiplied by a mask that its scores decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ult_lightning.nets import draw_uniform, maskable
from ult_lightning.search.methods.method import Learner, select
from ult_lightning.tickets import Mask, Subnetwork


class _StraightThrough(torch.autograd.Function):
    """values * mask (None: weight * mask); the gradient passes to the scores as if it were |score| * weight (Ramanujan et al.
    2020).

    Under autocast the product is made in the lower precision at once: the same bits as a cast after it, in less time.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        weight: Tensor,
        values: Tensor | None,
        mask: Tensor,
        scratch: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(scores, weight)
        ctx.scratch = scratch
        kind = weight.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        values = weight if values is None else values
        return torch.mul(values, mask, out=torch.empty_like(weight, dtype=dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        scores, weight = ctx.saved_tensors
        return (grads[0] * weight).mul_(torch.sign(scores, out=ctx.scratch)), None, None, None, None


class Scores(nn.Module):
    """The parametrization of one parameter: a score for each entry and the mask that the scores gave last.

    ``scores`` start uniform on (-bound, bound) with bound = 1 / sqrt(fan_in) of the layer's weight, which is
    kaiming-uniform with a = sqrt 5; a bias takes the bound of its layer, so that its scores can move too. ``values``: what
    the mask is multiplied with, where that is not the parameter itself.
    """

    mask: Tensor
    scratch: Tensor
    values: Tensor | None

    def __init__(self, shape: tuple[int, ...], bound: float, *, seed: int, name: str) -> None:
        super().__init__()
        self.bound = bound
        unit = 2.0 * draw_uniform(seed, "scores", name, math.prod(shape)) - 1.0
        self.scores = nn.Parameter(torch.from_numpy((bound * unit).astype(np.float32)).view(shape))
        self.register_buffer("values", None, persistent=False)
        self.register_buffer("mask", torch.ones(shape, dtype=torch.bool), persistent=False)
        # memory that each step would ask for anew
        self.register_buffer("scratch", torch.empty(shape), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        masked: Tensor = _StraightThrough.apply(self.scores, weight, self.values, self.mask, self.scratch)
        return masked


class ScoreLearner(Learner):
    """A learner with one score per parameter: the mask keeps the largest |score|, exactly as many as asked for.

    With ``pooled``, |score| / bound ranks the entries of different layers against each other.
    """

    def __init__(self, body: nn.Module, kept: Mapping[str, int], options: Any, *, seed: int, steps: int = 1) -> None:
        super().__init__(body, kept, options, seed=seed, steps=steps)
        self.layers: dict[str, Scores] = {}
        for name, parameter in maskable(body).items():
            prefix, _, leaf = name.rpartition(".")
            layer = body.get_submodule(prefix)
            weight = parameter if leaf.endswith("weight") else getattr(layer, leaf[: -len("bias")] + "weight", None)
            fan_in = math.prod(weight.shape[1:]) if weight is not None else len(parameter)
            scores = Scores(tuple(parameter.shape), 1.0 / math.sqrt(fan_in), seed=seed, name=name)
            parametrize.register_parametrization(layer, leaf, scores.to(parameter.device), unsafe=True)
            self.layers[name] = scores
        self.before_step(0)

    def parameters(self) -> list[nn.Parameter]:
        """The score tensors, in parameter order."""
        return [layer.scores for layer in self.layers.values()]

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Recomputes every mask from the present scores."""
        if self.pooled:
            ranks = {name: layer.scores.abs() / layer.bound for name, layer in self.layers.items()}
        else:
            ranks = {name: torch.abs(layer.scores, out=layer.scratch) for name, layer in self.layers.items()}
        for name, mask in select(ranks, self.kept, pooled=self.pooled).items():
            self.layers[name].mask.copy_(mask)  # in place: a replayed step writes where everybody reads

    def subnetwork(self) -> Subnetwork:
        """The present mask."""
        return Subnetwork(Mask({name: layer.mask.cpu().numpy() for name, layer in self.layers.items()}))
