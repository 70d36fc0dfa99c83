"""A linear map with few non-zero entries out of two random layers, for inputs >= 0."""

from __future__ import annotations

import numpy as np

from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct._draft import Layer
from ult_lightning.construct.subset_sum._cheapest import serve


def build_linear(
    wanted: Floats,
    first: Layer,
    second: Layer,
    tolerance: float,
    *,
    reserved: Ints | None = None,
) -> tuple[Floats, tuple[float, ...]]:
    """Keep what makes ``wanted`` (k, d) from the matrices of two layers: (map made (k, d), misses in tolerances).

    Hidden unit h serves one input i, through a positive weight that is paid once; entry (j, i) is a subset of
    {second[j, h] first[h, i]}. Targets are served in the order of their size. ``reserved`` units are left alone.
    """
    made, missed = np.zeros(wanted.shape), []
    owner = np.full(len(first.v), -1)
    if reserved is not None:
        owner[reserved] = -2
    order = sorted(zip(*np.nonzero(wanted), strict=True), key=lambda place: -abs(wanted[place]))
    for j, i in order:
        values = first.u[:, i] * second.u[j]
        positive = first.u[:, i] > 0
        mine, free = np.flatnonzero((owner == i) & positive), np.flatnonzero((owner == -1) & positive)
        every = np.concatenate([mine, free])
        units, error = serve(values, mine, free, every, float(wanted[j, i]), tolerance)
        if error > tolerance:
            missed.append(error / tolerance)
        owner[units] = i
        first.weight_mask[units, i] = True
        second.weight_mask[j, units] = True
        made[j, i] = values[units].sum()
    return made, tuple(missed)
