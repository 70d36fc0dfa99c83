"""Training a network end to end, as one LightningModule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from ult_lightning.base import UltError
from ult_lightning.nets import FrozenNetwork, build_mother, maskable
from ult_lightning.search import TrainingStep, optimizer_and_schedule, seeded_head
from ult_lightning.tickets import MotherSpec

if TYPE_CHECKING:
    from ult_lightning.tickets import Ticket


class NotFinite(UltError):
    """A loss that is not finite."""


class EndToEnd(TrainingStep):
    """A mother and a linear head, all of whose weights train; with masks, only the weights that they keep.

    ``mother`` is its spec, or the dictionary of one, and ``classes`` k; ``seed`` draws the head. SGD with ``momentum`` and
    ``weight_decay`` at ``lr``, which falls to 0 over ``steps`` steps (None: those of the Trainer) with ``schedule`` "cosine". ``masked`` makes room for
    masks, which ``from_ticket`` or a checkpoint fills. A batch is images (b, c, h, w) with labels (b,), or a list of such
    pairs, as the streams of ``data`` give it. Logs train/loss, val/accuracy and test/accuracy; predicts logits (b, k).

    Raises ``NotFinite`` at the end of an epoch, and every 50 steps, where a loss since was no finite number.
    """

    def __init__(
        self,
        mother: MotherSpec | Mapping[str, Any],
        classes: int,
        *,
        lr: float = 0.1,
        steps: int | None = None,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        schedule: str = "cosine",
        seed: int = 0,
        masked: bool = False,
    ) -> None:
        super().__init__()
        spec = mother if isinstance(mother, MotherSpec) else MotherSpec.from_dict(mother)
        mother = spec.to_dict()  # what the checkpoint says: plain values
        self.save_hyperparameters()
        self.mother = build_mother(spec).train().requires_grad_(True)
        self.dim = self.mother.dim()
        self.head: nn.Linear = seeded_head(self.dim, classes, seed, 0)
        self.masks = nn.ParameterList()
        if masked:
            whole = [torch.ones_like(p, dtype=torch.bool) for p in maskable(self.mother.body).values()]
            self.masks.extend(nn.Parameter(mask, requires_grad=False) for mask in whole)
        self.valid_accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)
        self.test_accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)

    @classmethod
    def from_ticket(cls, ticket: Ticket, classes: int, **options: Any) -> EndToEnd:
        """The ticket's network with its kept weights to train; ``options`` as the class takes them."""
        network = ticket.network()
        assert isinstance(network, FrozenNetwork)
        model = cls(ticket.spec, classes, masked=True, **options)
        model.mother.load_state_dict(network.mother.state_dict())
        for mask, name in zip(model.masks, maskable(model.mother.body), strict=True):
            mask.copy_(torch.from_numpy(np.array(ticket.mask[name])))
        return model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.mother(x))
        return logits

    def step_loss(self, batch: Any) -> Tensor:
        """Mean cross-entropy () over the pairs of a batch."""
        return torch.stack([F.cross_entropy(self(x), y) for x, y in _pairs(batch)]).mean()

    def not_finite(self, what: str) -> NotFinite:
        """Says that ``what`` is not finite, and at which rate."""
        return NotFinite(f"{what} not finite at lr {self.hparams['lr']:g}; give a smaller lr of training end to end.")

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Pruned weights stay 0: they get no gradient, and from 0 neither momentum nor decay."""
        if len(self.masks):
            for parameter, mask in zip(maskable(self.mother.body).values(), self.masks, strict=True):
                if parameter.grad is not None:
                    parameter.grad.mul_(mask)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Counts the right answers of a validation batch."""
        self._count("val/accuracy", self.valid_accuracy, batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Counts the right answers of a test batch."""
        self._count("test/accuracy", self.test_accuracy, batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Logits (b, k) of a batch of images, with or without labels."""
        images = [batch] if isinstance(batch, Tensor) else [x for x, _ in _pairs(batch)]
        return torch.cat([self(x) for x in images])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD with momentum over all that trains."""
        h = self.hparams
        trainable = [p for p in self.parameters() if p.requires_grad]
        groups = [{"params": trainable, "lr": h["lr"], "weight_decay": h["weight_decay"]}]
        return optimizer_and_schedule(
            groups,
            optimizer="sgd",
            momentum=h["momentum"],
            schedule=h["schedule"],
            steps=h["steps"] or int(self.trainer.estimated_stepping_batches),
            fused=self.may_fuse,
        )

    def _count(self, name: str, metric: MulticlassAccuracy, batch: Any) -> None:
        for x, y in _pairs(batch):
            metric.update(self(x), y)
        self.log(name, metric, on_step=False, on_epoch=True, batch_size=1)


def _pairs(batch: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """The (images, labels) of a batch: itself, or every entry of it."""
    for part in [batch] if isinstance(batch[0], Tensor) else batch:
        yield part[0], part[1]
