"""Mothers of the constructions of Burkholz et al. (2022): one-input ReLU nets shared over inputs and features.

The inputs are the pixels of the adapted image, averaged over channels: d = h * w of them. A *pointwise* chain is a
one-input net applied to every input (or feature) alike, as 1x1 convolutions are; ``[a, n, c]`` means the layers
1 -> a -> n -> c -> 1, ``[a, c]`` means 1 -> a -> c -> 1. Features are divided by the product of the layers' scales
(``feature_scale``) and by ``gain``, a factor that the maker of a ticket is free to choose.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.base import fault
from ult_lightning.nets._bodies import NETS, take_options

Weights = tuple[Tensor, Tensor | None]


class Chain(nn.Module):
    """Stages of ReLU layers: each ``pointwise`` stage maps (b, n) to (b, n) entry by entry, each other one mixes entries.

    ``stages``: (name, pointwise, widths) with widths from input to output. Every layer is followed by a ReLU, but the
    last. Images (b, c, h, w) to features (b, d).
    """

    def __init__(self, stages: Sequence[tuple[str, bool, Sequence[int]]], *, bias: bool, gain: float) -> None:
        super().__init__()
        self.feature_scale, self.gain = 1.0, gain
        self.order: list[tuple[str, bool]] = []
        for name, pointwise, widths in stages:
            self.order.append((name, pointwise))
            pairs = list(itertools.pairwise(widths))
            layers = [
                nn.Conv1d(i, o, 1, bias=bias) if pointwise else nn.Linear(i, o, bias=bias) for i, o in pairs
            ]
            self.add_module(name, nn.ModuleList(layers))

    def weights(self) -> list[tuple[bool, list[Weights]]]:
        """Per stage: whether it is pointwise, and its (weight (o, i), bias (o,)) pairs."""
        found = []
        for name, pointwise in self.order:
            layers: Any = getattr(self, name)
            found.append((pointwise, [(layer.weight.flatten(1), layer.bias) for layer in layers]))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return _run(self.weights(), x) / (self.gain * self.feature_scale)

    def compact(self, *, nonnegative: bool) -> nn.Module:
        """The same function in a small form (`fold_chain`), frozen; ``nonnegative``: whether all inputs are >= 0."""
        return CompactChain(self, nonnegative)


class CompactChain(nn.Module):
    """A frozen `Chain` in the small form of `fold_chain`, its float32 weights rounded once."""

    def __init__(self, chain: Chain, nonnegative: bool) -> None:
        super().__init__()
        self.form: list[tuple[bool, int]] = []
        self.values = nn.ParameterList()
        for pointwise, layers in fold_chain(chain, nonnegative=nonnegative):
            self.form.append((pointwise, len(layers)))
            self.values.extend(nn.Parameter(t.float(), requires_grad=False) for pair in layers for t in pair)

    @property
    def units(self) -> int:
        """Number of units, over all layers."""
        return sum(len(bias) for bias in list(self.values)[1::2])

    def forward(self, x: Tensor) -> Tensor:
        flat, place = list(self.values), 0
        stages: list[tuple[bool, list[Weights]]] = []
        for pointwise, count in self.form:
            stages.append((pointwise, [(flat[place + 2 * i], flat[place + 2 * i + 1]) for i in range(count)]))
            place += 2 * count
        return _run(stages, x)


def _run(stages: list[tuple[bool, list[Weights]]], x: Tensor) -> Tensor:
    h = x.mean(1).flatten(1)  # (b, h * w)
    for number, (pointwise, layers) in enumerate(stages):
        h = h.unsqueeze(-1) if pointwise else h
        for index, (weight, bias) in enumerate(layers):
            h = F.linear(h, weight, bias)
            last = number == len(stages) - 1 and index == len(layers) - 1
            h = h if last else F.relu(h, inplace=not h.requires_grad)
        h = h.squeeze(-1) if pointwise else h
    return h


def fold_chain(chain: Chain, *, nonnegative: bool) -> list[tuple[bool, list[tuple[Tensor, Tensor]]]]:
    """The function of a chain with fewer units: per stage, whether it is pointwise, and (weight (o, i), bias (o,)) float64.

    Exact but for rounding: units that are never active or that nothing reads are left out; a layer whose weights and biases
    are all >= 0 is linear on inputs >= 0 and merges with the next; the division by the scales goes into the last layer.
    ``nonnegative``: whether the inputs of the whole chain are >= 0. The other stages' inputs have passed a ReLU.
    """
    stages = []
    for number, (pointwise, layers) in enumerate(chain.weights()):
        wide = [
            (w.detach().double(), torch.zeros(len(w)).double() if b is None else b.detach().double())
            for w, b in layers
        ]
        slim = prune_dead_units(wide)
        stages.append((pointwise, _merge_linear(slim) if nonnegative or number > 0 else slim))
    weight, bias = stages[-1][1][-1]
    scale = chain.gain * chain.feature_scale
    stages[-1][1][-1] = (weight / scale, bias / scale)
    return stages


def _merge_linear(layers: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """The same function of inputs >= 0, without the hidden layers on which the ReLU has nothing to do."""
    done = [layers[0]]
    for weight, bias in layers[1:]:
        before, shift = done[-1]
        if bool((before >= 0).all() and (shift >= 0).all()):
            done[-1] = (weight @ before, weight @ shift + bias)
        else:
            done.append((weight, bias))
    return done


def prune_dead_units(layers: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """The same ReLU net from its (weight (o, i), bias (o,)) pairs without hidden units that are 0 for every input (no
    incoming weight, no positive bias) or that no later unit reads. Inputs and outputs stay.
    """
    slim = list(layers)
    for index in range(len(slim) - 1):  # forwards: a unit that is always 0 feeds nothing
        weight, bias = slim[index]
        _keep_units(slim, index, (weight != 0).any(1) | (bias > 0))
    for index in range(len(slim) - 2, -1, -1):  # backwards: a unit that nothing reads needs no input
        _keep_units(slim, index, (slim[index + 1][0] != 0).any(0))
    return slim


def _keep_units(layers: list[tuple[Tensor, Tensor]], index: int, keep: Tensor) -> None:
    weight, bias = layers[index]
    layers[index] = (weight[keep], bias[keep])
    layers[index + 1] = (layers[index + 1][0][:, keep], layers[index + 1][1])


def chain_widths(net: str, option: str, value: Any) -> list[int]:
    """[1, a, n, c, 1] or [1, a, c, 1] of an option [a, n, c] or [a, c]; raises ``UltError`` for anything else."""
    good = isinstance(value, Sequence) and not isinstance(value, str) and len(value) in (2, 3)
    if not good or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in value):
        wanted = "two or three widths of at least 1"
        raise fault(f"net.options.{option}", value, wanted, f"such as [200,10,200] for {net}")
    return [1, *value, 1]


def _width(option: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise fault(f"net.options.{option}", value, "a whole number of at least 1")
    return value


def _gain(value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value == 0
    ):
        raise fault("net.options.gain", value, "a finite number other than 0")
    return float(value)


def _no_norm(net: str, norm: str) -> None:
    if norm != "none":
        raise fault("norm", norm, f"norm=none with net={net}", "the construction has no place for a norm")


@NETS.register("univariate")
def univariate(
    options: Mapping[str, Any],
    *,
    norm: str,
    bias: bool,
    shape: tuple[int, int, int],
) -> nn.Module:
    """One function of one variable, applied to every input: features (b, d)."""
    widths, gain = take_options("univariate", options, chain=[200, 20, 200], gain=1.0)
    _no_norm("univariate", norm)
    return Chain(
        [("function", True, chain_widths("univariate", "chain", widths))], bias=bias, gain=_gain(gain)
    )


@NETS.register("polynomial")
def polynomial(
    options: Mapping[str, Any],
    *,
    norm: str,
    bias: bool,
    shape: tuple[int, int, int],
) -> nn.Module:
    """Logarithms of the inputs, linear combinations of them, exponentials: features (b, k) such as monomials."""
    features, log, linear, exp, gain = take_options(
        "polynomial", options, features=4, log=[200, 10, 200], linear=200, exp=[500, 40, 500], gain=1.0
    )
    _no_norm("polynomial", norm)
    inputs = shape[1] * shape[2]
    stages = [
        ("log", True, chain_widths("polynomial", "log", log)),
        ("exponents", False, [inputs, _width("linear", linear), _width("features", features)]),
        ("exp", True, chain_widths("polynomial", "exp", exp)),
    ]
    return Chain(stages, bias=bias, gain=_gain(gain))


@NETS.register("fourier")
def fourier(options: Mapping[str, Any], *, norm: str, bias: bool, shape: tuple[int, int, int]) -> nn.Module:
    """Linear combinations of the inputs, then one wave for all: features (b, k). ``fold`` puts a chain before the wave."""
    features, linear, fold, wave, gain = take_options(
        "fourier", options, features=4, linear=200, fold=None, wave=[250, 40, 250], gain=1.0
    )
    _no_norm("fourier", norm)
    inputs = shape[1] * shape[2]
    stages: list[tuple[str, bool, Iterable[int]]] = [
        ("frequencies", False, [inputs, _width("linear", linear), _width("features", features)])
    ]
    if fold is not None:
        stages.append(("fold", True, chain_widths("fourier", "fold", fold)))
    stages.append(("wave", True, chain_widths("fourier", "wave", wave)))
    return Chain([(n, p, list(w)) for n, p, w in stages], bias=bias, gain=_gain(gain))
