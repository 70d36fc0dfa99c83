"""Edge-popup (Ramanujan et al. 2020, "What is hidden in a randomly weighted neural network?")."""

from __future__ import annotations

from ult_lightning.search.methods.method import METHODS, TrainingOptions
from ult_lightning.search.methods.scores import ScoreLearner


@METHODS.register("edge_popup")
class EdgePopup(ScoreLearner):
    """Learns a score per parameter, keeps the largest, never touches the weights."""

    OPTIONS = TrainingOptions
