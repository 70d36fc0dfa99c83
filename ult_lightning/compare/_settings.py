"""What a comparison is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ult_lightning.base import fault
from ult_lightning.compare._arms import ARMS
from ult_lightning.data import TaskSpec
from ult_lightning.search import SearchSettings
from ult_lightning.tickets import MotherSpec


@dataclass(frozen=True)
class DenseSettings:
    """How the arms that train weights do it.

    They take as many optimizer steps as the ticket's search, at its batch size, precision and augmentation. The
    learning rate is the one of ``lrs`` with the best validation accuracy in a pilot of ``pilot_share`` of the steps, run
    once per task with the comparison's first seed. ``long_factor`` times the steps, with crop and flip, for
    ``dense_long``. Raises ``UltError`` for rates or shares that are no positive numbers.
    """

    lrs: tuple[float, ...] = (0.03, 0.1, 0.3)
    pilot_share: float = 0.33
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    long_factor: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "lrs", tuple(self.lrs))
        if not self.lrs:
            raise fault(
                "dense.lrs", "[]", "at least one learning rate", "for example dense.lrs=[0.03,0.1,0.3]"
            )
        for name, value in (*(("dense.lrs", lr) for lr in self.lrs), ("dense.pilot_share", self.pilot_share)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise fault(name, value, "a number above 0")
        if (
            isinstance(self.long_factor, bool)
            or not isinstance(self.long_factor, int)
            or self.long_factor < 1
        ):
            raise fault("dense.long_factor", self.long_factor, "a whole number, at least 1")

    def science(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return {**asdict(self), "lrs": list(self.lrs)}


@dataclass(frozen=True)
class CompareSettings:
    """A grid: every arm on every target with every seed.

    ``mother`` and ``search`` are templates whose seed each run replaces by its own. ``head`` is fitted by all frozen
    arms. Raises ``UltError`` for an unknown arm and for empty sources, targets, arms or seeds.
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

    def __post_init__(self) -> None:
        for name, hint in (("sources", "[mnist5k]"), ("targets", "[digits]"), ("arms", "[dense,universal]"),
                           ("seeds", "[0,1,2]")):  # fmt: skip
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)
            if not value:
                raise fault(name, "[]", "at least one", f"for example {name}={hint}")
            if len(set(map(str, value))) < len(value):
                raise fault(name, [str(getattr(v, "id", v)) for v in value], "each entry once")
        for arm in self.arms:
            ARMS.get(arm)
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise fault("seeds", list(self.seeds), "whole numbers, at least 0")
