"""The arms by name: ways to solve a task with the same data, split and steps. Light to import: the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from ult_lightning.base import Registry
from ult_lightning.compare.arms._arm import Arm, Outcome, unseen
from ult_lightning.compare.arms.dense import DENSE, DENSE_CONVERGED, DENSE_LONG
from ult_lightning.compare.arms.finetuned import FINETUNED
from ult_lightning.compare.arms.random_features import RANDOM_FEATURES
from ult_lightning.compare.arms.random_mask import RANDOM_MASK
from ult_lightning.compare.arms.raw_pixels import RAW_PIXELS
from ult_lightning.compare.arms.searched import JOINT, SPECIALIST, UNIVERSAL
from ult_lightning.results import ArmLook

__all__ = ["ARMS", "Arm", "Outcome", "looks", "unseen"]

ARMS: Registry[Arm] = Registry("arm")
"""In the order in which reports list them."""

for _arm in (
    *(DENSE, DENSE_LONG, DENSE_CONVERGED, FINETUNED),
    *(JOINT, SPECIALIST, UNIVERSAL),
    *(RANDOM_MASK, RANDOM_FEATURES, RAW_PIXELS),
):
    ARMS.add(_arm.name, _arm)


def looks() -> Mapping[str, ArmLook]:
    """How reports name and draw each arm, in their order."""
    return {name: ARMS.get(name).look for name in ARMS}
