"""The Lightning side of the SGD probe; apart, so that the other heads start without importing Lightning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning.base import UltError
from ult_lightning.base._trainer_arguments import quiet_lightning
from ult_lightning.heads._linear import HeadPath, unstandardised

if TYPE_CHECKING:
    from ult_lightning.heads._features import FeatureStream
    from ult_lightning.heads._sgd import SgdOptions

_EPS = 1e-5


class Order:
    """Index batches (b,) int64 of n images: a new permutation per epoch, the incomplete last batch dropped."""

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n, self.batch_size = n, min(batch_size, n)
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.n // self.batch_size

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.randperm(self.n, generator=self._generator)
        yield from order[: len(self) * self.batch_size].view(-1, self.batch_size)


class Probe(LightningModule):
    """Linear heads, one per learning rate, on the same standardised features. The network is not a part of it."""

    def __init__(
        self,
        stream: FeatureStream,
        rates: tuple[float, ...],
        options: SgdOptions,
        *,
        seed: int,
        steps: int,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(stream.dim, eps=_EPS, affine=False, momentum=None)
        classes, dim = stream.classes, stream.dim  # zeros, since the loss is convex: no symmetry to break
        self.weights = nn.ParameterList(nn.Parameter(torch.zeros(classes, dim)) for _ in rates)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(classes)) for _ in rates)
        self._stream, self._rates, self._steps, self._options = stream, rates, steps, options
        self._generator = torch.Generator().manual_seed(seed)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Sum of the heads' losses; their gradients do not meet."""
        features, labels = self._stream.draw(batch, augment=self._options.augment, generator=self._generator)
        z = self.norm(features)
        heads = zip(self.weights, self.biases, strict=True)
        losses = [F.cross_entropy(F.linear(z, weight, bias), labels) for weight, bias in heads]
        return torch.stack(losses).sum()

    def configure_optimizers(self) -> Any:
        """SGD with a rate per head, and a cosine to zero per step."""
        heads = zip(self.weights, self.biases, self._rates, strict=True)
        groups = [{"params": [weight, bias], "lr": rate} for weight, bias, rate in heads]
        options = self._options
        optimizer = torch.optim.SGD(groups, momentum=options.momentum, weight_decay=options.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self._steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def path(self) -> HeadPath:
        """The heads, with the batch norm's averages folded in; those that diverged are left out."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        weights, biases = (torch.stack([p.detach() for p in parts]).double() for parts in (self.weights, self.biases))
        path = unstandardised(self._rates, weights, biases, mean.double(), (variance.double() + _EPS).rsqrt())
        fine = (path.weights.sum((1, 2)) + path.biases.sum(1)).isfinite()
        if not bool(fine.any()):
            rates = ", ".join(f"{rate:g}" for rate in self._rates)
            raise UltError(
                f"The SGD probe diverged at every learning rate ({rates}); add a smaller one to head.options.lrs."
            )
        values = tuple(rate for rate, kept in zip(path.values, fine.tolist(), strict=True) if kept)
        return HeadPath(values, path.weights[fine], path.biases[fine])


def train_probe(stream: FeatureStream, rates: tuple[float, ...], options: SgdOptions, *, seed: int) -> HeadPath:
    rates = tuple(rate for rate in rates if rate < torch.finfo(torch.float32).max)  # others diverge at once
    order = Order(stream.sizes["train"], options.batch_size, seed)
    probe = Probe(stream, rates, options, seed=seed, steps=options.epochs * len(order))
    cuda = stream.device.type == "cuda"
    with quiet_lightning(logging.ERROR):
        trainer = Trainer(
            max_epochs=options.epochs,
            accelerator="gpu" if cuda else "cpu",
            devices=[stream.device.index or 0] if cuda else 1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[LightningEnvironment()],
        )
        trainer.fit(probe, order)
    return probe.to(stream.device).path()
