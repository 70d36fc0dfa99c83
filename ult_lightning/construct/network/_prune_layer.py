"""Pruning one layer of a mother to a given linear map, weight by weight, with error feedback."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ult_lightning.construct._arrays import Bools, Floats, Ints
from ult_lightning.construct._draft import Layer
from ult_lightning.construct._steps import Step
from ult_lightning.construct.network._feedback import Feedback
from ult_lightning.construct.subset_sum._solvers import low_noise, sparsest

_TERMS = 5
_LOW_NOISE_TERMS = 3


@dataclass(frozen=True)
class Source:
    """Where a layer finds its inputs: per target input i the mother's channels ``channels[i]``, each carrying
    ``factors[i]`` times that input, and the channels ``constant_channels`` that carry ``constants`` whatever the input
    is. ``auxiliary``: the layer of these channels where it is none of the target's.
    """

    channels: Sequence[Ints]
    factors: Sequence[Floats]
    constant_channels: Ints
    constants: Floats
    auxiliary: Layer | None = None


@dataclass(frozen=True)
class Solved:
    """What pruning a layer left: the errors of its weights (rows, columns) and how many of its targets missed ``eps``."""

    errors: Floats
    targets: int
    missed: int


def choose(values: Floats, targets: Floats, eps: float, *, noise: bool = False) -> tuple[Bools, Floats]:
    """Subsets (m, n) of the pools ``values`` (m, n) and their errors (m,): the fewest terms within eps, or the least noise."""
    if values.shape[1] == 0 or len(targets) == 0:
        return np.zeros(values.shape, bool), np.abs(targets)
    if noise:
        subsets = low_noise(values, targets, eps, max_size=_LOW_NOISE_TERMS)
    else:
        subsets = sparsest(values, targets, eps, max_size=_TERMS)
    return subsets.chosen, subsets.errors


def prune_to(
    layer: Layer,
    rows: Ints,
    source: Source,
    step: Step,
    *,
    eps: float,
    noise: bool = False,
    feedback: Feedback | None = None,
) -> Solved:
    """Prunes, in place, the ``rows`` (units, copies) of a layer so that each copy of a unit gives the step's weights.

    Columns (i, ky, kx) are solved one by one; with ``feedback`` the error of each is handed on to those not yet solved.
    """
    units, copies = rows.shape
    row = rows.ravel()
    layer = layer.shaped(-1, *step.kernel)
    wanted = step.weight.reshape(units, 1, -1)  # (units, 1, i * kh * kw)
    working = np.repeat(wanted if feedback is None else feedback.start[:, None], copies, 1)
    reached = np.zeros_like(working)
    targets = missed = 0
    taps = step.kernel[0] * step.kernel[1]
    for column in range(working.shape[2]):
        i, (ky, kx) = column // taps, divmod(column % taps, step.kernel[1])
        target = working[:, :, column].ravel()
        live = np.flatnonzero(np.abs(target) > eps)
        channels = source.channels[i]
        values = layer.u[row[live, None], channels[None, :], ky, kx] * source.factors[i]
        chosen, errors = choose(values, target[live], eps, noise=noise)
        layer.weight_mask[row[live, None], channels[None, :], ky, kx] = chosen
        got = np.zeros(len(row))
        got[live] = (values * chosen).sum(1)
        reached[:, :, column] = got.reshape(units, copies)
        targets, missed = targets + len(live), missed + int((errors > eps).sum())
        if feedback is not None:
            feedback.hand_on(working, column, working[:, :, column] - reached[:, :, column])
    bias = np.repeat(step.bias[:, None], copies, 1) if feedback is None else feedback.bias(step, reached)
    missed += _prune_bias(layer, row, source, step, bias.ravel(), eps)
    errors = (wanted - reached).reshape(len(row), -1)
    return Solved(errors, targets + len(row), missed)


def _prune_bias(layer: Layer, row: Ints, source: Source, step: Step, bias: Floats, eps: float) -> int:
    """Chooses own biases and constants for the biases wanted; returns how many missed eps.

    Constants come through the tap that lies inside the map at every output position: the first one past the padding.
    """
    ky, kx = step.padding
    place = row[:, None], source.constant_channels[None, :], ky, kx
    through = layer.u[place] * source.constants
    chosen, errors = choose(np.column_stack([through, layer.v[row]]), bias, eps)
    layer.weight_mask[place] = chosen[:, :-1]
    layer.bias_mask[row] = chosen[:, -1]
    return int((errors > eps).sum())


def auxiliary(layer: Layer, inputs: int, block: int, constants: int) -> Source:
    """Gives, in place, each row of an auxiliary layer one input, or a constant, and says where they are.

    Inputs are not negative, so a row with one positive weight passes its input on, scaled. Rows go to the input for
    which their weight is largest, the largest weights first and ``block`` rows an input; the ``constants`` rows with the
    largest biases keep nothing but these.
    """
    flat = layer.shaped(inputs)
    order = np.argsort(-layer.v, kind="stable")
    fixed = order[:constants]
    fixed = np.sort(fixed[layer.v[fixed] > 0])
    free = np.ones(len(order), bool)
    free[fixed] = False
    owner = _assign(np.where(free[:, None], flat.u, -1.0), block)
    channels = [np.flatnonzero(owner == i) for i in range(inputs)]
    for i, channel in enumerate(channels):
        flat.weight_mask[channel, i] = True
    layer.bias_mask[fixed] = True
    return Source(channels, [flat.u[c, i] for i, c in enumerate(channels)], fixed, layer.v[fixed], layer)


def _assign(u: Floats, block: int) -> Ints:
    """The input (or -1) of each row of ``u`` (rows, inputs): greedy, largest positive entry first, ``block`` rows an input."""
    rows, inputs = u.shape
    owner, room = [-1] * rows, [block] * inputs
    left = min(rows, block * inputs)
    order = np.argsort(-u, axis=None, kind="stable")
    for flat in order[: int((u > 0).sum())].tolist():
        row, i = divmod(flat, inputs)
        if owner[row] < 0 and room[i] > 0:
            owner[row] = i
            room[i] -= 1
            left -= 1
            if left == 0:
                break
    return np.array(owner, dtype=np.int64)


def usable_copies(solved: Solved, shape: tuple[int, int], feedback: Feedback | None) -> Bools:
    """(units, copies): the copies whose own error is no outlier, at least 3 in 5 of each unit.

    The error of a copy is its standard deviation on the calibration inputs, or without feedback on uniform ones.
    """
    count = solved.errors.shape[1]
    second = np.eye(count) / 12 if feedback is None else feedback.covariance
    score = np.sqrt(np.maximum(((solved.errors @ second) * solved.errors).sum(1), 0.0)).reshape(shape)
    good: Bools = score <= 2.0 * np.median(score)
    least = int(np.ceil(0.6 * shape[1]))
    np.put_along_axis(good, np.argsort(score, axis=1, kind="stable")[:, :least], True, axis=1)
    return good


def drop_dead(layers: Sequence[Layer]) -> None:
    """Prunes, in place, what cannot matter: units that nothing reads, and units that are always zero.

    A layer reads the units of the one before it in equal runs (after a flatten a unit has one run of features).
    """
    for before, after in reversed(list(itertools.pairwise(layers))):
        unread = ~_reads(after, before).any(axis=(0, 2))
        before.weight_mask[unread] = False
        before.bias_mask[unread] = False
    for before, after in itertools.pairwise(layers):
        silent = ~before.weight_mask.reshape(len(before.v), -1).any(1) & ~(before.bias_mask & (before.v > 0))
        before.bias_mask[silent] = False
        _reads(after, before)[:, silent] = False


def _reads(after: Layer, before: Layer) -> Bools:
    """A view (out, units of the layer before, run) of the weight mask."""
    return after.weight_mask.reshape(len(after.v), len(before.v), -1)
