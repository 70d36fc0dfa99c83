"""A function of one variable out of the random weights of a pointwise chain, and a linear map out of two layers.

Units of the knot layer give features phi_n(x) >= 0. Unit k of the next layer adds up features through *positive* weights
only, so that its ReLU changes nothing, and the output weighs unit k by U4[k]: feature n has the pool
{U3[k, n] U4[k] : U3[k, n] > 0} for its coefficient, and an output weight is paid once however many features use it.
"""

from __future__ import annotations

import numpy as np

from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct._draft import Layer
from ult_lightning.construct.functions._knots import Candidates, Knots, candidates, choose_knots
from ult_lightning.construct.functions._smooth_functions import Function, minimax_values
from ult_lightning.construct.subset_sum._cheapest import serve

_SMALLEST_OUTPUT = 1e-3  # new output weights below it would need many terms


class _Coefficients:
    """Coefficients of features as sums over the pool {U3[k, n] U4[k]} of a mixing layer and one output unit."""

    def __init__(self, mix: Layer, out: Layer) -> None:
        self.mix, self.scale, self.paid = mix, out.u[0], out.weight_mask[0]
        self.missed: list[float] = []

    def realise(self, target: float, column: int | None, tolerance: float) -> float:
        """Keep what makes the coefficient of feature ``column`` (the constant for None) and return its value."""
        source = self.mix.v if column is None else self.mix.u[:, column]
        taken = self.mix.bias_mask if column is None else self.mix.weight_mask[:, column]
        ready = (source > 0) & ~taken
        paid = np.flatnonzero(ready & self.paid)
        new = np.flatnonzero(ready & ~self.paid & (np.abs(self.scale) > _SMALLEST_OUTPUT))
        values = source * self.scale
        units, error = serve(values, paid, new, np.flatnonzero(ready), target, tolerance)
        if error > tolerance:
            self.missed.append(error / tolerance)
        taken[units] = True
        self.paid[units] = True
        return float(values[units].sum())


def build_chain(
    function: Function,
    layers: list[Layer],
    pieces: int,
    *,
    tolerance: float,
    in_scale: float = 1.0,
    out_scale: float = 1.0,
    economy: float = 0.02,
    biases: int = 6,
) -> tuple[float, ...]:
    """Keep, in ``layers`` (three or four of them), what makes ``out_scale`` f(x) from the input ``in_scale`` x.

    Returns by how many tolerances coefficients were missed that were missed. ``pieces``: linear pieces to use at most; of two
    random layers the second has a unit for each. ``tolerance``: how far each knot's value may be off, as an error of f. Going from
    right to left, each coefficient aims at the wanted value at the *next* knot given all errors so far, so that they do
    not add up. ``economy``: what a parameter counts in the choice of knots, see `choose_knots`; ``biases``: units of the first
    layer that serve as constants for them all.
    """
    *front, mix, out = layers
    pool = candidates(tuple(front), in_scale, biases=biases)
    pieces = min(pieces, len(front[-1].v)) if len(front) == 2 else pieces
    knots = choose_knots(function, pool, pieces, once=len(front) == 2, economy=economy)
    path = _Path(function, pool, knots, _Coefficients(mix, out), tolerance * out_scale, out_scale)
    path.right_sided()
    path.left_sided()
    for entry in path.used:
        pool.switch_on(entry)
    return tuple(path.coefficients.missed)


class _Path:
    """The sigma-delta walk over the knots, in x and in units of ``scale`` f."""

    def __init__(
        self,
        function: Function,
        pool: Candidates,
        chosen: Knots,
        coefficients: _Coefficients,
        tolerance: float,
        scale: float,
    ) -> None:
        self.function, self.pool, self.cover = function, pool, chosen.cover
        self.coefficients, self.tolerance, self.scale = coefficients, tolerance, scale
        inside = chosen.inside[np.argsort(-pool.tau[chosen.inside])]
        self.rights = [int(i) for i in inside if not pool.left[i]]
        self.lefts = [int(i) for i in inside if pool.left[i]]
        self.knots = np.concatenate([[function.low], np.sort(pool.tau[inside]), [function.high]])
        values, _ = minimax_values(function, self.knots)
        self.offsets = scale * (values - function.f(self.knots))
        self.bends = np.diff(scale * np.diff(values) / np.diff(self.knots))
        self.right_slopes: list[tuple[float, float]] = []  # (knot, slope change)
        self.used: list[int] = []

    def wanted(self, x: float) -> float:
        """The value to hit at x, less what the right-sided features give there."""
        value = self.scale * float(self.function.f(np.array([x]))[0]) + float(np.interp(x, self.knots, self.offsets))
        return value - sum(slope * max(x - tau, 0.0) for tau, slope in self.right_slopes)

    def _weight(self, a: float, b: float) -> float:
        return max(1e-3, float(self.function.weight(np.linspace(a, b, 9)).max()))

    def _make(self, entry: int, slope: float, low: float, high: float) -> float:
        """The feature with that change of slope at its knot, right to within the tolerance over [low, high]."""
        w = float(self.pool.slope[entry])
        allowed = self.tolerance / (w * (high - low)) / self._weight(low, high)
        self.used.append(entry)
        return w * self.coefficients.realise(slope / w, int(self.pool.unit[entry]), allowed)

    def right_sided(self) -> None:
        """Features that grow to the right: the plain change of slope at their knot."""
        others = np.array([self.pool.tau[i] for i in self.lefts])
        for entry in self.rights:
            tau = float(self.pool.tau[entry])
            below = others[others < tau]
            low = float(below.max()) if len(below) else self.function.low
            bend = self.bends[int(np.argmin(np.abs(self.knots - tau))) - 1]
            self.right_slopes.append((tau, self._make(entry, float(bend), low, tau)))

    def left_sided(self) -> None:
        """The affine part, then the features that grow to the left, each aiming at the next one's knot."""
        taus = [float(self.pool.tau[i]) for i in self.lefts]
        stops = [self.function.high, *taus, self.function.low]
        entries = list(self.lefts)
        if self.cover is not None:
            entries.insert(0, self.cover)
        else:
            stops = stops[1:]
        if not entries:
            self._constant(self.function.high, self.wanted(self.function.high))
            return
        at, slope = stops[0], 0.0
        value = self.wanted(at)
        for number, entry in enumerate(entries):
            following = stops[number + 1]
            needed = (value - self.wanted(following)) / (at - following) - slope  # slope to the right of `following`
            left = bool(self.pool.left[entry])
            sign = -1.0 if left else 1.0
            made = sign * self._make(entry, sign * needed, following, at)
            slope += made
            if number == 0:
                tau = float(self.pool.tau[entry])
                base = made * (at - tau)
                value = base + self._constant(at, value - base)
            value -= slope * (at - following)
            at = following

    def _constant(self, at: float, target: float) -> float:
        allowed = self.tolerance / self._weight(at - 1e-9, at)
        return self.coefficients.realise(target, None, allowed)


def build_linear(
    wanted: Floats,
    first: Layer,
    second: Layer,
    tolerance: float,
    *,
    reserved: Ints | None = None,
) -> tuple[Floats, tuple[float, ...]]:
    """Keep what makes ``wanted`` (k, d), for inputs >= 0, from two layers: (map made (k, d), misses in tolerances).

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
