"""LeNet-300-100 (LeCun et al. 1998)."""

from __future__ import annotations

import math

from torch import nn

from ult_lightning.nets.bodies.body import NETS, Net, Shape, WidthOptions, norm_layer


def lenet_300_100(options: WidthOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    """Two linear layers of 300 and 100 units with ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    fan = math.prod(shape)
    for units in (300, 100):
        units = max(1, round(units * options.width))
        layers += [nn.Linear(fan, units, bias=bias), norm_layer(norm, units, spatial=False), nn.ReLU(inplace=True)]
        fan = units
    return nn.Sequential(*layers)


NETS.add("lenet_300_100", Net(WidthOptions, lenet_300_100))
