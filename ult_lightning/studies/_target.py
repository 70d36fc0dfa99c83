"""The target of the study of depth: a network trained on scikit-learn's digits and cut to 10 % of its weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_INPUTS, _CLASSES = 64, 10
_KEPT, _KEPT_LAST = 0.1, 0.5
_TRAIN = 1400
_BATCH = 64
_RATE = 2e-3


@dataclass(frozen=True)
class Target:
    """``module``: features (b, 64) in [0, 1] to logits (b, 10); ``train`` (1400, 64), ``test`` (397, 64) with ``labels``."""

    module: nn.Sequential
    train: Tensor
    test: Tensor
    labels: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """Its outputs (b, 10) in float64."""
        with torch.no_grad():
            found: Tensor = self.module(x).double()
        return found

    def accuracy(self) -> float:
        """On the test digits, a fraction."""
        return float((self.logits(self.test).argmax(1) == self.labels).double().mean())


@lru_cache(maxsize=2)
def digits_target(*, hidden: tuple[int, ...], seed: int, epochs: int) -> Target:
    """Train with Adam, keep the largest weights of each layer (10 %, of the last 50 %), and train those for 2/3 of the epochs.

    ``hidden``: the widths of the hidden layers.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.data))
    images = torch.from_numpy((data.data[order] / 16.0).astype(np.float32))
    labels = torch.from_numpy(data.target[order].astype(np.int64))
    module = _perceptron((_INPUTS, *hidden, _CLASSES), rng)
    train = images[:_TRAIN], labels[:_TRAIN]
    _fit(module, *train, epochs=epochs, rng=rng)
    layers = [layer for layer in module if isinstance(layer, nn.Linear)]
    shares = [_KEPT] * (len(layers) - 1) + [_KEPT_LAST]
    masks = [_largest(layer.weight, share) for layer, share in zip(layers, shares, strict=True)]
    _fit(module, *train, epochs=max(1, 2 * epochs // 3), rng=rng, masks=masks)
    module.requires_grad_(False)
    return Target(module, train[0], images[_TRAIN:], labels[_TRAIN:])


def _perceptron(sizes: Sequence[int], rng: np.random.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, units in itertools.pairwise(sizes):
        with torch.random.fork_rng(devices=[]):  # its own draw is thrown away
            layer = nn.Linear(fan_in, units)
        bound = fan_in**-0.5
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, (units, fan_in))))
            layer.bias.copy_(torch.from_numpy(rng.uniform(-bound, bound, units)))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _largest(weight: Tensor, kept: float) -> Tensor:
    """The mask (bool) of the share ``kept`` of the weights that is largest in size."""
    flat = weight.detach().abs().flatten()
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask[flat.topk(round(kept * flat.numel())).indices] = True
    return mask.reshape(weight.shape)


def _fit(
    module: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    rng: np.random.Generator,
    masks: list[Tensor] | None = None,
) -> None:
    """Cross entropy with Adam; weights outside ``masks`` are 0 from the start on."""
    weights = [layer.weight for layer in module if isinstance(layer, nn.Linear)]
    optimizer = torch.optim.Adam(module.parameters(), lr=_RATE if masks is None else _RATE / 2)

    def cut() -> None:
        with torch.no_grad():
            for weight, mask in zip(weights, masks or [], strict=bool(masks)):
                weight.mul_(mask)

    cut()
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(images)))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            optimizer.zero_grad()
            F.cross_entropy(module(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cut()
