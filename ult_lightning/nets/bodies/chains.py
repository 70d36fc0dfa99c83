"""Mothers of the constructions of Burkholz et al. (2022): one-input ReLU nets shared over inputs and features.

The inputs are the pixels of the adapted image, averaged over channels: d = h * w of them. A *pointwise* chain is a
one-input net applied to every input (or feature) alike, as 1x1 convolutions are; ``[a, n, c]`` means the layers
1 -> a -> n -> c -> 1, ``[a, c]`` means 1 -> a -> c -> 1. Features are divided by the product of the layers' scales
(``feature_scale``) and by ``gain``, a factor that the maker of a ticket is free to choose.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.base import Options, fault, option
from ult_lightning.nets.bodies.body import NETS, Net, Shape

Weights = tuple[Tensor, Tensor | None]
Stage = tuple[str, bool, Sequence[int]]


class Chain(nn.Module):
    """Stages of ReLU layers: each ``pointwise`` stage maps (b, n) to (b, n) entry by entry, each other one mixes entries.

    ``stages``: (name, pointwise, widths) with widths from input to output. Every layer is followed by a ReLU, but the
    last. Images (b, c, h, w) to features (b, d).
    """

    def __init__(self, stages: Sequence[Stage], *, bias: bool, gain: float) -> None:
        super().__init__()
        self.feature_scale, self.gain = 1.0, gain
        self.order: list[tuple[str, bool]] = []
        for name, pointwise, widths in stages:
            self.order.append((name, pointwise))
            pairs = list(itertools.pairwise(widths))
            layers = [nn.Conv1d(i, o, 1, bias=bias) if pointwise else nn.Linear(i, o, bias=bias) for i, o in pairs]
            self.add_module(name, nn.ModuleList(layers))

    def weights(self) -> list[tuple[bool, list[Weights]]]:
        """Per stage: whether it is pointwise, and its (weight (o, i), bias (o,)) pairs."""
        stages = []
        for name, pointwise in self.order:
            layers: Any = getattr(self, name)
            stages.append((pointwise, [(layer.weight.flatten(1), layer.bias) for layer in layers]))
        return stages

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
            (w.detach().double(), torch.zeros(len(w)).double() if b is None else b.detach().double()) for w, b in layers
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


@dataclass(frozen=True)
class ChainOptions(Options):
    """``gain``: the features are divided by it; not 0."""

    gain: float = option(1.0)


@dataclass(frozen=True)
class UnivariateOptions(ChainOptions):
    """``chain``: widths of the hidden layers; of two, random ReLUs serve as knots."""

    chain: tuple[int, ...] = option((200, 20, 200), least=1)


@dataclass(frozen=True)
class PolynomialOptions(ChainOptions):
    """``features``: d; ``log``, ``exp``: widths of the two chains; ``linear``: units between the inputs and the exponents."""

    features: int = option(4, least=1)
    log: tuple[int, ...] = option((200, 10, 200), least=1)
    linear: int = option(200, least=1)
    exp: tuple[int, ...] = option((500, 40, 500), least=1)


@dataclass(frozen=True)
class FourierOptions(ChainOptions):
    """``features``: d; ``linear``: units between the inputs and the frequencies; ``fold``, ``wave``: widths of the chains."""

    features: int = option(4, least=1)
    linear: int = option(200, least=1)
    fold: tuple[int, ...] | None = option(None, least=1)
    wave: tuple[int, ...] = option((250, 40, 250), least=1)


def univariate(options: UnivariateOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    """One function of one variable, applied to every input: features (b, d)."""
    return _chain("univariate", [("function", True, _widths("chain", options.chain))], options, norm, bias)


def polynomial(options: PolynomialOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    """Logarithms of the inputs, linear combinations of them, exponentials: features (b, k) such as monomials."""
    stages: list[Stage] = [
        ("log", True, _widths("log", options.log)),
        ("exponents", False, [shape[1] * shape[2], options.linear, options.features]),
        ("exp", True, _widths("exp", options.exp)),
    ]
    return _chain("polynomial", stages, options, norm, bias)


def fourier(options: FourierOptions, *, norm: str, bias: bool, shape: Shape) -> nn.Module:
    """Linear combinations of the inputs, then one wave for all: features (b, k). ``fold`` puts a chain before the wave."""
    inputs = shape[1] * shape[2]
    stages: list[Stage] = [("frequencies", False, [inputs, options.linear, options.features])]
    if options.fold is not None:
        stages.append(("fold", True, _widths("fold", options.fold)))
    stages.append(("wave", True, _widths("wave", options.wave)))
    return _chain("fourier", stages, options, norm, bias)


def _chain(net: str, stages: Sequence[Stage], options: ChainOptions, norm: str, bias: bool) -> Chain:
    if norm != "none":
        raise fault("norm", norm, f"norm=none with net={net}", "the construction has no place for a norm")
    if options.gain == 0:
        raise fault("net.options.gain", options.gain, "a finite number other than 0")
    return Chain(stages, bias=bias, gain=options.gain)


def _widths(option: str, widths: Sequence[int]) -> list[int]:
    """[1, a, n, c, 1] or [1, a, c, 1] of an option [a, n, c] or [a, c]; raises ``UltError`` for other lengths."""
    if len(widths) not in (2, 3):
        raise fault(f"net.options.{option}", list(widths), "two or three widths", "such as [200,10,200]")
    return [1, *widths, 1]


NETS.add("univariate", Net(UnivariateOptions, univariate))
NETS.add("polynomial", Net(PolynomialOptions, polynomial))
NETS.add("fourier", Net(FourierOptions, fourier))
