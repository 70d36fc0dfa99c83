"""Frozen networks whose normalisation statistics are those of given tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ult_lightning.nets import Factory, FrozenNetwork, build_mother, estimate_statistics, freeze
from ult_lightning.tickets import Mask, MotherSpec, Subnetwork

if TYPE_CHECKING:
    from ult_lightning.data import Task

STATISTICS_IMAGES = 2_048
"""Training images per source on which normalisation statistics are estimated, for every frozen network alike."""


def frozen_on(
    sources: Sequence[Task],
    spec: MotherSpec,
    subnetwork: Subnetwork | Mask | None = None,
    *,
    module: Factory | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> FrozenNetwork:
    """A frozen network of ``spec``, masked or whole, with its normalisation statistics estimated on ``sources``.

    The statistics are averages over batches that hold every source in equal parts, of its first
    ``STATISTICS_IMAGES`` images in an order drawn from ``seed``; the same for every frozen network.
    """
    frozen = freeze(build_mother(spec, module).to(device), subnetwork)
    estimate_statistics(frozen.mother, _statistics_batches([t.to(device) for t in sources], seed, spec.input.range))
    return frozen


def _statistics_batches(sources: Sequence[Task], seed: int, input_range: Any) -> Iterator[Tensor]:
    orders = []
    for i, task in enumerate(sources):
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, i])))
        orders.append(torch.from_numpy(generator.permutation(len(task.train))[:STATISTICS_IMAGES]))
    batches = max(1, max(len(o) for o in orders) * len(orders) // 256)
    for k in range(batches):
        parts = []
        for task, order in zip(sources, orders, strict=True):
            index = order.tensor_split(batches)[k]
            if len(index):
                parts.append(task.batch("train", index.to(task.train.labels.device), range=input_range)[0])
        yield torch.cat(parts)
