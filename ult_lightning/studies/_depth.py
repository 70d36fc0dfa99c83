"""The study of depth: a network trained on digits and cut to 10 % of its weights, rebuilt by two layers for one or by
copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise, product
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ult_lightning import construct
from ult_lightning.construct import Mode
from ult_lightning.results import StudyAxes
from ult_lightning.studies._study_runner import STUDIES, Options, Point, Result, Study, ticket_result

_INPUTS, _CLASSES = 64, 10
_KEPT, _KEPT_LAST = 0.1, 0.5
_TRAIN = 1400
_BATCH = 64
_RATE = 2e-3


@dataclass(frozen=True)
class Target:
    """``module``: features (b, 64) in [0, 1] to logits (b, 10); ``train`` (1400, 64), ``test`` (397, 64) with ``labels``."""

    module: nn.Sequential
    train: Tensor
    test: Tensor
    labels: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """Its outputs (b, 10) in float64."""
        with torch.no_grad():
            outputs: Tensor = self.module(x).double()
        return outputs

    def accuracy(self) -> float:
        """On the test digits, a fraction."""
        return float((self.logits(self.test).argmax(1) == self.labels).double().mean())


@lru_cache(maxsize=2)
def digits_target(*, hidden: tuple[int, ...], seed: int, epochs: int) -> Target:
    """Train with Adam, keep the largest weights of each layer (10 %, of the last 50 %), and train those for 2/3 of the epochs.

    ``hidden``: the widths of the hidden layers.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.data))
    images = torch.from_numpy((data.data[order] / 16.0).astype(np.float32))
    labels = torch.from_numpy(data.target[order].astype(np.int64))
    module = _perceptron((_INPUTS, *hidden, _CLASSES), rng)
    train = images[:_TRAIN], labels[:_TRAIN]
    _fit(module, *train, epochs=epochs, rng=rng)
    layers = [layer for layer in module if isinstance(layer, nn.Linear)]
    shares = [_KEPT] * (len(layers) - 1) + [_KEPT_LAST]
    masks = [_largest(layer.weight, share) for layer, share in zip(layers, shares, strict=True)]
    _fit(module, *train, epochs=max(1, 2 * epochs // 3), rng=rng, masks=masks)
    module.requires_grad_(False)
    return Target(module, train[0], images[_TRAIN:], labels[_TRAIN:])


def _perceptron(sizes: Sequence[int], rng: np.random.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, units in pairwise(sizes):
        with torch.random.fork_rng(devices=[]):  # its own draw is thrown away
            layer = nn.Linear(fan_in, units)
        bound = fan_in**-0.5
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, (units, fan_in))))
            layer.bias.copy_(torch.from_numpy(rng.uniform(-bound, bound, units)))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _largest(weight: Tensor, kept: float) -> Tensor:
    """The mask (bool) of the share ``kept`` of the weights that is largest in size."""
    flat = weight.detach().abs().flatten()
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask[flat.topk(round(kept * flat.numel())).indices] = True
    return mask.reshape(weight.shape)


def _fit(
    module: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    rng: np.random.Generator,
    masks: list[Tensor] | None = None,
) -> None:
    """Cross entropy with Adam; weights outside ``masks`` are 0 from the start on."""
    weights = [layer.weight for layer in module if isinstance(layer, nn.Linear)]
    optimizer = torch.optim.Adam(module.parameters(), lr=_RATE if masks is None else _RATE / 2)

    def cut() -> None:
        with torch.no_grad():
            for weight, mask in zip(weights, masks or [], strict=bool(masks)):
                weight.mul_(mask)

    cut()
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(images)))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            optimizer.zero_grad()
            F.cross_entropy(module(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cut()


def _points(options: Options) -> Iterator[Point]:
    target = {"hidden": list(options["hidden"]), "seed": options["target_seed"], "epochs": options["epochs"]}
    for mode, block, seed in product(options["modes"], options["blocks"], options["seeds"]):
        science = {"mode": mode, "block": block, "eps": options["eps"], "init": "uniform", "target": target}
        yield Point(mode, seed, science, ("kept_per_parameter", "relative_error"), partial(_rebuilt, science, seed))


def _rebuilt(science: dict[str, Any], seed: int) -> Result:
    """A ticket for the target, judged on digits that neither training nor calibration saw."""
    settings, target = {k: v for k, v in science.items() if k != "target"}, science["target"]
    net = digits_target(hidden=tuple(target["hidden"]), seed=target["seed"], epochs=target["epochs"])
    ticket = construct.network_ticket(net.module, **settings, seed=seed, calibration=net.train)
    wanted, facts = net.logits(net.test), ticket.provenance
    logits = ticket.network()(net.test.reshape(-1, 1, 1, net.test.shape[1])).double()
    relative = float((logits - wanted).abs().max() / wanted.abs().max())
    extra = {
        "accuracy": float((logits.argmax(1) == net.labels).double().mean()),
        "target_accuracy": net.accuracy(),
        **{name: facts[name] for name in ("target_parameters", "missed", "subset_sums")},
        "target_digest": facts["config"]["target"]["digest"],
    }
    values = {"kept_per_parameter": facts["kept_per_parameter"], "relative_error": relative}
    return ticket_result(ticket, values, x=settings["block"], n=len(net.test), extra=extra, n_train=len(net.train))


STUDIES.add(
    "depth",
    Study(
        name="depth",
        claim="Two random layers for one rebuild a given network with about three parameters for each of its own; copies of "
        "units, which need one more layer in all, take seven to fifteen times as many at a similar error.",
        title="A trained network (10 % of its weights) rebuilt from random ones",
        axes=StudyAxes(
            x="block size n",
            panels={
                "kept_per_parameter": "kept per target parameter",
                "relative_error": "largest logit error / largest logit",
            },
        ),
        options={
            "blocks": [10, 12, 15, 20, 25],
            "modes": ["2L", "L+1"],
            "eps": 1e-2,
            "seeds": [0, 1, 2],
            "hidden": [300, 100],
            "target_seed": 0,
            "epochs": 60,
        },
        fast={"blocks": [12], "seeds": [0], "hidden": [60, 20], "epochs": 6},
        choices={"modes": get_args(Mode)},
        points=_points,
    ),
)
