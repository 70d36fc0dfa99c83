"""Linear heads from random streams of their own."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ult_lightning.nets import INITS, draw_words


def seeded_head(dim: int, classes: int, seed: int, index: int) -> nn.Linear:
    """A linear head (k, d), uniform on +-1/sqrt(d) with zero bias, from a stream of its own."""
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(dim, classes)
    bound = 1.0 / math.sqrt(dim)
    key = np.random.SeedSequence([seed, index, dim, classes])
    values = np.random.Generator(np.random.Philox(key)).uniform(-bound, bound, (classes, dim))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(values))
        head.bias.zero_()
    return head


def random_head(dim: int, classes: int, seed: int, index: int, init: str) -> nn.Linear:
    """A linear head (k, d) without bias, drawn by a weight init of the mothers, that nothing trains."""
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(dim, classes, bias=False).requires_grad_(False)
    shape, drawn = (classes, dim), INITS.get(init)
    values = drawn.factor(shape, None) * drawn.weight(draw_words(seed, "source head", str(index), classes * dim), shape)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(values))
    return head
