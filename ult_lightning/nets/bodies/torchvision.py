"""Any torchvision CNN classifier as a mother: its classifier is cut off, its last maps become the features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from ult_lightning.base import Options, UltError, fault, option, unknown
from ult_lightning.nets.bodies.body import NETS, Net, Shape, ToMap, Trunk, give_biases, replace_norms

_WITHOUT_AUXILIARY = {
    "googlenet": {"init_weights": False, "aux_logits": False},
    "inception_v3": {"init_weights": False, "aux_logits": False},
}
_POOLS = (nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.Dropout, nn.Identity, nn.Flatten)


@dataclass(frozen=True)
class TorchvisionOptions(Options):
    """``name`` in ``torchvision.models``; ``trunk``: "pool" ends in maps of at most 4x4, "fc" before the last layer."""

    name: str = option()
    trunk: Trunk = option("pool")


def torchvision(options: TorchvisionOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    """A torchvision classifier by ``name``, without its classifier.

    ``trunk=pool`` ends at its last maps, average-pooled to at most 4x4; ``trunk=fc`` keeps what stands between these and
    the classifier's last layer. Raises ``UltError`` for a name torchvision lacks, for a model that is no CNN and for one that
    does not run at the input's size.
    """
    import torchvision.models as models

    name = options.name
    if name not in (known := models.list_models(module=models)):
        raise unknown("net.name", name, known)
    net = models.get_model(name, weights=None, num_classes=11, **_WITHOUT_AUXILIARY.get(name, {}))
    net = _cut(net.eval(), name, options.trunk, shape)
    replace_norms(net, norm, what=name)
    if bias:
        give_biases(net)
    return net


def _cut(net: nn.Module, name: str, trunk: Trunk, shape: Shape) -> nn.Module:
    """The part of ``net`` before its classifier, with the features as output."""
    try:
        net(torch.zeros(2, *shape))
        graph = fx.symbolic_trace(net)
        fx.passes.shape_prop.ShapeProp(graph).propagate(torch.zeros(2, *shape))
    except Exception as problem:
        raise _unfit(name, shape) from problem
    nodes = list(graph.graph.nodes)
    last = _classifier(graph, nodes)
    if last is None:
        raise _unfit(name, shape)
    tail: nn.Module
    if trunk == "fc":
        feature, tail = last.args[0], nn.Flatten()
    else:
        maps = [n for n in nodes[: nodes.index(last)] if _rank(n) == 4 and not _is_pool(graph, n)]
        if not maps or not any(isinstance(m, nn.Conv2d) for m in net.modules()):
            raise _unfit(name, shape)
        feature, tail = maps[-1], ToMap()
    for node in reversed(nodes):
        if node.op == "output":
            node.args = (feature,)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return nn.Sequential(graph, tail)


def _classifier(graph: fx.GraphModule, nodes: list[fx.Node]) -> fx.Node | None:
    """The last Linear or Conv2d: the layer whose outputs are the classes."""
    for node in reversed(nodes):
        if node.op == "call_module" and isinstance(graph.get_submodule(str(node.target)), nn.Linear | nn.Conv2d):
            return node
    return None


def _rank(node: fx.Node) -> int:
    shape = getattr(node.meta.get("tensor_meta"), "shape", ())
    return len(shape)


def _is_pool(graph: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), _POOLS)
    return node.op == "call_function" and "pool" in getattr(node.target, "__name__", "")


def _unfit(name: str, shape: Shape) -> UltError:
    wanted = f"a torchvision CNN classifier that runs on inputs of {'x'.join(map(str, shape))}"
    return fault("net.name", name, wanted, "for example resnet50, mobilenet_v2, vgg11_bn or densenet121")


NETS.add("torchvision", Net(TorchvisionOptions, torchvision))
