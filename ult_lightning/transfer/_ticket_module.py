"""A ticket in use as one LightningModule: a frozen network, and one linear head per task."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from ult_lightning.base import Options, UltError, fault, option, read_options, unknown
from ult_lightning.data import TaskDataModule
from ult_lightning.heads import (
    HEADS,
    FeatureStream,
    FrozenError,
    LinearHead,
    SavedHead,
    TaskModel,
    check_head,
    read_heads,
    write_heads,
)
from ult_lightning.tickets import Ticket

if TYPE_CHECKING:
    from pathlib import Path

    from ult_lightning.data import TaskBatch
    from ult_lightning.nets import Factory, FrozenNetwork

Schedule = Literal["cosine", "constant"]
_BODY = "network."
_CONSTANT = 1e-6


class ProbeHead(nn.Linear):
    """W z + c of features (b, d), z standardised by the mean and the std (d,) of the first batch that it is trained on.

    It starts at zeros, since the loss is convex: no symmetry to break.
    """

    mean: Tensor
    inverse: Tensor
    standardised: Tensor

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("inverse", torch.ones(dim))
        self.register_buffer("standardised", torch.zeros((), dtype=torch.bool))
        self.set(LinearHead(torch.zeros(classes, dim), torch.zeros(classes)))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (b, k)."""
        return super().forward((features - self.mean) * self.inverse)

    @torch.no_grad()
    def set(self, head: LinearHead) -> None:
        """Becomes ``head``; training on it standardises anew."""
        self.mean.zero_()
        self.inverse.fill_(1.0)
        self.standardised.zero_()
        self.weight.copy_(head.weight)
        self.bias.copy_(head.bias)

    @torch.no_grad()
    def standardise(self, mean: Tensor, variance: Tensor) -> None:
        """Takes these moments (d,) of the features, and stays the same function."""
        weight, bias = self._plain()
        varies = variance.sqrt() > _CONSTANT * mean.abs()
        self.inverse.copy_(torch.where(varies, variance.rsqrt(), torch.ones_like(variance)))
        self.mean.copy_(mean)
        self.standardised.fill_(True)
        self.bias.copy_(bias + weight @ self.mean.double())
        self.weight.copy_(weight / self.inverse)

    @torch.no_grad()
    def plain(self) -> LinearHead:
        """The same function of features as they are, on the CPU."""
        weight, bias = self._plain()
        return LinearHead(weight.float().cpu(), bias.float().cpu())

    def _plain(self) -> tuple[Tensor, Tensor]:
        weight = self.weight.double() * self.inverse.double()
        return weight, self.bias.double() - weight @ self.mean.double()


@dataclass(frozen=True)
class ProbeOptions(Options):
    """How heads are trained: SGD, its rate constant or falling to zero as a cosine over all steps."""

    lr: float = option(0.1, above=0)
    momentum: float = option(0.9, least=0, below=1)
    weight_decay: float = option(0.0, least=0)
    schedule: Schedule = option("cosine")


class TicketModule(LightningModule):
    """A frozen ticket that serves many tasks: images (b, 3, h, w) to the logits (b, k) of one task's linear head.

    Args:
        ticket: the ticket, its file, or (as checkpoints hold it) the bytes of its file as a uint8 tensor.
        tasks: number of classes by the name of each task, in the order of ``TaskBatch.task``.
        lr: learning rate of the heads; momentum, weight_decay: of their SGD; schedule: "cosine" (per step) or "constant".
        module: the factory of a mother of your own.

    ``Trainer.fit`` trains all heads at once, each on features standardised by the first batch of its task; ``fit_ridge``
    solves for them instead. The network has no gradient, is in no optimizer and stays in eval mode; if it is not the same
    after a fit or a test as when it was built, ``FrozenError`` is raised. Batches are those of ``TaskDataModule``: a list of
    ``TaskBatch`` to train on, one ``TaskBatch`` for all else. ``Trainer.test`` logs ``test/<task>``, ``Trainer.predict``
    gives logits (b, k). On several devices a Trainer needs ``strategy="ddp_find_unused_parameters_true"`` where tasks
    alternate.

    Example::

        import pytorch_lightning as pl
        from ult_lightning import TicketModule
        from ult_lightning.data import TaskDataModule

        data = TaskDataModule(["digits", "mnist5k"], seed=0)
        model = TicketModule("my.ticket", {"digits": 10, "mnist5k": 10})
        model.fit_ridge(data)                                   # closed form, or by SGD:
        trainer = pl.Trainer(max_epochs=5)
        trainer.fit(model, datamodule=data)
        trainer.test(model, datamodule=data)                    # test/digits, test/mnist5k
        model.save("my.model")                                  # TicketModule.load("my.model")
        logits = model.task_model("digits")(images)             # images of any size (b, c, h, w)

    Raises ``UltError`` for no task, options out of range, and data of other tasks or of another range than the ticket's.
    """

    _loss_sum: Tensor

    def __init__(
        self,
        ticket: Ticket | str | os.PathLike[str] | Tensor,
        tasks: Mapping[str, int],
        *,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        schedule: Schedule = "cosine",
        module: Factory | None = None,
    ) -> None:
        super().__init__()
        training = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "schedule": schedule}
        self.options = read_options(ProbeOptions, training)
        if not tasks:
            raise fault("tasks", dict(tasks), "at least one task", "such as {'mnist5k': 10}")
        self.ticket = _ticket(ticket, module)
        content = torch.frombuffer(bytearray(self.ticket.to_bytes()), dtype=torch.uint8)
        self.save_hyperparameters({"ticket": content, "tasks": dict(tasks), **self.options.to_dict()}, logger=False)
        self.names = list(tasks)
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.network = cast("FrozenNetwork", self.ticket.network(module=module))
        self._module = module or self.ticket.module
        self._fingerprint = self.network.fingerprint()
        self.heads = nn.ModuleList(ProbeHead(self.network.dim, classes) for classes in tasks.values())
        self.metrics = nn.ModuleList(MulticlassAccuracy(classes, average="micro") for classes in tasks.values())
        self._standardised = [False] * len(self.names)
        self.register_buffer("_loss_sum", torch.zeros(()), persistent=False)
        self._loss_count = 0

    def forward(self, x: Tensor, task: str | int = 0) -> Tensor:
        """Images (b, c, h, w), standardised as the ticket wants them, to logits (b, k) of one task, by name or place."""
        logits: Tensor = self.heads[self._place(task)](self._features(x))
        return logits

    def _features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            features: Tensor = self.network(x)
        return features.float()

    def _place(self, task: str | int) -> int:
        if isinstance(task, str):
            if task not in self.names:
                raise unknown("task", task, self.names)
            return self.names.index(task)
        return task

    def setup(self, stage: str) -> None:
        """Checks a ``TaskDataModule`` against the tasks, and notes what it says of them."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, TaskDataModule):
            self._meet(data)

    def _meet(self, data: TaskDataModule) -> None:
        wanted, got = list(self.hparams["tasks"].values()), [task.classes for task in data.tasks]
        if got != wanted:
            raise fault("datamodule", got, f"tasks of {wanted} classes, in this order")
        ids = [task.id for task in data.tasks]
        if ids != self.names and sorted(ids) == sorted(self.names):
            raise fault("datamodule", ids, f"the tasks in the order of the module's, {self.names}")
        if data.range != self.ticket.spec.input.range:
            mend = "the ticket's mother was made for it"
            raise fault("datamodule.range", data.range, self.ticket.spec.input.range, mend)
        self.descriptions = {name: t.describe() for name, t in zip(self.names, data.tasks, strict=True)}

    def on_train_start(self) -> None:
        """Which heads have met their first batch."""
        self._standardised = [bool(cast(ProbeHead, head).standardised) for head in self.heads]

    def training_step(self, batch: Sequence[TaskBatch], batch_idx: int) -> Tensor:
        """The sum () of the tasks' cross-entropies, whose gradients do not meet; the host does not wait for the device."""
        features = self._features(batch[0].x if len(batch) == 1 else torch.cat([part.x for part in batch]))
        sizes, losses = [len(part.y) for part in batch], []
        for part, chunk in zip(batch, torch.split(features, sizes), strict=True):
            head = cast(ProbeHead, self.heads[part.task])
            if not self._standardised[part.task]:
                self._standardised[part.task] = True
                moments = torch.stack([chunk.double().mean(0), chunk.double().square().mean(0)])
                mean, square = self.trainer.strategy.reduce(moments, reduce_op="mean")
                head.standardise(mean, (square - mean.square()).clamp(min=0))
            losses.append(F.cross_entropy(head(chunk), part.y))
        loss = torch.stack(losses).sum()
        self._loss_sum, self._loss_count = self._loss_sum + loss.detach(), self._loss_count + 1
        return loss

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's mean training loss; raises ``UltError`` where it is no finite number."""
        mean = float(self._loss_sum) / max(1, self._loss_count)
        if not math.isfinite(mean):
            raise UltError(
                f"The loss is not finite after step {self.global_step}; try a smaller lr (it is {self.options.lr:g})."
            )
        self.log("train/loss", mean)
        self._loss_sum, self._loss_count = torch.zeros_like(self._loss_sum), 0

    def validation_step(self, batch: TaskBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Counts the right answers on a batch of one task."""
        cast(MulticlassAccuracy, self.metrics[batch.task]).update(self(batch.x, batch.task), batch.y)

    test_step = validation_step

    def predict_step(self, batch: TaskBatch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """The logits (b, k) of a batch of one task."""
        logits: Tensor = self(batch.x, batch.task)
        return logits

    def on_validation_epoch_end(self) -> None:
        """Logs each task's validation accuracy as ``val/<task>``, and their mean as ``val/mean``."""
        self._log_accuracies("val")

    def on_test_epoch_end(self) -> None:
        """Logs each task's test accuracy as ``test/<task>``, and their mean as ``test/mean``."""
        self._log_accuracies("test")

    def _log_accuracies(self, part: str) -> None:
        accuracies = []
        for name, module in zip(self.names, self.metrics, strict=True):
            metric = cast(MulticlassAccuracy, module)
            if metric.update_called:
                accuracies.append(float(metric.compute()))
                self.log(f"{part}/{name}", accuracies[-1], prog_bar=True)
            metric.reset()
        if accuracies:
            self.log(f"{part}/mean", sum(accuracies) / len(accuracies))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD over the heads alone."""
        options = self.options
        optimizer = torch.optim.SGD(
            self.heads.parameters(), options.lr, momentum=options.momentum, weight_decay=options.weight_decay
        )
        if options.schedule == "constant":
            return {"optimizer": optimizer}
        steps = int(self.trainer.estimated_stepping_batches)
        cosine = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: 0.5 * (1.0 + math.cos(math.pi * min(step, steps) / steps))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_fit_end(self) -> None:
        """Raises ``FrozenError`` where the network is not what it was."""
        self._check_frozen()

    on_test_end = on_fit_end

    def _check_frozen(self) -> None:
        now = self.network.fingerprint()
        if now != self._fingerprint:
            raise FrozenError(
                f"The network changed: fingerprint {self._fingerprint[:16]} before, {now[:16]} after; build the module anew "
                "from its ticket."
            )

    def fit_ridge(self, datamodule: TaskDataModule, *, lambdas: Sequence[float] | None = None) -> dict[str, float]:
        """Sets every head as ``transfer`` with ``head="ridge"`` does, and returns the validation accuracy by task.

        One pass over each training part; ``lambdas`` as the ridge head takes them. Raises ``UltError`` for data that do not
        fit, and ``FrozenError``.
        """
        datamodule.prepare_data()
        datamodule.setup("fit")
        self._meet(datamodule)
        ridge = HEADS.get("ridge")
        options = ridge.read({} if lambdas is None else {"lambdas": lambdas})
        accuracies = {}
        for name, head, task in zip(self.names, self.heads, datamodule.tasks, strict=True):
            fit = ridge.fit(FeatureStream(self.network, task, device=str(self.device)), options, seed=0)
            cast(ProbeHead, head).set(fit.head)
            accuracies[name] = fit.valid_accuracy
        self._check_frozen()
        return accuracies

    def head(self, task: str | int) -> LinearHead:
        """The linear map from features (b, d) to the logits (b, k) of one task, on the CPU."""
        return cast(ProbeHead, self.heads[self._place(task)]).plain()

    def task_model(self, task: str | int) -> TaskModel:
        """The ticket with one head, from images as they are; raises ``UltError`` before the task's data were seen."""
        place = self._place(task)
        return TaskModel(self.ticket, self.head(place), self._described(place), module=self._module)

    def _described(self, place: int) -> dict[str, Any]:
        name = self.names[place]
        if name not in self.descriptions:
            raise UltError(
                f"The normalisation of {name!r} is not known yet; fit or test the module with a TaskDataModule first."
            )
        return self.descriptions[name]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write ticket and heads to one file, whole or not at all, and return its path.

        With one head it is a file of ``TaskModel`` too. Raises ``UltError`` before the tasks' data were seen, and like the
        disk.
        """
        places = range(len(self.names))
        heads = [SavedHead(self.names[p], self.head(p), self._described(p)) for p in places]
        return write_heads(path, self.ticket, heads)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, module: Factory | None = None) -> TicketModule:
        """Read a file that ``save`` or ``TaskModel.save`` wrote; raises like ``TaskModel.load``."""
        ticket, heads = read_heads(path, module=module)
        built = cls(ticket, {one.name: one.head.classes for one in heads}, module=module)
        for head, one in zip(built.heads, heads, strict=True):
            check_head(one.head, one.task, built.network.dim)
            cast(ProbeHead, head).set(one.head)
        built.descriptions = {one.name: dict(one.task) for one in heads}
        return built

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leaves out the network, which the ticket rebuilds, and keeps what is known of the tasks."""
        state = checkpoint["state_dict"]
        for key in [key for key in state if key.startswith(_BODY)]:
            del state[key]
        checkpoint["ult"] = {"tasks": self.descriptions}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the network back, and what is known of the tasks."""
        body = {key: value for key, value in self.state_dict().items() if key.startswith(_BODY)}
        checkpoint["state_dict"] |= body
        self.descriptions = dict(checkpoint["ult"]["tasks"])


def _ticket(ticket: Ticket | str | os.PathLike[str] | Tensor, module: Factory | None) -> Ticket:
    if isinstance(ticket, Ticket):
        return ticket
    if isinstance(ticket, Tensor):
        return Ticket.from_bytes(ticket.cpu().numpy().tobytes(), module=module)
    return Ticket.load(ticket, module=module)
