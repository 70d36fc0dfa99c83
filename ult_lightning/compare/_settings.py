"""What a comparison is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ult_lightning.base import Options, fault, option, read_options
from ult_lightning.compare.arms import ARMS
from ult_lightning.data import TaskSpec
from ult_lightning.heads import HEADS
from ult_lightning.search import SearchSettings
from ult_lightning.tickets import MotherSpec


@dataclass(frozen=True)
class DenseSettings(Options):
    """How the arms that train weights do it.

    They take the batch size, precision and, where they say nothing else, the steps and augmentation of the ticket's search.
    The learning rate is the one with the best validation accuracy in a pilot of ``pilot_share`` of the steps, run once per
    task with the seed ``pilot_seed``, whatever the seeds of the comparison: one of ``lrs``, which grow by factors of 3 (at
    most three times) where the best is the smallest or the largest; a single rate is taken as it is. ``momentum`` and
    ``weight_decay`` are those of SGD, ``schedule`` is "cosine" or "constant".
    """

    lrs: tuple[float, ...] = option((0.03, 0.1, 0.3), above=0, distinct=True)
    pilot_share: float = option(0.33, above=0, most=1)
    pilot_seed: int = option(0, least=0)
    momentum: float = option(0.9, least=0, below=1)
    weight_decay: float = option(5e-4, least=0)
    schedule: Literal["cosine", "constant"] = option("cosine")


@dataclass(frozen=True)
class CompareSettings:
    """A grid: every arm on every target with every seed.

    ``mother`` and ``search`` are templates whose seed each run replaces by its own. ``head`` is fitted by all arms that
    freeze a network. ``arm_options`` has options by the name of their arm. Raises ``UltError`` for an unknown arm, head or
    option and for empty sources, targets, arms or seeds.
    """

    sources: tuple[TaskSpec, ...]
    targets: tuple[TaskSpec, ...]
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    mother: MotherSpec
    search: SearchSettings = field(default_factory=SearchSettings)
    head: str = "ridge"
    head_options: Mapping[str, Any] = field(default_factory=dict)
    dense: DenseSettings = field(default_factory=DenseSettings)
    arm_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, hint in (
            ("sources", "[mnist5k]"),
            ("targets", "[digits]"),
            ("arms", "[dense,universal]"),
            ("seeds", "[0,1,2]"),
        ):
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)
            if not value:
                raise fault(name, "[]", "at least one", f"for example {name}={hint}")
            if len(set(map(str, value))) < len(value):
                raise fault(name, [str(getattr(v, "id", v)) for v in value], "each entry once")
        for arm in self.arms:
            ARMS.get(arm)
        for arm, options in self.arm_options.items():
            if not isinstance(options, Mapping):
                raise fault(f"arm.{arm}", options, "options with values")
            read_options(ARMS.get(arm).options, options, key=f"arm.{arm}")
        HEADS.get(self.head).read(self.head_options)
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise fault("seeds", list(self.seeds), "whole numbers, at least 0")
