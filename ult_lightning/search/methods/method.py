"""What a method is: a class by name in METHODS, with its options; a learner is trained, a scorer ranks without training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ult_lightning.base import NoOptions, Options, Registry, option
from ult_lightning.nets import Mother
from ult_lightning.search.methods.top_k import top_k_mask, top_k_masks
from ult_lightning.tickets import Subnetwork

Scope = Literal["layer", "global"]


@dataclass(frozen=True)
class TrainingOptions(Options):
    """How the parameters of a learner are trained.

    ``scope``: the density holds in every layer, or over the whole network. ``schedule``: of the learning rate, over all
    steps. The defaults are those of edge-popup on CIFAR-10 (Ramanujan et al. 2020).
    """

    scope: Scope = option("layer")
    optimizer: Literal["sgd", "adam"] = option("sgd")
    lr: float = option(0.1, least=0, below=1e30)
    momentum: float = option(0.9, least=0, below=1e30)
    weight_decay: float = option(1e-4, least=0, below=1e30)
    schedule: Literal["cosine", "constant"] = option("cosine")


@dataclass(frozen=True)
class ScoringOptions(Options):
    """Over what the ranks are compared: each layer, or the whole network."""

    scope: Scope = option("global")


class Method(ABC):
    """The base of both kinds. ``OPTIONS`` is the dataclass of its options; one with a field ``scope`` may pool layers."""

    OPTIONS: ClassVar[type[Options]] = NoOptions
    options: Options

    @property
    def pooled(self) -> bool:
        """Whether the density holds over all layers together."""
        return getattr(self.options, "scope", "layer") == "global"


class Learner(Method):
    """A method that is trained: attached to one body, it masks that body's parameters from then on.

    ``body``: the module whose maskable parameters it masks, changed in place. ``kept``: entries to keep by parameter (with
    ``pooled``, only the totals over weights and over biases count). ``seed``: of its own random streams. ``steps``: how
    many there will be, for schedules.
    """

    step_is_static: ClassVar[bool] = True
    """Whether ``before_step`` does the same work on the device at every step, so that a GPU may replay it as a graph."""

    def __init__(self, body: nn.Module, kept: Mapping[str, int], options: Any, *, seed: int, steps: int = 1) -> None:
        self.body, self.kept, self.options, self.seed, self.steps = body, dict(kept), options, seed, steps

    @abstractmethod
    def parameters(self) -> list[nn.Parameter]:
        """What its training moves."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer, with their learning rates and weight decays."""
        training: Any = self.options
        return [{"params": self.parameters(), "lr": training.lr, "weight_decay": training.weight_decay}]

    @abstractmethod
    def before_step(self, step: int) -> None:
        """Brings the body up to date; called once before each step (from 0), and before each validation."""

    def penalty(self) -> Tensor | None:
        """What is added to the loss of a step, shape ()."""
        return None

    def train(self, mode: bool = True) -> None:
        """Switches between training (where a method may sample its mask) and use."""

    @abstractmethod
    def subnetwork(self) -> Subnetwork:
        """The present subnetwork, as a value."""


Loss = Callable[[Mother, Any], Tensor]


class Scorer(Method):
    """A method that ranks parameters at initialisation, without training.

    ``reads_data``: whether ``subnetwork`` wants training batches; ``batches``: how many.
    """

    reads_data: ClassVar[bool] = False
    batches: int = 0

    def __init__(self, options: Any, *, seed: int) -> None:
        self.options, self.seed = options, seed

    @abstractmethod
    def subnetwork(
        self,
        mother: Mother,
        kept: Mapping[str, int],
        *,
        batches: Sequence[Any] = (),
        loss: Loss | None = None,
    ) -> Subnetwork:
        """The subnetwork of ``mother``, which stays as it is.

        ``loss(mother, batch)`` is the objective on one training batch.
        """


METHODS: Registry[type[Learner] | type[Scorer]] = Registry("method")


def select(scores: Mapping[str, Tensor], kept: Mapping[str, int], *, pooled: bool) -> dict[str, Tensor]:
    """Boolean masks of the largest scores (>= 0, finite): ``kept`` of each parameter, or with ``pooled`` as many in all.

    Weights and biases are ranked apart, since their scores are of different scales.
    """
    if not pooled:
        return dict(zip(scores, top_k_masks(list(scores.values()), [kept[name] for name in scores]), strict=True))
    masks: dict[str, Tensor] = {}
    for leaf in ("weight", "bias"):
        names = [name for name in scores if name.endswith(leaf)]
        if names:
            ranks = torch.cat([scores[name].reshape(-1) for name in names])
            chosen = top_k_mask(ranks, sum(kept[name] for name in names))
            parts = torch.split(chosen, [scores[name].numel() for name in names])
            masks |= {n: part.view(scores[n].shape) for n, part in zip(names, parts, strict=True)}
    return {name: masks[name] for name in scores}
