"""Nothing but masks: the source heads are random and masked too, as in the original edge-popup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ult_lightning.base import Options, option
from ult_lightning.nets import INITS
from ult_lightning.search.objectives._heads import random_head
from ult_lightning.search.objectives.joint import Joint
from ult_lightning.search.objectives.objective import OBJECTIVES


@dataclass(frozen=True)
class FrozenHeadOptions(Options):
    """``init``: of the heads' weights, an init of the mothers that draws each weight by itself."""

    init: str = option("signed_constant", choices=tuple(n for n in INITS if not INITS.get(n).mirrored))


@OBJECTIVES.register("frozen_head")
class FrozenHead(Joint):
    """Cross-entropy of random heads under a mask of the body's density (Ramanujan et al. 2020)."""

    OPTIONS = FrozenHeadOptions
    heads_train = False

    def heads(self, dim: int, classes: Sequence[int]) -> nn.ModuleList:
        """Drawn by the init, without biases; the ticket does not hold them."""
        return nn.ModuleList(random_head(dim, k, self.seed, i, self.options.init) for i, k in enumerate(classes))
