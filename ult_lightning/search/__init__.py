"""Finding masks: one file per method, one per objective, one LightningModule."""

from ult_lightning.search._frozen_on import frozen_on
from ult_lightning.search._module import MaskSearch, optimizer_and_schedule
from ult_lightning.search._run import find_ticket, science_config, search_once, ticket_id
from ult_lightning.search._running import EmptyLayerWarning, SearchError, VanishedBiasWarning
from ult_lightning.search._search_settings import (
    SearchSettings,
    check_density,
    kept_counts,
    resolve_device,
    resolve_precision,
)
from ult_lightning.search._trainer import fit_quietly, make_trainer
from ult_lightning.search._training_step import GraphWarning, TrainingStep
from ult_lightning.search.methods import METHODS, Learner, Scorer
from ult_lightning.search.objectives import OBJECTIVES, Objective, seeded_head

__all__ = [
    "METHODS",
    "OBJECTIVES",
    "EmptyLayerWarning",
    "GraphWarning",
    "Learner",
    "MaskSearch",
    "Objective",
    "Scorer",
    "SearchError",
    "SearchSettings",
    "TrainingStep",
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
