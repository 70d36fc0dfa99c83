"""ResNet-18 for small images (He et al. 2016)."""

from __future__ import annotations

from torch import nn

from ult_lightning.base import NoOptions
from ult_lightning.nets.bodies.body import NETS, Net, Shape, ToMap, give_biases, replace_norms


def resnet18(options: NoOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    """ResNet-18 with the CIFAR stem: a 3x3 convolution of stride 1 and no max-pool."""
    from torchvision import models

    net: nn.Module = models.resnet18(weights=None)
    net.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    net.avgpool = ToMap()
    net.fc = nn.Identity()
    replace_norms(net, norm, what="resnet18")
    if bias:
        give_biases(net)
    return net


NETS.add("resnet18", Net(NoOptions, resnet18))
