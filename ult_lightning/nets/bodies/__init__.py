"""Bodies by name, one file per family: a batch (b, c, h, w) to features (b, d), without a classifier."""

from ult_lightning.nets.bodies import conv as conv
from ult_lightning.nets.bodies import lenet as lenet
from ult_lightning.nets.bodies import resnet as resnet
from ult_lightning.nets.bodies import torchvision as torchvision
from ult_lightning.nets.bodies.body import NETS, Net
from ult_lightning.nets.bodies.chains import Chain, fold_chain
from ult_lightning.nets.bodies.stack import parse_layer

__all__ = ["NETS", "Chain", "Net", "fold_chain", "parse_layer"]
