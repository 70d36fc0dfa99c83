"""Tickets for a function of one variable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.construct._checks import (
    DEFAULT_EPS,
    Notice,
    limit_of,
    one_of_styles,
    silent,
    widths_in_words,
)
from ult_lightning.construct._draft import Draft
from ult_lightning.construct.certificates import Certificate, folded, propagate, sampled_error, sup_error
from ult_lightning.construct.functions._chain import build_chain
from ult_lightning.construct.functions._knots import direct_width
from ult_lightning.construct.functions._refine import prune_within
from ult_lightning.construct.functions._smooth_functions import FUNCTIONS, Function
from ult_lightning.tickets import InputSpec, MotherSpec, Ticket

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class UnivariatePlan:
    """``chain``: hidden widths of the mother, three for two random layers per target layer, two for one. ``pieces``: linear
    pieces. ``tolerance``: how far each knot may be off, in multiples of the best piecewise-linear function's error.
    """

    chain: tuple[int, ...]
    pieces: int
    tolerance: float


def plan_univariate(function: Function, eps: float, *, style: str = "two") -> UnivariatePlan:
    """Widths, pieces and tolerance for a sup error of ``eps``, by the error law of piecewise-linear approximation."""
    tolerance = 0.5
    pieces = max(2, function.pieces_for(eps / (1.0 + 1.1 * tolerance)))
    wide = max(100, round(30 * math.log2(1.0 / min(eps, 0.1))))
    if style == "direct":
        return UnivariatePlan((max(wide, direct_width(pieces)), wide), pieces, tolerance)
    return UnivariatePlan((wide, math.ceil(1.25 * pieces) + 2, wide), pieces, tolerance)


def certify_univariate(draft: Draft, function: Function) -> Certificate:
    """The exact sup error on the function's interval, float32 arithmetic of the frozen network included."""
    (net,) = folded(draft)
    line = propagate(net, function.low, function.high)
    _, upper = sup_error(line.x, line.y[:, 0], function.f, function.curvature)
    rounding = float(line.rounding.max())
    return Certificate("exact", np.array([upper + rounding]), {"pieces": upper, "float32": rounding})


def univariate_ticket(
    function: str | Function,
    eps: float | None = None,
    *,
    seed: int = 0,
    init: str = "kaiming_normal",
    style: str = "two",
    plan: UnivariatePlan | None = None,
    notice: Notice = silent,
) -> Ticket:
    """Prune one random network into a function of one variable, within ``eps`` on its interval.

    ``function``: a name (log, exp, sin, cos, square, sigmoid, tanh) or a `Function` of your own with a bound on its second
    derivative. The network takes images (b, 1, 1, 1) whose pixel is the variable. Other arguments and errors as for
    `polynomial_ticket`.
    """
    start = time.perf_counter()
    wanted = FUNCTIONS.get(function)() if isinstance(function, str) else function
    one_of_styles(style)
    limit = limit_of("univariate", eps, plan is not None)
    plan = plan or plan_univariate(wanted, limit or DEFAULT_EPS["univariate"], style=style)
    if len(plan.chain) == 3:
        plan = replace(plan, pieces=min(plan.pieces, plan.chain[1]))
    options = {"chain": list(plan.chain)}
    spec = MotherSpec("univariate", options, norm="none", init=init, bias="nonzero", seed=seed,
                      input=InputSpec((1, 1, 1), range="unit"))  # fmt: skip
    config: dict[str, Any] = {
        "family": "univariate",
        "function": wanted.name,
        "interval": [wanted.low, wanted.high],
        "eps": limit,
        "plan": asdict(plan),
        "spec": spec.to_dict(),
    }
    draft = Draft(spec)
    certificate, used = prune_within(
        draft,
        plan,
        limit,
        attempt=_attempts(draft, wanted),
        finer=_finer,
        widths=lambda by: widths_in_words(by, chain=plan.chain),
        describe=lambda plan: f"{plan.pieces} pieces",
        notice=notice,
    )
    sampled = sampled_error(
        draft, 1, lambda x: wanted.f(x[:, 0])[:, None], interval=(wanted.low, wanted.high)
    )
    domain = f"[{wanted.low:g}, {wanted.high:g}]"
    found = certificate.to_dict(domain=domain, wanted=wanted.name, sampled=sampled)
    provenance = {"method": "univariate", "config": config, "pieces": used.pieces, "certificate": found}
    return draft.ticket(provenance, seconds=time.perf_counter() - start)


def _attempts(
    draft: Draft,
    function: Function,
) -> Callable[[UnivariatePlan], tuple[Certificate, tuple[float, ...]]]:
    def attempt(plan: UnivariatePlan) -> tuple[Certificate, tuple[float, ...]]:
        allowed = plan.tolerance * function.best_error(plan.pieces)
        report = build_chain(function, draft.stage("function"), plan.pieces, tolerance=allowed)
        return certify_univariate(draft, function), report.missed

    return attempt


def _finer(plan: UnivariatePlan, excess: float) -> UnivariatePlan:
    """More pieces, as far as the knot layer goes, then a tighter tolerance."""
    most = plan.chain[1] if len(plan.chain) == 3 else plan.chain[0] // 4
    pieces = min(most, math.ceil(plan.pieces * min(1.5, 1.02 * math.sqrt(excess))))
    if pieces <= plan.pieces:
        return replace(plan, tolerance=plan.tolerance / 2) if plan.tolerance > 0.05 else plan
    return replace(plan, pieces=pieces)
