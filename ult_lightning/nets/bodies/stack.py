"""The net "stack": any chain of linear and convolutional layers, ReLUs, max-pools and flattens, given as a list."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ult_lightning.base import Options, fault, option
from ult_lightning.nets.bodies.body import NETS, Net, norm_layer

Shape = tuple[int, ...]

_KINDS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "conv": ("kernel", "stride", "padding"),
    "maxpool": ("stride", "padding"),
}
_WANTED = '"relu", "flatten", {"linear": units}, {"conv": channels, "kernel": 3, "padding": 1} or {"maxpool": 2}'


class Stack(nn.Sequential):
    """A chain of layers; its features (b, d) are the last layer's output, flattened, over gain * feature_scale."""

    def __init__(self, layers: list[nn.Module], gain: float) -> None:
        super().__init__(*layers)
        self.gain = gain
        self.feature_scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x.flatten(1) / (self.gain * self.feature_scale)


@dataclass(frozen=True)
class StackOptions(Options):
    """``layers``: what `parse_layer` reads; ``gain``: the features are divided by it."""

    layers: tuple[Any, ...] = option()
    gain: float = option(1.0, above=0)


def stack(options: StackOptions, *, norm: str, bias: bool, shape: tuple[int, int, int]) -> nn.Module:
    """A chain of ``layers``, e.g. ``layers=[flatten,{linear: 300},relu,{linear: 10}]``.

    Entries: "relu", "flatten", {"linear": units}, {"conv": channels, "kernel": k, "stride": 1, "padding": 0} and
    {"maxpool": k, "stride": k, "padding": 0}, where k and its kin are a number or a pair (height, width). A norm stands
    before each ReLU that follows a linear or a conv layer.
    """
    modules: list[nn.Module] = []
    now: Shape = shape
    for k, entry in enumerate(options.layers):
        where = f"net.options.layers[{k}]"
        kind, arguments = parse_layer(where, entry)
        if kind == "relu" and modules and isinstance(modules[-1], nn.Conv2d | nn.Linear) and norm != "none":
            modules.append(norm_layer(norm, now[0], spatial=len(now) == 3))
        module, now = _layer(where, kind, arguments, now, bias)
        modules.append(module)
    if not any(isinstance(m, nn.Conv2d | nn.Linear) for m in modules):
        raise fault(
            "net.options.layers", list(options.layers), "at least one linear or conv layer", "a mother has weights"
        )
    return Stack(modules, options.gain)


def parse_layer(where: str, entry: Any) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of one entry of ``layers``, defaults filled in; faults name the layer by ``where``."""
    if entry in ("relu", "flatten"):
        return str(entry), {}
    kinds = [kind for kind in _KINDS if isinstance(entry, Mapping) and kind in entry]
    if len(kinds) != 1:
        raise fault(where, entry, _WANTED)
    kind = kinds[0]
    strange = [key for key in entry if key not in (kind, *_KINDS[kind])]
    if strange:
        known = ", ".join((kind, *_KINDS[kind]))
        raise fault(f"{where}.{strange[0]}", entry[strange[0]], f"no such key: a {kind} layer takes {known}")
    if kind == "linear":
        return kind, {"units": _whole(f"{where}.linear", entry[kind], 1)}
    if kind == "conv":
        pairs = {"kernel": entry.get("kernel", 3), "stride": entry.get("stride", 1)}
        arguments: dict[str, Any] = {"channels": _whole(f"{where}.conv", entry[kind], 1)}
    else:
        pairs = {"kernel": entry[kind], "stride": entry.get("stride", entry[kind])}
        arguments = {}
    for key, value in pairs.items():
        arguments[key] = _pair(f"{where}.{key}", value, 1)
    arguments["padding"] = _pair(f"{where}.padding", entry.get("padding", 0), 0)
    if kind == "maxpool" and any(2 * p > k for p, k in zip(arguments["padding"], arguments["kernel"], strict=True)):
        raise fault(f"{where}.padding", entry["padding"], "at most half the kernel of the max-pool")
    return kind, arguments


def _layer(where: str, kind: str, arguments: dict[str, Any], shape: Shape, bias: bool) -> tuple[nn.Module, Shape]:
    """The module of one entry and the shape, (c, h, w) or (d,), that it makes of ``shape``."""
    if kind == "relu":
        return nn.ReLU(), shape
    if kind == "flatten":
        return nn.Flatten(), (math.prod(shape),)
    if kind == "linear":
        if len(shape) != 1:
            raise fault(where, shape, "features (d,) before a linear layer", 'put "flatten" before it')
        return nn.Linear(shape[0], arguments["units"], bias=bias), (arguments["units"],)
    if len(shape) != 3:
        raise fault(where, shape, f"maps (c, h, w) before a {kind}", 'put it before "flatten"')
    kernel, stride, padding = (arguments[key] for key in ("kernel", "stride", "padding"))
    sides = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True))
    if min(sides) < 1:
        raise fault(where, kernel, f"a kernel that fits maps of {shape[1]}x{shape[2]}", "add padding")
    if kind == "maxpool":
        return nn.MaxPool2d(kernel, stride, padding), (shape[0], *sides)
    channels = arguments["channels"]
    return nn.Conv2d(shape[0], channels, kernel, stride, padding, bias=bias), (channels, *sides)


def _whole(where: str, got: Any, least: int) -> int:
    if isinstance(got, bool) or not isinstance(got, int) or got < least:
        raise fault(where, got, f"a whole number of at least {least}")
    return got


def _pair(where: str, got: Any, least: int) -> tuple[int, int]:
    pair = got if isinstance(got, list | tuple) else (got, got)
    if len(pair) != 2:
        raise fault(where, got, "a whole number or a pair (height, width)")
    return (_whole(where, pair[0], least), _whole(where, pair[1], least))


NETS.add("stack", Net(StackOptions, stack))
