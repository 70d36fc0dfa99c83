"""The search as one LightningModule: a frozen mother, a mask that is learnt, one linear head per source."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torchmetrics.classification import MulticlassAccuracy

from ult_lightning.base import UltError
from ult_lightning.nets import Mother
from ult_lightning.search._methods import Attached
from ult_lightning.search._settings import SearchSettings

if TYPE_CHECKING:
    from typing_extensions import Self

    from ult_lightning.data import TaskBatch


class MaskSearch(LightningModule):
    """Trains the method's scores and the source heads; the mother's weights have no gradient.

    ``names`` and ``classes``: one per source. A training batch is a list of ``TaskBatch``: one entry when sources
    alternate, one per source when they are joint. The mask is computed once per step. ``identity`` tells this search from others
    and goes into its checkpoints, as do the seconds spent so far (``seconds_before``: in earlier runs of it).
    """

    def __init__(
        self,
        mother: Mother,
        method: Attached,
        names: Sequence[str],
        classes: Sequence[int],
        settings: SearchSettings,
        steps: int,
        identity: str = "",
    ) -> None:
        super().__init__()
        self.mother, self.method, self.settings, self.steps = mother, method, settings, steps
        self.identity, self.seconds_before, self._began = identity, 0.0, time.perf_counter()
        self.names = list(names)
        dim = mother.dim()
        self.heads = nn.ModuleList(seeded_head(dim, k, settings.seed, i) for i, k in enumerate(classes))
        self.metrics = nn.ModuleList(MulticlassAccuracy(k, average="micro") for k in classes)
        self.weights = settings.loss_weights or (1.0,) * len(classes)
        self.history: list[dict[str, float]] = []
        self.validated_step = self._resumed_step = 0
        self._loss_sum, self._loss_count = torch.zeros(()), 0
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Batch norms follow ``mode``; all else in the mother, such as dropout, stays as it is in use: deterministic."""
        super().train(mode)
        for module in self.mother.modules():
            if not isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.training = False
        return self

    def training_step(self, batch: Sequence[TaskBatch], batch_idx: int) -> Tensor:
        """One step on one batch per entry of ``batch``; raises ``UltError`` when the loss is no finite number."""
        self.method.update()
        with parametrize.cached():
            features = self.mother(batch[0].x if len(batch) == 1 else torch.cat([b.x for b in batch]))
        loss = torch.zeros((), device=features.device)
        for part, chunk in zip(batch, features.split([len(b.y) for b in batch]), strict=True):
            loss = loss + self.weights[part.task] * F.cross_entropy(self.heads[part.task](chunk), part.y)
        if not torch.isfinite(loss):
            raise self._not_finite(f"The loss is {float(loss.detach())} at step {self.global_step}")
        self._loss_sum, self._loss_count = self._loss_sum + loss.detach().cpu(), self._loss_count + 1
        return loss

    def on_train_start(self) -> None:
        """Sets the Trainer's counts of epochs and steps after a resume: the epoch decides which batches come next."""
        loop, step = self.trainer.fit_loop, self._resumed_step
        for count in ("ready", "started", "processed", "completed"):
            setattr(loop.epoch_progress.current, count, step // int(self.trainer.num_training_batches))
        steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
        steps.ready = steps.completed = step

    def on_train_epoch_end(self) -> None:
        """Logs the mean training loss of the epoch; raises ``UltError`` when the scores are no finite numbers."""
        if not all(bool(torch.isfinite(scores.sum())) for scores in self.method.scores()):
            raise self._not_finite(f"The scores are not finite after step {self.global_step}")
        self.log("train/loss", self._loss_sum / max(1, self._loss_count))
        self._loss_sum, self._loss_count = torch.zeros(()), 0

    def _not_finite(self, what: str) -> UltError:
        s = self.settings
        return UltError(f"{what}; nothing was saved over: try a smaller lr (it is {s.lr:g}) or head_lr (it is "
                        f"{s.head_lr:g}), or another norm or init.")  # fmt: skip

    def on_validation_epoch_start(self) -> None:
        """Brings the mask up to date with the last step's scores."""
        self.method.update()

    def validation_step(self, batch: TaskBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Counts the right answers on a validation batch of one source."""
        with parametrize.cached():
            logits = self.heads[batch.task](self.mother(batch.x))
        metric = self.metrics[batch.task]
        assert isinstance(metric, MulticlassAccuracy)
        metric.update(logits, batch.y)

    def on_validation_epoch_end(self) -> None:
        """Logs each source's validation accuracy and keeps it in ``history``."""
        found: dict[str, float] = {}
        for name, metric in zip(self.names, self.metrics, strict=True):
            assert isinstance(metric, MulticlassAccuracy)
            found[name] = float(metric.compute())
            metric.reset()
            self.log(f"val/{name}", found[name], prog_bar=True)
        self.log("val/mean", sum(found.values()) / len(found))
        self.history.append(found)
        self.validated_step = int(self.global_step)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD or Adam over scores and heads, with a cosine per step down to 0 (or a constant rate)."""
        s = self.settings
        groups = [
            {"params": self.method.scores(), "lr": s.lr, "weight_decay": s.weight_decay},
            {"params": list(self.heads.parameters()), "lr": s.head_lr, "weight_decay": s.weight_decay},
        ]
        return optimizer_and_schedule(groups, s.optimizer, s.momentum, s.schedule, self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leaves out the mother's weights, which the seed rebuilds, and keeps the validation history."""
        state = checkpoint["state_dict"]
        for key in [k for k in state if k.endswith(".original")]:
            del state[key]
        spent = self.seconds_before + time.perf_counter() - self._began
        checkpoint["ult"] = {"history": self.history, "validated_step": self.validated_step, "identity": self.identity,
                             "seconds": spent}  # fmt: skip

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the mother's weights back and the history on.

        The loops' own counts are dropped: at an epoch's end Lightning restores them one epoch ahead, and a whole epoch
        would be skipped; ``on_train_start`` sets them from the step.
        """
        self._resumed_step = int(checkpoint["global_step"])
        checkpoint.pop("loops", None)
        for key, value in self.state_dict().items():
            if key.endswith(".original"):
                checkpoint["state_dict"][key] = value
        self.history = list(checkpoint["ult"]["history"])
        self.validated_step = int(checkpoint["ult"]["validated_step"])
        self.seconds_before = float(checkpoint["ult"]["seconds"])


def optimizer_and_schedule(
    groups: list[dict[str, Any]],
    optimizer: str,
    momentum: float,
    schedule: str,
    steps: int,
) -> OptimizerLRScheduler:
    """Lightning's optimizer dictionary for parameter groups; the cosine runs per step, from 1 to 0 over ``steps``."""
    build = torch.optim.Adam(groups) if optimizer == "adam" else torch.optim.SGD(groups, momentum=momentum)
    if schedule == "constant":
        return {"optimizer": build}
    cosine = torch.optim.lr_scheduler.LambdaLR(
        build, lambda t: 0.5 * (1.0 + math.cos(math.pi * min(t, steps) / steps))
    )
    return {"optimizer": build, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


def seeded_head(dim: int, classes: int, seed: int, index: int) -> nn.Linear:
    """A linear head, uniform on +-1/sqrt(d) with zero bias, from a stream of its own."""
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(dim, classes)
    bound = 1.0 / math.sqrt(dim)
    key = np.random.SeedSequence([seed, index, dim, classes])
    values = np.random.Generator(np.random.Philox(key)).uniform(-bound, bound, (classes, dim))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(values))
        head.bias.zero_()
    return head
