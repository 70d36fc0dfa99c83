"""What is known for sure about a constructed ticket, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ult_lightning.construct._arrays import Floats
from ult_lightning.construct._draft import Draft
from ult_lightning.construct.certificates._piecewise_linear import propagate, sup_error
from ult_lightning.nets import Chain, fold_chain

Net = list[tuple[Floats, Floats]]
Map = Callable[[Floats], Floats]

KINDS = {
    "exact": "exact: the whole net is one piecewise-linear function",
    "rigorous": "rigorous: from the exact error of each one-input net",
}
SAMPLES = 4_096
_AT_ONCE = 250_000  # features per forward pass
_DIGITS = 4


@dataclass(frozen=True)
class Certificate:
    """Bounds on sup |b_j(x) - wanted_j(x)| over the whole domain, for the network that the ticket builds, in float32.

    ``kind``: how they were found; ``bounds`` (k,) per feature; ``parts``: the errors that they are made of, by name.
    """

    kind: str
    bounds: Floats
    parts: dict[str, float]

    @property
    def bound(self) -> float:
        return float(self.bounds.max())

    def to_dict(self, *, domain: str, wanted: str, sampled: float) -> dict[str, Any]:
        """The JSON form that travels in a ticket's provenance, every bound rounded up to four digits."""
        return {
            "kind": KINDS[self.kind],
            "wanted": wanted,
            "domain": domain,
            "bound": round_up(self.bound),
            "bounds": [round_up(bound) for bound in self.bounds],
            "parts": {name: round_up(value) for name, value in self.parts.items()},
            "sampled": sampled,
            "samples": SAMPLES,
        }


def exact_certificate(cases: Iterable[tuple[Net, Map, float]], low: float, high: float) -> Certificate:
    """The certificate of nets of one variable on [low, high], each with its function f and a bound on |f''|."""
    uppers, roundings = [], []
    for net, f, curvature in cases:
        line = propagate(net, low, high)
        uppers.append(sup_error(line.x, line.y[:, 0], f, curvature)[1])
        roundings.append(float(line.rounding.max()))
    parts = {"pieces": max(uppers), "float32": max(roundings)}
    return Certificate("exact", np.array(uppers) + np.array(roundings), parts)


def round_up(value: float) -> float:
    """The smallest number of four significant digits that is at least ``value``.

    >>> round_up(0.00123411), round_up(0.5), round_up(0.0)
    (0.001235, 0.5, 0.0)
    """
    if value == 0.0 or not math.isfinite(value):
        return value
    exponent = math.floor(math.log10(abs(value))) - _DIGITS + 1
    near = round(value, -exponent)
    return near if near >= value else round(near + 10.0**exponent, -exponent)


def folded(draft: Draft) -> list[Net]:
    """The frozen network of the masks made so far, per stage (weight (o, i), bias (o,)) pairs in float64.

    The same function as the float32 network's before rounding; what passes from stage to stage is of unit scale here.
    """
    body = draft.masked_body()
    assert isinstance(body, Chain)
    stages = [
        [(weight.numpy(), bias.numpy()) for weight, bias in layers] for _, layers in fold_chain(body, nonnegative=True)
    ]
    for number, (name, _) in enumerate(body.order[:-1]):
        scale = draft.stage(name)[-1].scale
        weight, bias = stages[number][-1]
        stages[number][-1] = (weight / scale, bias / scale)
        weight, bias = stages[number + 1][0]
        stages[number + 1][0] = (weight * scale, bias)
    return stages


def sampled_error(draft: Draft, inputs: int, wanted: Map, *, interval: tuple[float, float] = (0.0, 1.0)) -> float:
    """The largest |b_j(x) - wanted_j(x)| of the frozen network that is seen; ``wanted`` maps (n, d) to (n, k).

    The points are uniform ones of the cube ``interval`` ^ d, or for d = 1 an even grid, and up to 1,024 of its corners.
    """
    rng, (low, high) = np.random.default_rng(0), interval
    inside = rng.random((SAMPLES, inputs)) if inputs > 1 else np.linspace(0.0, 1.0, SAMPLES)[:, None]
    corners = (np.arange(min(2**inputs, 1024))[:, None] >> np.arange(min(inputs, 10))) & 1
    if inputs > 10:
        corners = rng.integers(0, 2, (1024, inputs))
    points = (low + (high - low) * np.concatenate([inside, corners])).clip(low, high).astype(np.float32)
    body = draft.masked_body()
    assert isinstance(body, Chain)
    runner = body.compact(nonnegative=True)
    width = int(runner(torch.zeros(1, 1, 1, inputs)).shape[1])
    worst = 0.0
    for part in np.array_split(points, max(1, len(points) * width // _AT_ONCE)):
        features = runner(torch.from_numpy(part).reshape(-1, 1, 1, inputs)).double().numpy()
        worst = max(worst, float(np.abs(features - wanted(part.astype(np.float64))).max()))
    return worst
