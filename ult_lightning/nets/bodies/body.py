"""What a net is: its options, how its body is built from them, and the parts that several nets have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.base import Options, Registry, fault, option, read_options

Shape = tuple[int, int, int]
Trunk = Literal["pool", "fc"]


@dataclass(frozen=True)
class Net:
    """A body by name.

    ``options`` is the dataclass of what it takes; ``body`` is called as ``body(options, *, norm, bias, shape)``, ``shape``
    the input's (c, h, w), and returns a module from a batch (b, c, h, w) to features (b, d), without a classifier.
    """

    options: type[Options]
    body: Callable[..., nn.Module]

    def build(self, options: Mapping[str, Any], *, norm: str, bias: bool, shape: Shape) -> nn.Module:
        """The body of plain options; raises ``UltError`` that names ``net.options.x``."""
        checked = read_options(self.options, options, key="net.options")
        return self.body(checked, norm=norm, bias=bias, shape=shape)


NETS: Registry[Net] = Registry("net")


@dataclass(frozen=True)
class WidthOptions(Options):
    """``width``: a factor on all widths; 1 is the net as published."""

    width: float = option(1.0, above=0, most=64)


MAP_SIZE = 4
"""Conv maps larger than 4x4 are average-pooled to 4x4; smaller ones stay as they are."""


class ToMap(nn.Module):
    """Average-pools (b, c, h, w) to at most 4x4 and flattens: (b, c * min(h, 4) * min(w, 4))."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height % MAP_SIZE == 0 and width % MAP_SIZE == 0:
            cell = (height // MAP_SIZE, width // MAP_SIZE)
            return (x if cell == (1, 1) else F.avg_pool2d(x, cell)).flatten(1)
        return F.adaptive_avg_pool2d(x, (min(height, MAP_SIZE), min(width, MAP_SIZE))).flatten(1)


def norm_layer(norm: str, channels: int, *, spatial: bool = True) -> nn.Module:
    """A normalisation without parameters: batch (with running statistics), layer (stateless) or none."""
    if norm == "batch":
        return nn.BatchNorm2d(channels, affine=False) if spatial else nn.BatchNorm1d(channels, affine=False)
    if norm == "layer":
        return nn.GroupNorm(1, channels, affine=False) if spatial else nn.LayerNorm(channels, elementwise_affine=False)
    return nn.Identity()


def replace_norms(net: nn.Module, norm: str, *, what: str) -> None:
    """Replaces every norm of ``net``, in place, by the norm named (none of ours has parameters).

    Layer norms stay layer norms, without parameters, or go: a batch norm in their place would be another net; for that
    raises ``UltError``, which names the net ``what``.
    """
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, norm_layer(norm, child.num_features))
            elif isinstance(child, nn.LayerNorm):
                if norm == "batch":
                    raise fault(
                        "norm", norm, f"layer or none, since the norms of {what} are layer norms", "say norm=layer"
                    )
                plain = type(child)(child.normalized_shape, eps=child.eps, elementwise_affine=False)
                setattr(module, name, plain if norm == "layer" else nn.Identity())


def give_biases(net: nn.Module) -> None:
    """Gives a bias, in place, to every convolution of ``net`` that has none."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
