"""The mask and one linear head per source, trained together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.search.objectives._heads import seeded_head
from ult_lightning.search.objectives.objective import OBJECTIVES, Objective


@OBJECTIVES.register("joint")
class Joint(Objective):
    """Cross-entropy of a trained head: what is kept serves whatever a linear map can read (Burkholz et al. 2022, section 4)."""

    def heads(self, dim: int, classes: Sequence[int]) -> nn.ModuleList:
        """Uniform on +-1/sqrt(d), biases zero."""
        return nn.ModuleList(seeded_head(dim, k, self.seed, i) for i, k in enumerate(classes))

    def loss(
        self,
        features: Tensor,
        labels: Tensor,
        head: nn.Module,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Cross-entropy, mean over the batch."""
        return F.cross_entropy(head(features), labels)
