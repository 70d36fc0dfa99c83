"""Finding masks: one file per method, one LightningModule."""

from ult_lightning.search import _edge_popup as _edge_popup  # registers itself
from ult_lightning.search._methods import METHODS, Attached, Method
from ult_lightning.search._module import MaskSearch, optimizer_and_schedule, seeded_head
from ult_lightning.search._run import (
    NUMERICS,
    EmptyLayerWarning,
    SearchError,
    VanishedBiasWarning,
    find_ticket,
    frozen_on,
    science_config,
    search_once,
    ticket_id,
)
from ult_lightning.search._settings import (
    SCHEDULES,
    SearchSettings,
    check_density,
    kept_counts,
    resolve_device,
    resolve_precision,
)
from ult_lightning.search._trainer import fit_quietly, make_trainer

__all__ = [
    "METHODS",
    "NUMERICS",
    "SCHEDULES",
    "Attached",
    "EmptyLayerWarning",
    "MaskSearch",
    "Method",
    "SearchError",
    "SearchSettings",
    "VanishedBiasWarning",
    "check_density",
    "find_ticket",
    "fit_quietly",
    "frozen_on",
    "kept_counts",
    "make_trainer",
    "optimizer_and_schedule",
    "resolve_device",
    "resolve_precision",
    "science_config",
    "search_once",
    "seeded_head",
    "ticket_id",
]
