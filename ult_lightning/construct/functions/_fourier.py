"""Universal tickets for Fourier bases (Burkholz et al. 2022): cos(2 pi (n . x + phase)), two phases per frequency n.

The phases are a free choice: any two of them that are not half a period apart span the same functions as sine and cosine, so the
cheapest subset of random biases that keeps n . x + phase >= 0 serves. *Folding* puts a triangle wave dist(u, Z) before one half
period of the cosine: depth for width. Its kinks sit where the cosine is flat, so that their places may be rough.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ult_lightning.base import fault, option
from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct._draft import Draft, Layer
from ult_lightning.construct._family import FAMILIES, ConstructError, Family, Notice, silent
from ult_lightning.construct._index_sets import count_frequencies, frequencies
from ult_lightning.construct.certificates._certificate import Certificate, folded
from ult_lightning.construct.certificates._piecewise_linear import gamma, propagate, sup_error
from ult_lightning.construct.functions._basis import Basis, CubeOptions, Style, construct, explain_plan, prune_mother
from ult_lightning.construct.functions._coefficients import build_chain, build_linear
from ult_lightning.construct.functions._knots import chain_widths
from ult_lightning.construct.functions._smooth_functions import minus_cosine, triangle_wave
from ult_lightning.tickets import InputSpec, Ticket

_IN_SCALE, _OUT_SCALE = 0.35, 0.2
"""Gauges: with the cosine's curvature of 4 pi^2, smaller signals keep coefficients within reach of few weights."""

_BIAS_UNITS = 14
_PHASE_GAP = 0.04  # phases of one frequency are a quarter period apart, give or take
_ROOM = 0.02
_MOST_FEATURES = 20_000


@dataclass(frozen=True)
class FourierOptions(CubeOptions):
    """What a ticket for a Fourier basis is chosen by, beyond `CubeOptions`.

    Attributes:
        bound: all frequencies n with 0 < |n_1| + ... + |n_d| <= ``bound``.
        fold: whether a triangle wave stands before the cosine (depth for width), or the hidden widths of its chain.
        wave: hidden widths of the cosine's chain.
        pieces: linear pieces per period.
    """

    default_eps = 1e-2

    bound: int = option(2, least=1)
    fold: bool | tuple[int, ...] = option(False, least=1)
    wave: tuple[int, ...] | None = option(None, least=1)
    pieces: int | None = option(None, least=1)

    @property
    def pieces_per_period(self) -> int | None:
        """``pieces``, as the plan calls them."""
        return self.pieces

    def rows(self) -> Ints:
        """The frequencies (k / 2, d); raises ``UltError`` where there are too many."""
        inputs = self.dimension()
        if 2 * count_frequencies(inputs, self.bound) > _MOST_FEATURES:
            mend = f"{inputs} inputs have more frequencies"
            raise fault("bound", self.bound, f"at most {_MOST_FEATURES:,} features", mend)
        return frequencies(inputs, self.bound)

    def basis(self) -> _Waves:
        return _Waves(self.rows(), self.bound, fold=self.fold is not False)


@dataclass(frozen=True)
class FourierPlan:
    """Widths of the mother and how finely it is pruned.

    ``linear``: units between inputs and frequencies; ``wave``: hidden widths of the cosine chain (three, or two for one random
    layer per target layer); ``fold``: those of the triangle wave before it, or None. ``pieces_per_period`` of the cosine.
    ``tolerance``: how far each knot may be off, in multiples of the error of the best piecewise-linear function;
    ``frequency_tolerance``: how far each entry of a frequency may be off.
    """

    linear: int
    wave: tuple[int, ...]
    fold: tuple[int, ...] | None
    pieces_per_period: int
    tolerance: float
    frequency_tolerance: float


def plan_fourier(rows: Ints, eps: float, *, fold: bool = False, style: Style = FourierOptions.style) -> FourierPlan:
    """Widths, pieces and tolerances for features of the frequencies ``rows`` (k / 2, d) within ``eps``.

    Source: the construction for Fourier bases of Burkholz et al. 2022, with the error law 1.435 / N^2 of N pieces per
    period.
    """
    tolerance = 0.5
    inputs = rows.shape[1]
    error = eps / (1.0 + 1.1 * tolerance + (1.2 if fold else 0.2))  # a folded cosine inherits the errors of its kinks
    per_period = max(6, math.ceil(minus_cosine(1.0).measure()[1][-1] / (4.0 * math.sqrt(error))))
    bits = math.log2(1.0 / min(eps, 0.1))
    span = _span(rows)
    wide = round(40 * bits)
    pieces = math.ceil(per_period / 2) if fold else math.ceil(per_period * span)
    middle = (4 * math.ceil(2 * span),) if style == "two" else ()
    return FourierPlan(
        linear=max(200, (16 + 4 * round(bits)) * inputs + 2 * _BIAS_UNITS),
        wave=chain_widths(pieces, wide, style),
        fold=(max(wide, 200), *middle, max(wide, 200)) if fold else None,
        pieces_per_period=per_period,
        tolerance=tolerance,
        frequency_tolerance=0.1 * eps / (2 * math.pi * max(1, int((rows != 0).sum(1).max()))),
    )


def _span(rows: Ints) -> float:
    """About the largest value of n . x + phase."""
    return float(np.abs(rows).sum(1).max()) + 0.75


def choose_phases(rows: Ints, first: Layer, second: Layer) -> tuple[Floats, Ints]:
    """Phases (k,), two per frequency, out of random biases, and the units of the first layer that they use; keeps them.

    Feature j gets its own bias and at most four units whose weights are pruned (relu(b) = b for b > 0), such that
    n . x + phase >= 0 on the cube, at the fewest parameters and not much above.
    """
    units = np.flatnonzero(first.v > 0)
    units = units[np.argsort(-first.v[units])][:_BIAS_UNITS]
    subsets = [c for size in range(5) for c in itertools.combinations(range(len(units)), size)]
    member = np.zeros((len(subsets), len(units)))
    for row, subset in enumerate(subsets):
        member[row, list(subset)] = 1.0
    phases = np.zeros(2 * len(rows))
    for j in range(len(phases)):
        low = float(np.maximum(-rows[j // 2], 0).sum()) + _ROOM
        shared = member @ (first.v[units] * second.u[j, units])  # (subsets,)
        value = (shared[:, None] + np.array([0.0, second.v[j]])) / _IN_SCALE  # (subsets, own)
        cost = member.sum(1)[:, None] + np.array([0.0, 1.0]) + 4.0 * (value - low)
        if j % 2:
            apart = np.abs((value - phases[j - 1]) % 0.5 - 0.25)
            cost = cost + 40.0 * np.maximum(0.0, apart - _PHASE_GAP)
        cost = np.where(value < low, np.inf, cost)
        best, own = divmod(int(cost.argmin()), 2)
        if not math.isfinite(cost[best, own]):
            raise ConstructError(
                f"linear: got {len(first.v)} units, whose biases reach no phase above {low:g} for the frequency "
                f"{rows[j // 2].tolist()}; take more units, or a smaller bound."
            )
        taken = units[np.flatnonzero(member[best])]
        first.bias_mask[taken] = True
        second.weight_mask[j, taken] = True
        second.bias_mask[j] = bool(own)
        phases[j] = value[best, own]
    return phases, units


class _Waves(Basis[FourierPlan]):
    net = "fourier"
    parts = ("linear", "fold", "wave")
    pieces = "pieces_per_period"
    wanted = "cos(2 pi (n_j . x + phase_j))"

    def __init__(self, rows: Ints, bound: int, *, fold: bool) -> None:
        self.rows, self.bound, self.fold, self.inputs = rows, bound, fold, rows.shape[1]
        self.twice: Floats = np.repeat(rows, 2, axis=0).astype(np.float64)  # (k, d), two phases each
        self.net_options = {"features": len(self.twice), "gain": -_OUT_SCALE}  # the chain makes -cos

    def config(self) -> dict[str, Any]:
        return {"inputs": self.inputs, "bound": self.bound}

    def plan(self, eps: float, style: Style) -> FourierPlan:
        return plan_fourier(self.rows, eps, fold=self.fold, style=style)

    def prune(self, draft: Draft, plan: FourierPlan) -> tuple[Certificate, Sequence[float]]:
        first, second = draft.stage("frequencies")
        phases, reserved = choose_phases(self.rows, first, second)
        wanted, allowed = _IN_SCALE * self.twice, _IN_SCALE * plan.frequency_tolerance
        _, missed = build_linear(wanted, first, second, allowed, reserved=reserved)
        high = float((phases + np.maximum(self.twice, 0).sum(1)).max()) + _ROOM
        if plan.fold is None:
            wave, in_scale = minus_cosine(high), _IN_SCALE
            pieces = math.ceil(plan.pieces_per_period * high)
        else:
            wave, in_scale = minus_cosine(0.5), 1.0
            pieces = math.ceil(plan.pieces_per_period / 2)
            missed += build_chain(
                triangle_wave(math.ceil(2 * high) / 2),
                draft.stage("fold"),
                math.ceil(2 * high),
                tolerance=plan.tolerance * wave.best_error(pieces) / (2 * math.pi),
                in_scale=_IN_SCALE,
                economy=1e-6,
                biases=12,
            )
        last = draft.stage("wave")
        if len(last) == 4:
            pieces = min(pieces, len(last[1].v))
        tolerance = plan.tolerance * wave.best_error(pieces)
        missed += build_chain(wave, last, pieces, tolerance=tolerance, in_scale=in_scale, out_scale=_OUT_SCALE)
        return certify_fourier(draft, self.rows, phases), missed

    def finer(self, plan: FourierPlan, excess: float) -> FourierPlan:
        """More pieces, as far as the knot layer goes, and tighter tolerances."""
        grow = min(1.5, 1.03 * math.sqrt(excess))
        return replace(
            plan,
            pieces_per_period=math.ceil(plan.pieces_per_period * grow),
            tolerance=plan.tolerance * 0.7,
            frequency_tolerance=plan.frequency_tolerance / grow,
        )

    def values(self, x: Floats, draft: Draft) -> Floats:
        turns: Floats = x @ self.twice.T + _phases(draft)
        return np.cos(2 * math.pi * turns)

    def facts(self, draft: Draft) -> dict[str, Any]:
        return {"frequencies": np.repeat(self.rows, 2, axis=0).tolist(), "phases": _phases(draft).tolist()}


def _phases(draft: Draft) -> Floats:
    """The phases (k,) that the biases kept add up to."""
    first, second = (layer.masked() for layer in draft.stage("frequencies"))
    phases: Floats = (second[0] @ first[1] + second[1]) / _IN_SCALE
    return phases


def certify_fourier(draft: Draft, rows: Ints, phases: Floats) -> Certificate:
    """Rigorous sup errors of all features over [0, 1]^d, float32 arithmetic of the frozen network included.

    From u to the feature the net is one piecewise-linear function, compared exactly; the map made to u adds 2 pi |made - n|_1.
    """
    ((weight, bias),), *later = folded(draft)
    made, shift = weight / _IN_SCALE, bias / _IN_SCALE
    exact = np.repeat(rows, 2, axis=0)
    assert np.allclose(shift, phases, atol=1e-9)
    low = shift + np.minimum(made, 0).sum(1)
    assert (low >= 0).all(), "n . x + phase must pass the ReLU unchanged"
    off = np.abs(made - exact).sum(1)  # (k,)
    size = np.abs(made).sum(1) + np.abs(shift)
    blur = gamma((made != 0).sum(1) + 4) * size
    high = float((shift + np.maximum(made, 0).sum(1) + blur).max())
    net = [pair for stage in later for pair in stage]
    line = propagate(net, 0.0, high * _IN_SCALE)
    x = line.x / _IN_SCALE
    _, wave = sup_error(x, line.y[:, 0], lambda u: np.cos(2 * math.pi * u), 4 * math.pi**2, tolerance=1e-6)
    float32 = float(line.rounding.max()) + float(line.lipschitz[0]) * _IN_SCALE * blur
    bounds = wave + 2 * math.pi * off + 2 * math.pi * np.abs(shift - phases) + float32
    parts = {"wave": wave, "frequencies": float(off.max()), "float32": float(np.max(float32))}
    return Certificate("rigorous", bounds, parts)


def fourier_ticket(
    inputs: int | None = FourierOptions.inputs,
    bound: int = FourierOptions.bound,
    eps: float | None = FourierOptions.eps,
    *,
    fold: bool = False,
    seed: int = 0,
    init: str = FourierOptions.init,
    style: Style = FourierOptions.style,
    plan: FourierPlan | None = None,
    input: InputSpec | None = None,
    notice: Notice = silent,
) -> Ticket:
    """Prune one random network into cos(2 pi (n . x + phase)), each within ``eps`` on [0, 1]^d.

    Source: Burkholz et al. 2022, their construction for Fourier bases. Two phases for every frequency n in Z^d, up to sign,
    with 0 < |n|_1 <= ``bound``; the ticket's certificate lists both. ``fold`` puts a triangle wave before the cosine.
    ``eps``: 1e-2 by default. Other arguments and errors as for `polynomial_ticket`.
    """
    options = FourierOptions(inputs=inputs, bound=bound, eps=eps, fold=fold, init=init, style=style)
    return prune_mother(options.basis(), options, seed=seed, plan=plan, input=input, notice=notice)


FAMILIES.add("fourier", Family(FourierOptions, construct, explain_plan, tasks=("trigonometric", "outside")))
