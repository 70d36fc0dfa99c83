"""A bound on the distance of a masked network from its target over all inputs in [0, 1]^d, by interval arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct._steps import Step

_UNIT = 2.0**-24
_SAFETY = 1.0 + 1e-9
_WINOGRAD = 8.0


@dataclass(frozen=True)
class Effective:
    """What a pruned layer, with the auxiliary layer or the constants before it, computes from its inputs' channels.

    ``weight`` (rows, channels, kh, kw) and ``bias`` (rows,); ``size`` and ``bias_size`` are the same sums of absolute values,
    ``terms`` the largest number of terms in one; ``unit`` (rows,) the target's unit that each row stands for, -1 for none.
    """

    weight: Floats
    bias: Floats
    size: Floats
    bias_size: Floats
    terms: int
    unit: Ints


@dataclass
class _State:
    """At one place of the networks: ``low``, ``high`` (1, units, h, w) bound the target's values and ``under``, ``over``
    (1, channels, h, w) the masked network's values less the target's, ``unit`` (channels,) saying of which unit.
    """

    low: Tensor
    high: Tensor
    under: Tensor
    over: Tensor
    unit: Tensor


def network_bound(steps: Sequence[Step], effective: Sequence[Effective], shape: tuple[int, int, int]) -> float:
    """The largest |network - target| over [0, 1]^d that interval arithmetic cannot exclude, in the units of ``steps``.

    Weights and biases of ``steps`` are to be in the gauge of ``effective``. Includes the rounding of a forward pass in
    float32 (unit roundoff 2^-24, sums in any order; no reduced precision such as TF32).
    """
    zeros = torch.zeros(1, *shape, dtype=torch.float64)
    state = _State(zeros, zeros + 1.0, zeros, zeros.clone(), torch.arange(shape[0]))
    layers = iter(effective)
    for step in steps:
        if step.kind == "linear" and state.low.shape[2:] != (1, 1):
            state = _flattened(state)
        if step.weighted:
            state = _through_weights(state, step, next(layers))
        elif step.kind == "flatten":
            state = _flattened(state)
        else:
            state = _through_monotone(state, step)
    error = torch.maximum(state.over, -state.under)
    value = torch.maximum(state.high.abs(), state.low.abs())[:, state.unit.clamp_min(0)] + error
    live = (state.unit >= 0)[None, :, None, None]
    return float(((error + 4.0 * _UNIT * value) * live).max()) * _SAFETY


def _through_weights(state: _State, step: Step, layer: Effective) -> _State:
    weight, size = torch.from_numpy(layer.weight), torch.from_numpy(layer.size)
    unit = torch.from_numpy(layer.unit)
    live = (unit >= 0)[:, None, None, None]
    # target units seen by each row in total, less what the target's unit sees
    seen = torch.zeros(len(weight), state.low.shape[1], *step.kernel, dtype=torch.float64)
    known = state.unit >= 0
    seen.index_add_(1, state.unit[known], weight[:, known])
    excess = (seen - torch.from_numpy(step.weight)[unit.clamp_min(0)]) * live
    shift = (torch.from_numpy(layer.bias) - torch.from_numpy(step.bias)[unit.clamp_min(0)]) * (unit >= 0)
    gained = _interval(step, excess, state.low, state.high)
    passed = _interval(step, weight, state.under, state.over)
    largest = torch.maximum(state.high.abs(), state.low.abs())[:, state.unit.clamp_min(0)]
    largest = (largest + torch.maximum(state.over, -state.under)) * known[None, :, None, None]
    rounding = (layer.terms + 8) * _UNIT * (_WINOGRAD if max(step.kernel) > 1 else 1.0)
    slack = rounding * step.apply(largest, size, torch.from_numpy(layer.bias_size))
    own = _interval(step, torch.from_numpy(step.weight), state.low, state.high)
    bias = torch.from_numpy(step.bias)[None, :, None, None]
    under, over = (g + p + shift[None, :, None, None] for g, p in zip(gained, passed, strict=True))
    return _State(
        own[0] + bias, own[1] + bias, (under - slack) * live[None, :, 0], (over + slack) * live[None, :, 0], unit
    )


def _interval(step: Step, weight: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The range of the linear map over inputs between ``low`` and ``high``; padding adds zeros, which are in it exactly."""
    plus, minus, none = (weight.clamp_min(0.0), weight.clamp_max(0.0), torch.zeros(len(weight), dtype=torch.float64))
    least = step.apply(low, plus, none) + step.apply(high, minus, none)
    return least, step.apply(high, plus, none) + step.apply(low, minus, none)


def _through_monotone(state: _State, step: Step) -> _State:
    """ReLU and max-pool: monotone, and no two inputs leave them further apart than they came."""
    if step.kind == "maxpool":
        under, over = -step.apply(-state.under), step.apply(state.over)
    else:
        under, over = state.under.clamp_max(0.0), state.over.clamp_min(0.0)
        high = state.high[:, state.unit.clamp_min(0)]
        over = torch.minimum(over, (high + over).clamp_min(0.0))  # where both are never active
        under = torch.maximum(under, -high.clamp_min(0.0))
    return _State(step.apply(state.low), step.apply(state.high), under, over, state.unit)


def _flattened(state: _State) -> _State:
    run = state.low.shape[2] * state.low.shape[3]
    places = torch.arange(run)
    unit = torch.where(state.unit[:, None] >= 0, state.unit[:, None] * run + places, -1).flatten()
    parts = (t.flatten(1)[:, :, None, None] for t in (state.low, state.high, state.under, state.over))
    low, high, under, over = parts
    return _State(low, high, under, over, unit)
