"""Pruning a mother to a whole target: auxiliary layers, copies and constants, layer after layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ult_lightning.construct._arrays import Bools, Ints
from ult_lightning.construct._draft import Layer
from ult_lightning.construct._family import Notice, silent
from ult_lightning.construct._steps import Step
from ult_lightning.construct.certificates._interval_bound import Effective
from ult_lightning.construct.network._feedback import Feedback
from ult_lightning.construct.network._network_options import NetworkOptions
from ult_lightning.construct.network._prune_layer import Solved, Source, auxiliary, drop_dead, prune_to, usable_copies


@dataclass(frozen=True)
class _Pruned:
    """A pruned layer: where it finds its inputs, ``rows`` (units, copies) of its units, which copies are ``good``."""

    layer: Layer
    source: Source
    rows: Ints
    good: Bools
    solved: Solved


def prune_network(
    steps: Sequence[Step],
    layers: Sequence[Layer],
    options: NetworkOptions,
    points: Tensor,
    notice: Notice = silent,
) -> tuple[list[Effective], list[Solved]]:
    """Prunes the mother's layers, in place, to the target's; says what they compute then.

    ``points`` (b, c, h, w) are the calibration inputs. They run through the target and, layer by layer, the ticket.
    """
    rest = iter(layers)
    pruned: list[_Pruned] = []
    wanted = actual = points
    count = sum(step.weighted for step in steps)
    for step in steps:
        if not step.weighted:
            wanted, actual = step.apply(wanted), step.apply(actual)
            continue
        if step.kind == "linear":
            wanted, actual = (h.flatten(1)[:, :, None, None] for h in (wanted, actual))
        index = len(pruned)
        source = _source(step, pruned[-1] if pruned else None, rest, options)
        layer, copied = next(rest), options.mode == "L+1" and index < count - 1
        rows, constants = _rows(layer, len(step.bias), options.constants() if copied else 0)
        layer.bias_mask[constants] = layer.v[constants] > 0
        feedback = Feedback(step, wanted, _unit_means(actual, source)) if options.feedback else None
        noise = options.quiet and source.auxiliary is None
        solved = prune_to(layer, rows, source, step, eps=options.eps_of(index), noise=noise, feedback=feedback)
        notice(f"layer {index + 1} of {count}: {solved.targets:,} subset sums, {solved.missed} of them missed")
        pruned.append(_Pruned(layer, source, rows, usable_copies(solved, rows.shape, feedback), solved))
        if options.feedback:
            now = _effective(pruned[-1])
            actual = step.apply(actual, torch.from_numpy(now.weight), torch.from_numpy(now.bias))
            wanted = step.apply(wanted)
    drop_dead(layers)
    return [_effective(one) for one in pruned], [one.solved for one in pruned]


def _source(step: Step, before: _Pruned | None, rest: Iterator[Layer], options: NetworkOptions) -> Source:
    """Where the next layer finds its inputs: in an auxiliary layer, or in the copies of the last one."""
    fan = step.weight.shape[1]
    if before is not None and options.mode == "L+1":
        return _copies(before, fan)
    block = options.first_block() if before is None else options.block
    return auxiliary(next(rest), fan, block, options.constants())


def _unit_means(actual: Tensor, source: Source) -> Tensor:
    """The ticket's version of each of the target's inputs (b, i, h, w): the mean over its usable copies."""
    if source.auxiliary is not None:
        return actual
    return torch.stack([actual[:, torch.from_numpy(c)].mean(1) for c in source.channels], dim=1)


def _rows(layer: Layer, units: int, constants: int) -> tuple[Ints, Ints]:
    """The rows (units, copies) of a layer, and those that carry constants: the ones with the largest biases."""
    order = np.argsort(-layer.v, kind="stable")[:constants]
    rest = np.setdiff1d(np.arange(len(layer.v)), order)
    return rest.reshape(units, -1), np.sort(order)


def _copies(before: _Pruned, fan: int) -> Source:
    """The copies of each input; after a flatten a unit's channel is a run of features, its positions."""
    rows, biases = before.rows, before.layer.v
    run = fan // len(rows)
    channels = [rows[i // run][before.good[i // run]] * run + i % run for i in range(fan)]
    constant = np.setdiff1d(np.arange(len(biases)), rows)
    constant = constant[biases[constant] > 0]
    return Source(channels, [np.ones(len(c)) for c in channels], constant * run, biases[constant])


def _effective(pruned: _Pruned) -> Effective:
    """The map from the layer's inputs (of its auxiliary layer, if it has one) to its rows, after all pruning."""
    source, rows = pruned.source, pruned.rows
    u, v = pruned.layer.masked()
    u = u.reshape(*u.shape[:2], *(u.shape[2:] or (1, 1)))
    unit = np.full(len(v), -1)
    unit[rows] = np.arange(len(rows))[:, None]
    terms = int((u != 0).reshape(len(u), -1).sum(1).max()) + 1
    through = u[:, source.constant_channels].sum((2, 3))
    if source.auxiliary is None:
        weight = u.copy()
        weight[:, source.constant_channels] = 0.0
        parts = (weight, v + through @ source.constants, np.abs(weight), np.abs(v) + np.abs(through) @ source.constants)
    else:
        first, offset = source.auxiliary.shaped(-1).masked()
        weight, size = (np.einsum("ohyx,hi->oiyx", w, first, optimize=True) for w in (u, np.abs(u)))
        whole = u.sum((2, 3))
        parts = (weight, v + whole @ offset, size, np.abs(v) + np.abs(whole) @ offset)
    return Effective(*parts, terms, unit)
