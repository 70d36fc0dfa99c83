"""What a comparison is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ult_lightning.base import fault, unknown
from ult_lightning.compare._arms import ARMS
from ult_lightning.data import TaskSpec
from ult_lightning.heads import check_options
from ult_lightning.search import SCHEDULES, SearchSettings
from ult_lightning.tickets import MotherSpec


@dataclass(frozen=True)
class DenseSettings:
    """How the arms that train weights do it.

    They take as many optimizer steps as the ticket's search, at its batch size, precision and augmentation. The
    learning rate is the one of ``lrs`` with the best validation accuracy in a pilot of ``pilot_share`` of the steps, run
    once per task with the seed ``pilot_seed``, whatever the seeds of the comparison. ``long_factor`` times the steps, with
    crop and flip, for ``dense_long``. ``momentum`` and ``weight_decay`` are those of SGD, ``schedule`` is "cosine" or
    "constant". Raises ``UltError`` for any other value.
    """

    lrs: tuple[float, ...] = (0.03, 0.1, 0.3)
    pilot_share: float = 0.33
    pilot_seed: int = 0
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
        if len(set(self.lrs)) < len(self.lrs):
            raise fault("dense.lrs", list(self.lrs), "each learning rate once")
        for lr in self.lrs:
            _between("dense.lrs", lr, "a number above 0", lambda value: 0 < value < math.inf)
        _between(
            "dense.pilot_share", self.pilot_share, "a number above 0, at most 1", lambda value: 0 < value <= 1
        )
        _between("dense.momentum", self.momentum, "a number from 0 to below 1", lambda value: 0 <= value < 1)
        _between(
            "dense.weight_decay",
            self.weight_decay,
            "a finite number, at least 0",
            lambda value: 0 <= value < math.inf,
        )
        if self.schedule not in SCHEDULES:
            raise unknown("dense.schedule", str(self.schedule), SCHEDULES)
        for name, least in (("pilot_seed", 0), ("long_factor", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise fault(f"dense.{name}", value, f"a whole number, at least {least}")

    def science(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return {**asdict(self), "lrs": list(self.lrs)}


def _between(name: str, value: object, wanted: str, fits: Callable[[float], bool]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise fault(name, value, wanted)


@dataclass(frozen=True)
class CompareSettings:
    """A grid: every arm on every target with every seed.

    ``mother`` and ``search`` are templates whose seed each run replaces by its own. ``head`` is fitted by all frozen
    arms. Raises ``UltError`` for an unknown arm, head or head option and for empty sources, targets, arms or seeds.
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
        check_options(self.head, self.head_options)
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise fault("seeds", list(self.seeds), "whole numbers, at least 0")
