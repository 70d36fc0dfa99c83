"""Linear heads W phi + c, paths of them, and the choice of one on validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ult_lightning.base import Grown, Options, Registry, fault, grow_grid, read_options

R = TypeVar("R")


@dataclass(frozen=True)
class LinearHead:
    """Features (b, d) to logits (b, k): ``weight`` (k, d) and ``bias`` (k,), float32, standardisation folded in.

    A bias of minus infinity stands for a class that had no training image: it is never predicted.
    """

    weight: Tensor
    bias: Tensor

    def __post_init__(self) -> None:
        shapes = (tuple(self.weight.shape), tuple(self.bias.shape))
        if self.weight.ndim != 2 or shapes[1] != shapes[0][:1]:
            raise fault("head", shapes, "a weight (k, d) and a bias (k,)")

    def __call__(self, features: Tensor) -> Tensor:
        return torch.addmm(self.bias, features, self.weight.T)  # (b, k)

    @property
    def classes(self) -> int:
        return self.weight.shape[0]

    @property
    def dim(self) -> int:
        return self.weight.shape[1]

    def to(self, device: str | torch.device) -> LinearHead:
        return LinearHead(self.weight.to(device), self.bias.to(device))


@dataclass(frozen=True)
class HeadPath:
    """Heads of one training set, one per candidate value of a hyper-parameter.

    ``values`` (l,) each once; ``weights`` (l, k, d) and ``biases`` (l, k), float32.
    """

    values: tuple[float, ...]
    weights: Tensor
    biases: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """Logits (b, l, k) of features (b, d) under every head, in one product."""
        candidates, classes, dim = self.weights.shape
        flat = torch.addmm(self.biases.reshape(-1), features, self.weights.reshape(-1, dim).T)  # (b, l * k)
        return flat.view(-1, candidates, classes)

    def correct(self, features: Tensor, labels: Tensor) -> Tensor:
        """How many of features (b, d) with labels (b,) each head classifies correctly, int64 (l,)."""
        return (self.scores(features).argmax(2) == labels[:, None]).sum(0)

    def head(self, value: float) -> LinearHead:
        index = self.values.index(value)
        return LinearHead(self.weights[index].clone(), self.biases[index].clone())


def unstandardised(values: Sequence[float], weights: Tensor, biases: Tensor, mean: Tensor, inverse: Tensor) -> HeadPath:
    """Heads W z + c on z = (x - mean) * inverse as a path on x; weights (l, k, d) and biases (l, k) are float64."""
    folded = weights * inverse
    return HeadPath(tuple(values), folded.float().contiguous(), (biases - folded @ mean).float())


@dataclass(frozen=True)
class HeadFit:
    """A fitted head and how it was chosen.

    ``valid_accuracy`` in [0, 1]; ``hyper`` the chosen hyper-parameters; ``seconds`` of the whole fit, forward passes
    included; ``grid`` what came of the candidates: every one with its validation accuracy, and whether the chosen one still
    lies at the edge.
    """

    head: LinearHead
    valid_accuracy: float
    hyper: dict[str, Any]
    n_train: int
    n_valid: int
    grid: Grown
    seconds: float = field(default=math.nan)


@dataclass(frozen=True)
class Head(Generic[R]):
    """A way to fit heads.

    ``options`` is the dataclass of what it takes; ``fit`` is called with the data, an instance of that, and keywords:
    ``(stream: FeatureStream, options, *, seed: int) -> HeadFit`` for images,
    ``(sample, options, *, dim: int) -> FunctionFit`` for functions.
    """

    options: type[Options]
    fit: Callable[..., R]

    def read(self, values: Mapping[str, Any] | None = None) -> Options:
        """The options from plain values; raises ``UltError`` that names ``head.options.x``."""
        return read_options(self.options, values, key="head.options")


HEADS: Registry[Head[HeadFit]] = Registry("head")
"""Heads for image tasks, by name."""


def validated(path: HeadPath, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[float, float]:
    """The accuracy of every candidate over ``batches`` of (features, labels).

    Raises ``UltError`` where ``batches`` holds no image.
    """
    right, seen = torch.zeros(len(path.values), dtype=torch.int64), 0
    for features, labels in batches:
        right += path.correct(features, labels).cpu()
        seen += len(labels)
    if seen == 0:
        raise fault("task.valid", 0, "at least one validation image", "hyper-parameters are chosen on them")
    return {value: count / seen for value, count in zip(path.values, right.tolist(), strict=True)}


def choose(
    path: HeadPath,
    batches: Iterable[tuple[Tensor, Tensor]],
    values: Sequence[float],
    *,
    argument: str,
    factor: float,
) -> Grown:
    """The candidate that validates best, of ``values`` (ties: the earlier) and of those beyond them that growing reaches.

    ``path`` has a head for all that ``grid_reach(values)`` has, but for those that diverged. Raises ``UltError`` that names
    ``argument`` where all of ``values`` did, and where ``batches`` holds no image.
    """
    accuracies = validated(path, batches)
    grown = grow_grid(values, lambda some: [accuracies.get(value, math.nan) for value in some], factor=factor)
    if grown.score == -math.inf:
        raise fault(argument, list(values), "a value with a finite head", f"{path.values[0]:g} is one")
    return grown
