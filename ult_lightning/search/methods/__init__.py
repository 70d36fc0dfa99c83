"""Methods by name, one file each: how a mask is found."""

from ult_lightning.search.methods import biprop as biprop
from ult_lightning.search.methods import edge_popup as edge_popup
from ult_lightning.search.methods import snip as snip
from ult_lightning.search.methods import synflow as synflow
from ult_lightning.search.methods.method import (
    METHODS,
    Learner,
    Method,
    Scorer,
    ScoringOptions,
    TrainingOptions,
    select,
)
from ult_lightning.search.methods.scores import ScoreLearner, Scores
from ult_lightning.search.methods.top_k import top_k_mask

__all__ = [
    "METHODS",
    "Learner",
    "Method",
    "ScoreLearner",
    "Scorer",
    "Scores",
    "ScoringOptions",
    "TrainingOptions",
    "select",
    "top_k_mask",
]
