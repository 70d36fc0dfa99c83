"""Asking a scorer for its subnetwork: no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ult_lightning.base import check_trainer_arguments
from ult_lightning.nets import Factory, Mother, build_mother, fingerprint
from ult_lightning.search._running import (
    Running,
    SearchError,
    SearchResult,
    device_word,
    maskable_shapes,
    source_data,
    warn_of_vanished_biases,
)
from ult_lightning.search._search_settings import SearchSettings, kept_counts
from ult_lightning.search._trainer import make_trainer
from ult_lightning.search.methods import Scorer
from ult_lightning.search.objectives import OBJECTIVES
from ult_lightning.tickets import MotherSpec

if TYPE_CHECKING:
    from ult_lightning.data import Task, TaskBatch


def score(
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings,
    running: Running,
    *,
    module: Factory | None,
) -> SearchResult:
    """Asks a scorer: no training, and no Trainer but for the choice of the device."""
    check_trainer_arguments(running.trainer)
    device = running.device
    if running.trainer.get("accelerator", "auto") != "auto":
        device = device_word(make_trainer(running.trainer, device=device).strategy.root_device)
    method = settings.method_class
    assert issubclass(method, Scorer)
    scorer = method(settings.method_options, seed=settings.seed)
    mother = build_mother(spec, module).to(device)
    before = fingerprint(mother.body)
    warn_of_vanished_biases(mother, spec)
    stream = source_data([t.to(device) for t in sources], spec, settings).train_dataloader()
    objective = OBJECTIVES.get(settings.objective)(settings.objective_options, seed=settings.seed)
    heads = objective.heads(mother.dim(), [t.classes for t in sources]).to(device).requires_grad_(False)
    weights = settings.loss_weights or (1.0,) * len(sources)

    def loss(network: Mother, batch: Sequence[TaskBatch]) -> Tensor:
        losses = [weights[b.task] * objective.loss(network(b.x), b.y, heads[b.task]) for b in batch]
        return torch.stack(losses).sum()

    batches = [stream.step(i) for i in range(scorer.batches)]
    kept = kept_counts(maskable_shapes(mother), settings)
    subnetwork = scorer.subnetwork(mother, kept, batches=batches, loss=loss)
    if fingerprint(mother.body) != before:
        raise SearchError(
            f"The method {settings.method} changed the mother's weights, so no ticket was made: please report it."
        )
    return SearchResult(subnetwork, before, device)
