"""Plain convolutional nets: Conv2, Conv4, Conv6 and Conv8 of edge-popup (Ramanujan et al. 2020), and any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from ult_lightning.base import Options, fault, option
from ult_lightning.nets.bodies.body import NETS, Net, Shape, ToMap, Trunk, WidthOptions, norm_layer

Channels = Sequence[int | Literal["M"]]
_PRESETS: dict[str, Channels] = {
    "conv2": [64, 64, "M"],
    "conv4": [64, 64, "M", 128, 128, "M"],
    "conv6": [64, 64, "M", 128, 128, "M", 256, 256, "M"],
    "conv8": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M"],
}
_TRUNK_WIDTH = 256


@dataclass(frozen=True)
class PresetOptions(WidthOptions):
    """``trunk``: "pool" ends in maps of at most 4x4, "fc" in two linear layers more."""

    trunk: Trunk = option("pool")


@dataclass(frozen=True)
class ConvOptions(Options):
    """``channels`` of the convolutions, "M" for a max-pool; ``trunk`` as in ``PresetOptions``."""

    channels: tuple[int | Literal["M"], ...] = option((32, 32, "M", 64, 64, "M", 128), least=1)
    trunk: Trunk = option("pool")


class ConvNet(nn.Sequential):
    """3x3 convolutions with ReLU, "M" for a 2x2 max-pool, then 4x4 maps (``pool``) or two linear layers (``fc``)."""

    def __init__(self, channels: Channels, *, norm: str, bias: bool, trunk: Trunk, shape: Shape) -> None:
        layers: list[nn.Module] = []
        fan, height, wide = shape
        for item in channels:
            if item == "M":
                if min(height, wide) < 2:
                    raise fault(
                        "net.options.channels", list(channels), f"max-pools that fit an input of {shape}", "drop an M"
                    )
                layers.append(nn.MaxPool2d(2))
                height, wide = height // 2, wide // 2
                continue
            layers += [nn.Conv2d(fan, item, 3, padding=1, bias=bias), norm_layer(norm, item), nn.ReLU(inplace=True)]
            fan = item
        if trunk == "pool":
            layers.append(ToMap())
        else:
            layers.append(nn.Flatten())
            fan *= height * wide
            for _ in range(2):
                layers += [nn.Linear(fan, _TRUNK_WIDTH, bias=bias), norm_layer(norm, _TRUNK_WIDTH, spatial=False)]
                layers.append(nn.ReLU(inplace=True))
                fan = _TRUNK_WIDTH
        super().__init__(*layers)


def _preset(name: str, options: PresetOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    channels = [c if c == "M" else max(1, round(c * options.width)) for c in _PRESETS[name]]
    return ConvNet(channels, norm=norm, bias=bias, trunk=options.trunk, shape=shape)


def conv(options: ConvOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    """A net with the channels you list, e.g. ``channels=[32,32,M,64,64,M,128]``."""
    if all(c == "M" for c in options.channels):
        raise fault("net.options.channels", list(options.channels), "at least one channel count beside M")
    return ConvNet(options.channels, norm=norm, bias=bias, trunk=options.trunk, shape=shape)


NETS.add("conv", Net(ConvOptions, conv))
for _name in _PRESETS:
    NETS.add(_name, Net(PresetOptions, partial(_preset, _name)))
