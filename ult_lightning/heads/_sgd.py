"""The linear probe as it is usually trained: SGD over epochs, each of which passes all images through the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ult_lightning.base import fault, grid_reach
from ult_lightning.heads._linear import HEADS, OPTIONS, HeadFit, at_least, choose, number, numbers

if TYPE_CHECKING:
    from ult_lightning.heads._features import FeatureStream

LRS = (0.1, 0.03, 0.01)
EPOCHS = 10
BATCH_SIZE = 128
_FACTOR = 3.0


class SgdOptions(NamedTuple):
    """The options of the probe, checked."""

    epochs: int
    rates: tuple[float, ...]
    momentum: float
    weight_decay: float
    batch_size: int
    augment: bool


@OPTIONS.register("sgd")
def sgd_options(
    *,
    epochs: int = EPOCHS,
    lrs: Sequence[float] = LRS,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    batch_size: int = BATCH_SIZE,
    augment: bool = False,
) -> SgdOptions:
    """The options as they are used; raises ``UltError`` for what they cannot be."""
    rates = numbers("head.options.lrs", lrs)
    decay, inertia = (
        number("head.options.weight_decay", weight_decay),
        number("head.options.momentum", momentum, below=1),
    )
    if not isinstance(augment, bool):
        raise fault("head.options.augment", augment, "true or false")
    rounds, size = (
        at_least("head.options.epochs", epochs, 1),
        at_least("head.options.batch_size", batch_size, 2),
    )
    return SgdOptions(rounds, rates, inertia, decay, size, augment)


@HEADS.register("sgd")
def fit_sgd(stream: FeatureStream, *, seed: int = 0, **options: Any) -> HeadFit:
    """A Lightning linear probe on the frozen features, cross-entropy, cosine learning rate per step.

    The features pass a batch norm without parameters, folded into the head at the end (He et al. 2022, section A.1).
    One head per learning rate in ``lrs``, and per rate by which these may grow, is trained on the same forward passes, and
    validation chooses (ties: the earlier one). ``augment`` crops and flips the training images; ``seed`` decides the order of the images.
    """
    from ult_lightning.heads._probe import train_probe

    settings = sgd_options(**options)
    if stream.sizes["train"] < 2:
        raise fault(
            "task.train", stream.sizes["train"], "at least two training images", "head=ridge takes one"
        )
    rates = settings.rates
    path = train_probe(
        stream, seed=seed, **settings._replace(rates=grid_reach(rates, factor=_FACTOR))._asdict()
    )
    grown = choose(path, stream.batches("valid"), rates, argument="head.options.lrs", factor=_FACTOR)
    hyper: dict[str, Any] = {"lr": grown.best, "epochs": settings.epochs}
    sizes = stream.sizes
    return HeadFit(path.head(grown.best), grown.score, hyper, sizes["train"], sizes["valid"], grown)
