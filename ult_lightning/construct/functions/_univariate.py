"""Tickets for a function of one variable (Burkholz et al. 2022, the univariate nets of their constructions)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ult_lightning.base import fault, option
from ult_lightning.construct._arrays import Floats
from ult_lightning.construct._draft import Draft
from ult_lightning.construct._family import FAMILIES, Family, Notice, silent
from ult_lightning.construct.certificates._certificate import Certificate, exact_certificate, folded
from ult_lightning.construct.functions._basis import Basis, BasisOptions, Style, construct, explain_plan, prune_mother
from ult_lightning.construct.functions._coefficients import build_chain
from ult_lightning.construct.functions._knots import chain_widths, pieces_within
from ult_lightning.construct.functions._smooth_functions import FUNCTIONS, Function
from ult_lightning.tickets import Ticket


@dataclass(frozen=True)
class UnivariateOptions(BasisOptions):
    """What a ticket for a function of one variable is chosen by, beyond `BasisOptions`.

    ``function``: a name in `FUNCTIONS`; ``chain``: hidden widths; ``pieces``: linear pieces.
    """

    default_eps = 1e-3

    function: str | None = None
    chain: tuple[int, ...] | None = option(None, least=1)
    pieces: int | None = option(None, least=1)

    def basis(self) -> _OneFunction:
        if self.function is None:
            raise fault("function", None, "a name", "for example function=sin")
        return _OneFunction(FUNCTIONS.get(self.function)())


@dataclass(frozen=True)
class UnivariatePlan:
    """``chain``: hidden widths of the mother, three for two random layers per target layer, two for one. ``pieces``: linear
    pieces. ``tolerance``: how far each knot may be off, in multiples of the best piecewise-linear function's error.
    """

    chain: tuple[int, ...]
    pieces: int
    tolerance: float


def plan_univariate(function: Function, eps: float, *, style: Style = UnivariateOptions.style) -> UnivariatePlan:
    """Widths, pieces and tolerance for a sup error of ``eps``, by the error law of `Function.best_error`.

    Source: the univariate nets of Burkholz et al. 2022, with knots where they are best instead of evenly spaced.
    """
    tolerance = 0.5
    pieces = max(2, function.pieces_for(eps / (1.0 + 1.1 * tolerance)))
    wide = max(100, round(30 * math.log2(1.0 / min(eps, 0.1))))
    return UnivariatePlan(chain_widths(pieces, wide, style), pieces, tolerance)


class _OneFunction(Basis[UnivariatePlan]):
    net = "univariate"
    parts = ("chain",)

    def __init__(self, function: Function) -> None:
        self.function, self.wanted = function, function.name
        self.interval = (function.low, function.high)

    @property
    def domain(self) -> str:
        return f"[{self.function.low:g}, {self.function.high:g}]"

    def config(self) -> dict[str, Any]:
        return {"function": self.function.name, "interval": list(self.interval)}

    def plan(self, eps: float, style: Style) -> UnivariatePlan:
        return plan_univariate(self.function, eps, style=style)

    def fitting(self, plan: UnivariatePlan) -> UnivariatePlan:
        return replace(plan, pieces=min(plan.pieces, plan.chain[1])) if len(plan.chain) == 3 else plan

    def prune(self, draft: Draft, plan: UnivariatePlan) -> tuple[Certificate, Sequence[float]]:
        allowed = plan.tolerance * self.function.best_error(plan.pieces)
        missed = build_chain(self.function, draft.stage("function"), plan.pieces, tolerance=allowed)
        (net,) = folded(draft)
        case = (net, self.function.f, self.function.curvature)
        return exact_certificate([case], self.function.low, self.function.high), missed

    def finer(self, plan: UnivariatePlan, excess: float) -> UnivariatePlan:
        """More pieces, as far as the knot layer goes, then a tighter tolerance."""
        pieces = min(pieces_within(plan.chain), math.ceil(plan.pieces * min(1.5, 1.02 * math.sqrt(excess))))
        if pieces <= plan.pieces:
            return replace(plan, tolerance=plan.tolerance / 2) if plan.tolerance > 0.05 else plan
        return replace(plan, pieces=pieces)

    def values(self, x: Floats, draft: Draft) -> Floats:
        return self.function.f(x[:, 0])[:, None]


def univariate_ticket(
    function: str | Function,
    eps: float | None = UnivariateOptions.eps,
    *,
    seed: int = 0,
    init: str = UnivariateOptions.init,
    style: Style = UnivariateOptions.style,
    plan: UnivariatePlan | None = None,
    notice: Notice = silent,
) -> Ticket:
    """Prune one random network into a function of one variable, within ``eps`` on its interval.

    Source: Burkholz et al. 2022, whose constructions for polynomials and Fourier bases are made of such nets.
    ``function``: a name (log, exp, sin, cos, square, sigmoid, tanh) or a `Function` of your own with a bound on its second
    derivative. The network takes images (b, 1, 1, 1) whose pixel is the variable. Other arguments and errors as for
    `polynomial_ticket`.
    """
    wanted = FUNCTIONS.get(function)() if isinstance(function, str) else function
    options = UnivariateOptions(eps=eps, init=init, style=style)
    return prune_mother(_OneFunction(wanted), options, seed=seed, plan=plan, notice=notice)


FAMILIES.add("univariate", Family(UnivariateOptions, construct, explain_plan))
