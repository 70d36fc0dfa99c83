"""Edge-popup (Ramanujan et al. 2020): learn a score per weight, keep the largest, never touch the weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ult_lightning.nets import MaskedParameters
from ult_lightning.search._methods import METHODS
from ult_lightning.search._settings import SearchSettings


@METHODS.register("edge_popup")
def edge_popup(body: nn.Module, kept: Mapping[str, int], settings: SearchSettings) -> MaskedParameters:
    """Top-k of |score| per layer, or over all layers with ``scope="global"``; straight-through gradient."""
    return MaskedParameters(body, kept, seed=settings.seed, pooled=settings.scope == "global")
