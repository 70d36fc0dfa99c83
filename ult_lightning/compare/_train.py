"""Training weights end to end, for the arms that tickets are compared with."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.base import UltError, digest, once, write_text
from ult_lightning.nets import FrozenNetwork, Mother, build_mother, maskable, statistics
from ult_lightning.search import fit_quietly, make_trainer, optimizer_and_schedule, seeded_head
from ult_lightning.tickets import Ticket

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell
    from ult_lightning.data import TaskBatch


class EndToEnd(LightningModule):
    """The mother of a cell with a linear head, all of whose weights train; with a ticket, only its kept ones."""

    def __init__(self, cell: Cell, ticket: Ticket | None = None) -> None:
        super().__init__()
        self.cell = cell
        self.mother: Mother = build_mother(cell.mother) if ticket is None else _network(ticket).mother
        self.mother.train().requires_grad_(True)
        self.dim = self.mother.dim()
        self.head: nn.Linear = seeded_head(self.dim, cell.task.classes, cell.seed, 0)
        self.rate, self.steps = 0.0, 1
        if ticket is not None:
            for name, parameter in maskable(self.mother.body).items():
                keep = (
                    torch.from_numpy(np.array(ticket.mask[name])).to(parameter.dtype).to(cell.machine.device)
                )
                parameter.register_hook(partial(torch.mul, keep))  # type: ignore[no-untyped-call]

    def training_step(self, batch: list[TaskBatch], batch_idx: int) -> Tensor:
        """Cross-entropy on one batch; raises ``UltError`` when it is no finite number."""
        loss = F.cross_entropy(self.head(self.mother(batch[0].x)), batch[0].y)
        if not torch.isfinite(loss):
            raise NotFinite(
                f"The loss of dense training is {float(loss.detach())} at lr {self.rate:g}; give smaller dense.lrs."
            )
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD with momentum over all that trains."""
        dense = self.cell.settings.dense
        trainable = [p for p in self.parameters() if p.requires_grad]
        groups = [{"params": trainable, "lr": self.rate, "weight_decay": dense.weight_decay}]
        return optimizer_and_schedule(groups, "sgd", dense.momentum, dense.schedule, self.steps)


def _network(ticket: Ticket) -> FrozenNetwork:
    network = ticket.network()
    assert isinstance(network, FrozenNetwork)
    return network


class NotFinite(UltError):
    """A loss that is not finite."""


@dataclass(frozen=True)
class Trained:
    """Accuracies as fractions (test: nan unless asked for), seconds of training and of testing, steps taken."""

    valid_accuracy: float
    accuracy: float
    seconds: float
    test_seconds: float
    dim: int
    statistics_bytes: int
    steps: int


def train_end_to_end(
    cell: Cell,
    model: EndToEnd,
    rate: float,
    steps: int,
    *,
    augment: bool,
    test: bool,
) -> Trained:
    """Trains ``model`` on the cell's target for ``steps`` steps and measures it; the test split only with ``test``."""
    search, device = cell.search, cell.machine.device
    model.rate, model.steps = rate, steps
    stream = cell.task.stream([cell.task], batch_size=search.batch_size, seed=cell.seed, augment=augment,
                              range=cell.mother.input.range)  # fmt: skip
    trainer = make_trainer(search, device=device, logger=None, run_dir=None, progress=False,
                           epochs=math.ceil(steps / len(stream)), steps=steps)  # fmt: skip
    started = time.perf_counter()
    fit_quietly(trainer, model, stream)
    trained = time.perf_counter()
    valid = _accuracy(model, "valid")
    accuracy = _accuracy(model, "test") if test else math.nan
    stats = 4 * sum(t.numel() for t in statistics(model.mother.body).values())
    return Trained(
        valid,
        accuracy,
        trained - started,
        time.perf_counter() - trained,
        model.dim,
        stats,
        trainer.global_step,
    )


def _accuracy(model: EndToEnd, part: Any) -> float:
    cell = model.cell
    model.eval().to(cell.machine.device)
    cast = torch.autocast(
        cell.machine.device.partition(":")[0], torch.bfloat16, enabled=cell.search.precision == "bf16"
    )
    right = total = 0
    batches: Iterable[tuple[Tensor, Tensor]] = cell.task.batches(part, range=cell.mother.input.range)
    with torch.inference_mode(), cast:
        for x, y in batches:
            right += int((model.head(model.mother(x)).argmax(1) == y).sum())
            total += len(y)
    return right / total


def validated_rate(cell: Cell, ticket: Ticket | None) -> tuple[float, dict[str, float], float]:
    """The learning rate that validates best in the pilot, all (rate: validation accuracy), and the pilot's seconds.

    The pilot runs with ``dense.pilot_seed``, so that every seed of an arm trains alike; it is kept in the store. A rate whose loss is not finite counts as 0; if all do, ``UltError``.
    """
    cell = replace(cell, seed=cell.settings.dense.pilot_seed)
    if ticket is not None:
        ticket = cell.ticket(cell.unseen_sources)
    if len(cell.settings.dense.lrs) == 1:
        return cell.settings.dense.lrs[0], {}, 0.0
    steps = max(1, round(cell.settings.dense.pilot_share * cell.steps))
    config = {
        "pilot": cell.training_config(),
        "ticket": None if ticket is None else ticket.id,
        "steps": steps,
    }
    name = digest(config)[:16]
    path = cell.machine.tickets.root / "pilots" / f"{name}.json"

    def make() -> dict[str, Any]:
        started = time.perf_counter()
        found = {f"{rate:g}": _pilot(cell, ticket, rate, steps) for rate in cell.settings.dense.lrs}
        result = {"path": found, "seconds": time.perf_counter() - started}
        write_text(path, json.dumps({"config": config, **result}))
        cell.machine.notice(f"learning rates of {'dense' if ticket is None else 'finetuned'} on {cell.task.id}: "
                            + ", ".join(f"{r} {100 * a:.1f} %" for r, a in found.items()))  # fmt: skip
        return result

    result = once(path, make, _load_pilot, force=cell.machine.forced(name), notice=cell.machine.notice)
    best = max(result["path"], key=lambda r: result["path"][r])
    if result["path"][best] == 0.0:
        raise NotFinite(
            f"dense.lrs: got {list(cell.settings.dense.lrs)}, none of which trains; give smaller ones."
        )
    return float(best), result["path"], float(result["seconds"])


def _pilot(cell: Cell, ticket: Ticket | None, rate: float, steps: int) -> float:
    try:
        model = EndToEnd(cell, ticket)
        return train_end_to_end(
            cell, model, rate, steps, augment=cell.search.augment, test=False
        ).valid_accuracy
    except NotFinite:
        return 0.0


def _load_pilot(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return {"path": dict(found["path"]), "seconds": float(found["seconds"])}
    except (ValueError, KeyError, TypeError) as problem:
        raise UltError(f"{path} is no pilot result; it is made again.") from problem
