"""Objectives by name, one file each: what a mask is found for."""

from ult_lightning.search.objectives import frozen_head as frozen_head
from ult_lightning.search.objectives import joint as joint
from ult_lightning.search.objectives._heads import seeded_head
from ult_lightning.search.objectives.objective import OBJECTIVES, Objective

__all__ = ["OBJECTIVES", "Objective", "seeded_head"]
