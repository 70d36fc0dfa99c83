"""Error feedback: weights not yet chosen, and at last the bias, make up for the errors of those chosen before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct._steps import Step

_DAMPING = 0.01
_LARGEST_SAMPLE = 20_000


@dataclass(frozen=True)
class _Group:
    """Units whose non-zero weights stand in the same columns, and the root of these columns' inverse covariance."""

    units: Ints
    columns: Ints
    root: Floats


class Feedback:
    """What a layer sees on the calibration inputs, and how errors of its weights are handed on.

    The errors of a unit go to its other non-zero weights only, so that zeros stay zeros, by the rule of GPTQ (Frantar et al.
    2023); the covariance is that of the ticket's own activations, so that a layer makes up for the errors of those below it.
    """

    def __init__(self, step: Step, wanted: Tensor, actual: Tensor) -> None:
        """``wanted`` and ``actual`` (b, c, h, w): the inputs of the layer in the target and in the ticket."""
        there, here = _columns(step, wanted), _columns(step, actual)  # (samples, i * kh * kw)
        self.wanted_mean, self.actual_mean = there.mean(0), here.mean(0)
        centred = here - self.actual_mean
        self.covariance = centred.T @ centred / len(centred)
        cross = centred.T @ (there - here) / len(centred)
        weight = step.weight.reshape(len(step.bias), -1)
        damping = max(_DAMPING * float(np.mean(np.diag(self.covariance))), 1e-12)
        self.start = weight.copy()
        self._by_column: list[list[tuple[_Group, int]]] = [[] for _ in range(weight.shape[1])]
        for units, columns in _supports(weight):
            inverse = np.linalg.inv(self.covariance[np.ix_(columns, columns)] + damping * np.eye(len(columns)))
            lag = inverse @ cross[np.ix_(columns, columns)]
            self.start[np.ix_(units, columns)] += weight[np.ix_(units, columns)] @ lag.T
            group = _Group(units, columns, np.linalg.cholesky(inverse).T)
            for place, column in enumerate(columns):
                self._by_column[column].append((group, place))

    def hand_on(self, working: Floats, column: int, errors: Floats) -> None:
        """Adds, in place, to the later columns of ``working`` (units, copies, columns) what makes up for ``errors`` (units, copies)."""
        for group, place in self._by_column[column]:
            root = group.root[place, place:]
            share = errors[group.units] / root[0]  # (units of the group, copies)
            later = group.columns[place + 1 :]
            working[group.units[:, None], :, later[None, :]] -= (
                share[:, None, :] * root[1:][None, :, None]
            )  # (units, later, copies)

    def bias(self, step: Step, reached: Floats) -> Floats:
        """The biases (units, copies) with which the mean output is the target's; ``reached`` (units, copies, columns)."""
        wanted = step.bias + step.weight.reshape(len(step.bias), -1) @ self.wanted_mean
        return np.asarray(wanted[:, None] - reached @ self.actual_mean)


def _columns(step: Step, h: Tensor) -> Floats:
    unfolded = F.unfold(h, step.kernel, padding=step.padding, stride=step.stride)  # (b, i*kh*kw, positions)
    flat = unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1])  # (b * positions, i*kh*kw)
    return np.asarray(flat[:: -(-len(flat) // _LARGEST_SAMPLE)].numpy())


def _supports(weight: Floats) -> list[tuple[Ints, Ints]]:
    """Groups of rows with the same non-zero columns: (rows, columns); rows of zeros belong to none."""
    groups: dict[bytes, list[int]] = {}
    for row, support in enumerate(weight != 0):
        if support.any():
            groups.setdefault(np.packbits(support).tobytes(), []).append(row)
    return [(np.array(rows), np.flatnonzero(weight[rows[0]])) for rows in groups.values()]
