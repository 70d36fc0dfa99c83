"""Mother architectures by name. A body maps a batch (b, c, h, w) to features (b, d); it has no classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.base import Registry, fault

Body = Callable[..., nn.Module]
NETS: Registry[Body] = Registry("net")
"""Builders ``(options, *, norm, bias, shape) -> nn.Module``; ``shape`` is the input's (c, h, w)."""

MAP_SIZE = 4
"""Conv maps larger than 4x4 are average-pooled to 4x4; smaller ones stay as they are."""

Channels = list[Any]
_PRESETS: dict[str, Channels] = {
    "conv2": [64, 64, "M"],
    "conv4": [64, 64, "M", 128, 128, "M"],
    "conv6": [64, 64, "M", 128, 128, "M", 256, 256, "M"],
    "conv8": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M"],
}
_TRUNK_WIDTH = 256


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
        return (
            nn.GroupNorm(1, channels, affine=False)
            if spatial
            else nn.LayerNorm(channels, elementwise_affine=False)
        )
    return nn.Identity()


def take_options(net: str, options: Mapping[str, Any], **defaults: Any) -> list[Any]:
    """The values of ``options`` in the order of ``defaults``; an option that the net does not have is a fault."""
    for key in options:
        if key not in defaults:
            raise fault(
                f"net.options.{key}",
                options[key],
                f"an option of {net}",
                f"{net} takes {', '.join(defaults)}",
            )
    return [options.get(key, value) for key, value in defaults.items()]


def _width(net: str, width: Any) -> float:
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 64:
        raise fault("net.options.width", width, "a factor above 0, at most 64", f"1 is {net} as published")
    return float(width)


def _trunk(trunk: Any) -> str:
    if trunk not in ("pool", "fc"):
        raise fault(
            "net.options.trunk", trunk, "pool or fc", "pool gives 4x4 maps, fc two more linear layers"
        )
    return str(trunk)


class ConvNet(nn.Sequential):
    """3x3 convolutions with ReLU, "M" for a 2x2 max-pool, then 4x4 maps (``pool``) or two linear layers (``fc``)."""

    def __init__(
        self,
        channels: Channels,
        *,
        norm: str,
        bias: bool,
        trunk: str,
        shape: tuple[int, int, int],
    ) -> None:
        layers: list[nn.Module] = []
        fan, height, wide = shape
        for item in channels:
            if item == "M":
                if min(height, wide) < 2:
                    raise fault(
                        "net.options.channels",
                        channels,
                        f"max-pools that fit an input of {shape}",
                        "drop an M",
                    )
                layers.append(nn.MaxPool2d(2))
                height, wide = height // 2, wide // 2
                continue
            layers += [
                nn.Conv2d(fan, item, 3, padding=1, bias=bias),
                norm_layer(norm, item),
                nn.ReLU(inplace=True),
            ]
            fan = item
        if trunk == "pool":
            layers.append(ToMap())
        else:
            layers.append(nn.Flatten())
            fan *= height * wide
            for _ in range(2):
                layers += [
                    nn.Linear(fan, _TRUNK_WIDTH, bias=bias),
                    norm_layer(norm, _TRUNK_WIDTH, spatial=False),
                ]
                layers.append(nn.ReLU(inplace=True))
                fan = _TRUNK_WIDTH
        super().__init__(*layers)


def _preset(name: str) -> Body:
    def build(options: Mapping[str, Any], *, norm: str, bias: bool, shape: tuple[int, int, int]) -> nn.Module:
        width, trunk = take_options(name, options, width=1.0, trunk="pool")
        factor = _width(name, width)
        channels = [c if c == "M" else max(1, round(c * factor)) for c in _PRESETS[name]]
        return ConvNet(channels, norm=norm, bias=bias, trunk=_trunk(trunk), shape=shape)

    return build


for _name in _PRESETS:
    NETS.add(_name, _preset(_name))


@NETS.register("conv")
def conv(options: Mapping[str, Any], *, norm: str, bias: bool, shape: tuple[int, int, int]) -> nn.Module:
    """A convolutional net with the channels you list, e.g. ``channels=[32,32,M,64,64,M,128]``."""
    channels, trunk = take_options("conv", options, channels=[32, 32, "M", 64, 64, "M", 128], trunk="pool")
    good = isinstance(channels, list | tuple) and any(c != "M" for c in channels)
    if not good or any(
        c != "M" and (isinstance(c, bool) or not isinstance(c, int) or c < 1) for c in channels
    ):
        raise fault(
            "net.options.channels", channels, "a list of channel counts and M", "for example [32,32,M,64]"
        )
    return ConvNet(list(channels), norm=norm, bias=bias, trunk=_trunk(trunk), shape=shape)


@NETS.register("lenet_300_100")
def lenet_300_100(
    options: Mapping[str, Any],
    *,
    norm: str,
    bias: bool,
    shape: tuple[int, int, int],
) -> nn.Module:
    """Two linear layers of 300 and 100 units with ReLU (LeCun et al. 1998)."""
    (width,) = take_options("lenet_300_100", options, width=1.0)
    factor = _width("lenet_300_100", width)
    layers: list[nn.Module] = [nn.Flatten()]
    fan = math.prod(shape)
    for units in (300, 100):
        units = max(1, round(units * factor))
        layers += [
            nn.Linear(fan, units, bias=bias),
            norm_layer(norm, units, spatial=False),
            nn.ReLU(inplace=True),
        ]
        fan = units
    return nn.Sequential(*layers)


@NETS.register("resnet18")
def resnet18(options: Mapping[str, Any], *, norm: str, bias: bool, shape: tuple[int, int, int]) -> nn.Module:
    """ResNet-18 with the CIFAR stem: a 3x3 convolution of stride 1 and no max-pool (He et al. 2016)."""
    from torchvision import models

    take_options("resnet18", options)
    net: nn.Module = models.resnet18(weights=None)
    net.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    net.avgpool = ToMap()
    net.fc = nn.Identity()
    replace_norms(net, norm, what="resnet18")
    if bias:
        give_biases(net)
    return net


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
                        "norm",
                        norm,
                        f"layer or none, since the norms of {what} are layer norms",
                        "say norm=layer",
                    )
                plain = type(child)(child.normalized_shape, eps=child.eps, elementwise_affine=False)
                setattr(module, name, plain if norm == "layer" else nn.Identity())


def give_biases(net: nn.Module) -> None:
    """Gives a bias, in place, to every convolution of ``net`` that has none."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
