"""The search as one LightningModule: a frozen mother, a mask that is learnt, one linear head per source."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torchmetrics.classification import MulticlassAccuracy

from ult_lightning.base import UltError, fault
from ult_lightning.nets import Factory, build_mother, maskable
from ult_lightning.search._search_settings import SearchSettings, kept_counts
from ult_lightning.search._training_step import TrainingStep
from ult_lightning.search.methods import Learner
from ult_lightning.search.objectives import OBJECTIVES
from ult_lightning.tickets import MotherSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from ult_lightning.data import TaskBatch

_BatchNorm = nn.modules.batchnorm._BatchNorm


class MaskSearch(TrainingStep):
    """Trains the parameters of a learner, and the source heads; the mother's weights have no gradient.

    Args:
        spec: the mother, or its ``to_dict()``.
        sources: number of classes by the name of each source, in the order of ``TaskBatch.task``.
        settings: of the search, or their ``to_dict()``; the method must be a learner.
        steps: optimizer steps of the whole search, for its schedules; None: those that the Trainer expects.
        module: the factory of a mother of your own.
        identity: what tells this search from others in its checkpoints.

    A training batch is a list of ``TaskBatch``: one entry when sources alternate, one per source when they are joint; a batch of
    ``validate``, ``test`` and ``predict`` is one ``TaskBatch``. ``TaskDataModule`` gives both. ``Trainer.test`` logs
    ``test/<source>``, ``Trainer.predict`` gives logits (b, k).

    Raises ``UltError`` for settings that do not fit the mother, and from ``fit`` when the loss is no finite number.
    """

    def __init__(
        self,
        spec: MotherSpec | Mapping[str, Any],
        sources: Mapping[str, int],
        settings: SearchSettings | Mapping[str, Any] | None = None,
        *,
        steps: int | None = None,
        module: Factory | None = None,
        identity: str = "",
    ) -> None:
        super().__init__()
        spec = spec if isinstance(spec, MotherSpec) else MotherSpec.from_dict(dict(spec))
        if not isinstance(settings, SearchSettings):
            settings = SearchSettings(**(settings or {}))
        self.save_hyperparameters(
            {
                "spec": spec.to_dict(),
                "sources": dict(sources),
                "settings": settings.to_dict(),
                "steps": steps,
                "identity": identity,
            },
            logger=False,
        )
        self.settings, self.steps, self.identity = settings, steps, identity
        self.names = list(sources)
        self.mother = build_mother(spec, module)
        dim, classes = self.mother.dim(), list(sources.values())
        self.objective = OBJECTIVES.get(settings.objective)(settings.objective_options, seed=settings.seed)
        self.heads = self.objective.heads(dim, classes)
        self.learners = [self._learner(self.mother.body)]
        if not self.objective.heads_train:
            self.learners.append(self._learner(nn.ModuleDict({"source_heads": self.heads})))
        self.metrics = nn.ModuleList(MulticlassAccuracy(k, average="micro") for k in classes)
        self.weights = settings.loss_weights or (1.0,) * len(classes)
        self.history: list[dict[str, float]] = []
        self.validated_step = self._resumed_step = 0
        self.seconds_before, self._began = 0.0, time.perf_counter()
        self.step_is_static = module is None and all(learner.step_is_static for learner in self.learners)
        self.train()

    @property
    def method(self) -> Learner:
        """The learner at work on the mother's body."""
        return self.learners[0]

    def _learner(self, body: nn.Module) -> Learner:
        method = self.settings.method_class
        if not issubclass(method, Learner):
            wanted = "a method that is trained"
            raise fault("method", self.settings.method, wanted, "find_ticket runs those that are not")
        shapes = {name: tuple(p.shape) for name, p in maskable(body).items()}
        settings = self.settings if body is self.mother.body else replace(self.settings, densities=None)
        kept = kept_counts(shapes, settings)
        return method(body, kept, settings.method_options, seed=settings.seed, steps=self.steps or 1)

    def train(self, mode: bool = True) -> Self:
        """Batch norms follow ``mode``; all else in the mother, such as dropout, stays as it is in use: deterministic."""
        super().train(mode)
        for module in self.mother.modules():
            if not isinstance(module, _BatchNorm):
                module.training = False
        for learner in self.learners:
            learner.train(mode)
        return self

    def forward(self, x: Tensor, source: int = 0) -> Tensor:
        """Images (b, c, h, w) to the logits (b, k) of one source's head."""
        with parametrize.cached():
            logits: Tensor = self.heads[source](self.mother(x))
        return logits

    def step_loss(self, batch: Sequence[TaskBatch]) -> Tensor:
        """The loss () of one batch per entry of ``batch``, on masks that follow from the present scores."""
        for learner in self.learners:
            learner.before_step(self.global_step)
        return self.batch_loss(batch)

    def batch_loss(self, batch: Sequence[TaskBatch]) -> Tensor:
        """The objective on one batch per entry of ``batch``, weighted by source, with the methods' penalties."""
        with parametrize.cached():
            features = self.mother(batch[0].x if len(batch) == 1 else torch.cat([b.x for b in batch]))
            loss = torch.zeros((), device=features.device)
            for part, chunk in zip(batch, features.split([len(b.y) for b in batch]), strict=True):
                one = self.objective.loss(chunk, part.y, self.heads[part.task])
                loss = loss + self.weights[part.task] * one
        for learner in self.learners:
            penalty = learner.penalty()
            loss = loss if penalty is None else loss + penalty
        return loss

    def on_train_start(self) -> None:
        """Sets the Trainer's counts of epochs and steps after a resume: the epoch decides which batches come next."""
        step, self._resumed_step = self._resumed_step if self.trainer.ckpt_path else 0, 0
        if not step:
            return
        loop = self.trainer.fit_loop
        per_epoch = -(-int(self.trainer.num_training_batches) // self.trainer.accumulate_grad_batches)
        if step % per_epoch and step != self.steps:
            wanted = f"one written at the end of an epoch of {per_epoch} steps"
            raise fault("ckpt_path", f"a checkpoint of step {step}", wanted, "its epoch cannot be gone on with")
        for count in ("ready", "started", "processed", "completed"):
            setattr(loop.epoch_progress.current, count, step // per_epoch)
        steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
        steps.ready = steps.completed = step

    def on_train_epoch_end(self) -> None:
        """Logs the mean training loss of the epoch; raises ``UltError`` when loss or scores are no finite numbers."""
        super().on_train_epoch_end()
        for learner in self.learners:
            if not all(bool(torch.isfinite(p.sum())) for p in learner.parameters()):
                raise self.not_finite("The scores are")

    def not_finite(self, what: str) -> UltError:
        """Says that ``what`` is not finite, and which rates to lower."""
        lr = getattr(self.settings.method_options, "lr", None)
        given = "" if lr is None else f" (it is {lr:g})"
        return UltError(
            f"{what} not finite after step {self.global_step}; nothing was saved over: try a smaller lr{given} or head_lr "
            f"(it is {self.settings.head_lr:g}), or another norm or init."
        )

    def on_validation_epoch_start(self) -> None:
        """Brings the mask up to date with the last step's scores."""
        for learner in self.learners:
            learner.before_step(self.global_step)

    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: TaskBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Counts the right answers on a batch of one source."""
        metric = self.metrics[batch.task]
        assert isinstance(metric, MulticlassAccuracy)
        metric.update(self(batch.x, batch.task), batch.y)

    test_step = validation_step

    def predict_step(self, batch: TaskBatch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """The logits (b, k) of a batch of one source."""
        logits: Tensor = self(batch.x, batch.task)
        return logits

    def on_validation_epoch_end(self) -> None:
        """Logs each source's validation accuracy and keeps it in ``history``, but not that of the sanity check."""
        accuracies = self._log_accuracies("val")
        if accuracies and not self.trainer.sanity_checking:
            self.history.append(accuracies)
            self.validated_step = int(self.global_step)

    def on_test_epoch_end(self) -> None:
        """Logs each source's test accuracy."""
        self._log_accuracies("test")

    def _log_accuracies(self, part: str) -> dict[str, float]:
        accuracies: dict[str, float] = {}
        for name, metric in zip(self.names, self.metrics, strict=True):
            assert isinstance(metric, MulticlassAccuracy)
            if metric.update_called:
                accuracies[name] = float(metric.compute())
                self.log(f"{part}/{name}", accuracies[name], prog_bar=True)
            metric.reset()
        if accuracies:
            self.log(f"{part}/mean", sum(accuracies.values()) / len(accuracies))
        return accuracies

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The method's optimizer over its groups and, where they are trained, the heads."""
        training: Any = self.settings.method_options
        groups = [group for learner in self.learners for group in learner.parameter_groups()]
        decay = getattr(training, "weight_decay", 0.0)
        if self.objective.heads_train:
            heads = list(self.heads.parameters())
            groups.append({"params": heads, "lr": self.settings.head_lr, "weight_decay": decay})
        return optimizer_and_schedule(
            groups,
            optimizer=getattr(training, "optimizer", "sgd"),
            momentum=getattr(training, "momentum", 0.0),
            schedule=getattr(training, "schedule", "cosine"),
            steps=self.steps or int(self.trainer.estimated_stepping_batches),
            fused=self.may_fuse,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leaves out the mother's weights, which the seed rebuilds, and keeps the validation history."""
        state = checkpoint["state_dict"]
        for key in [k for k in state if k.endswith(".original")]:
            del state[key]
        spent = self.seconds_before + time.perf_counter() - self._began
        checkpoint["ult"] = {
            "history": self.history,
            "validated_step": self.validated_step,
            "identity": self.identity,
            "seconds": spent,
        }

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
    *,
    optimizer: str,
    momentum: float,
    schedule: str,
    steps: int,
    fused: bool = False,
) -> OptimizerLRScheduler:
    """Lightning's optimizer dictionary for parameter groups; the cosine runs per step, from 1 to 0 over ``steps``."""
    build: torch.optim.Optimizer
    if optimizer == "adam":
        build = torch.optim.Adam(groups, fused=fused or None)
    else:
        build = torch.optim.SGD(groups, momentum=momentum, fused=fused or None)
    if schedule == "constant":
        return {"optimizer": build}
    cosine = torch.optim.lr_scheduler.LambdaLR(build, lambda t: 0.5 * (1.0 + math.cos(math.pi * min(t, steps) / steps)))
    return {"optimizer": build, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}
