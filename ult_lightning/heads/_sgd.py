"""The linear probe as it is usually trained: SGD over epochs, each of which passes all images through the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ult_lightning.base import Options, fault, grid_reach, option
from ult_lightning.heads._linear import HEADS, Head, HeadFit, choose

if TYPE_CHECKING:
    from ult_lightning.heads._features import FeatureStream

_FACTOR = 3.0


@dataclass(frozen=True)
class SgdOptions(Options):
    """``lrs``: learning rates, of which validation chooses one; ``augment``: crops and flips, as the task allows them."""

    epochs: int = option(10, least=1)
    lrs: tuple[float, ...] = option((0.1, 0.03, 0.01), above=0, distinct=True)
    momentum: float = option(0.9, least=0, below=1)
    weight_decay: float = option(0.0, least=0)
    batch_size: int = option(128, least=2)
    augment: bool = option(False)


def fit_sgd(stream: FeatureStream, options: SgdOptions, *, seed: int = 0) -> HeadFit:
    """A Lightning linear probe on the frozen features, cross-entropy, cosine learning rate per step.

    The features pass a batch norm without parameters, folded into the head at the end (He et al. 2022, section A.1).
    One head per learning rate in ``lrs``, and per rate by which these may grow, is trained on the same forward passes, and
    validation chooses (ties: the earlier one). ``seed`` decides the order of the images.
    """
    from ult_lightning.heads._probe import train_probe

    if stream.sizes["train"] < 2:
        raise fault("task.train", stream.sizes["train"], "at least two training images", "head=ridge takes one")
    path = train_probe(stream, grid_reach(options.lrs, factor=_FACTOR), options, seed=seed)
    grown = choose(path, stream.batches("valid"), options.lrs, argument="head.options.lrs", factor=_FACTOR)
    hyper: dict[str, Any] = {"lr": grown.best, "epochs": options.epochs}
    sizes = stream.sizes
    return HeadFit(path.head(grown.best), grown.score, hyper, sizes["train"], sizes["valid"], grown)


HEADS.add("sgd", Head(SgdOptions, fit_sgd))
