"""Universal tickets for polynomials (Burkholz et al. 2022, section on polynomials).

With u = (1 + x) / 2, the monomial u_1^r_1 ... u_d^r_d is exp(-sum_i r_i y(x_i)), y = -log u >= 0: one net for the logarithm, shared
by all inputs, one random linear layer pair for the exponents r, one net for the exponential, shared by all features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ult_lightning.base import fault, option
from ult_lightning.construct._arrays import Floats, Ints
from ult_lightning.construct._draft import Draft
from ult_lightning.construct._family import FAMILIES, Family, Notice, silent
from ult_lightning.construct._index_sets import monomial_values, monomials
from ult_lightning.construct.certificates._certificate import Certificate, Map, exact_certificate, folded
from ult_lightning.construct.certificates._piecewise_linear import PiecewiseLinear, gamma, propagate, refine, sup_error
from ult_lightning.construct.functions._basis import Basis, CubeOptions, Style, construct, explain_plan, prune_mother
from ult_lightning.construct.functions._coefficients import build_chain, build_linear
from ult_lightning.construct.functions._knots import chain_widths, pieces_within
from ult_lightning.construct.functions._smooth_functions import Function, negative_exp
from ult_lightning.tickets import InputSpec, Ticket

_MARGIN = 0.01
"""How far beyond the largest exact sum of logarithms the exponential reaches."""

_MOST_FEATURES = 20_000


@dataclass(frozen=True)
class PolynomialOptions(CubeOptions):
    """What a ticket for monomials is chosen by, beyond `CubeOptions`.

    Attributes:
        degree: all monomials of total degree 1 to this, 2 where neither this nor ``exponents`` is given.
        exponents: these monomials instead, one row of d exponents each.
        log: hidden widths of the logarithm's chain.
        exp: those of the exponential's.
        pieces: linear pieces of the two.
    """

    default_eps = 1e-3

    degree: int | None = option(None, least=1)
    exponents: tuple[tuple[int, ...], ...] | None = option(None, least=0)
    log: tuple[int, ...] | None = option(None, least=1)
    exp: tuple[int, ...] | None = option(None, least=1)
    pieces: tuple[int, ...] | None = option(None, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pieces is not None and len(self.pieces) != 2:
            raise fault("pieces", list(self.pieces), "two numbers, [log,exp]")
        if self.degree is not None and self.exponents is not None:
            raise fault("degree", self.degree, "no degree beside exponents", "the exponents say it")

    def dimension(self) -> int:
        if self.exponents and self.inputs is None and self.pool is None:
            return len(self.exponents[0])
        return super().dimension()

    def rows(self) -> Ints:
        """The exponents (k, d); raises ``UltError`` for too many monomials, and for rows that are none."""
        inputs = self.dimension()
        if self.exponents is None:
            degree = self.degree or 2
            count = math.comb(inputs + degree, degree) - 1
            if count > _MOST_FEATURES:
                mend = f"{inputs} inputs have {count:,} of that degree: give exponents=..."
                raise fault("degree", degree, f"at most {_MOST_FEATURES:,} monomials", mend)
            return monomials(inputs, degree)
        wanted = f"rows of {inputs} whole numbers >= 0, none of them all 0, each once"
        for row in self.exponents:
            if len(row) != inputs or not any(row):
                raise fault("exponents", list(row), wanted)
        if len(set(self.exponents)) != len(self.exponents):
            raise fault("exponents", [list(row) for row in self.exponents], wanted)
        return np.array(self.exponents, dtype=np.int64)

    def basis(self) -> _Monomials:
        return _Monomials(self.rows(), listed=self.exponents is not None)


@dataclass(frozen=True)
class PolynomialPlan:
    """Widths of the mother and how finely it is pruned.

    ``log``, ``exp``: hidden widths of the two chains, three for two random layers per target layer, two for one;
    ``linear``: units between inputs and exponents. ``pieces``: linear pieces of the two chains. ``tolerance``: how far each
    knot may be off, in multiples of the error of the best piecewise-linear function; ``exponent_tolerance``: how far each
    exponent may be off.
    """

    log: tuple[int, ...]
    linear: int
    exp: tuple[int, ...]
    pieces: tuple[int, int]
    tolerance: float
    exponent_tolerance: float


def logarithm(exponents: Ints) -> tuple[Function, float]:
    """-log((1 + x) / 2) with the weight that these exponents give its errors, and the largest weight before scaling to 1.

    An error e at x moves feature j by at most sum_i r_ji u^r_ji e to first order.
    """
    degree = int(exponents.max())
    counts = np.stack([(exponents == r).sum(1) for r in range(1, degree + 1)], axis=1)  # (k, degree)
    rows = np.unique(counts, axis=0) * np.arange(1, degree + 1)
    largest = float(rows.sum(1).max())

    def weight(x: Floats) -> Floats:
        u = 0.5 * (1.0 + x)
        powers = u ** np.arange(1, degree + 1)[:, None]
        sensitivity: Floats = (rows @ powers).max(0) / largest
        return sensitivity

    return Function("-log((1+x)/2)", lambda x: -np.log(0.5 * (1.0 + x)), 0.0, 1.0, 1.0, weight), largest


def exponential(exponents: Ints) -> Function:
    """exp(-z) for every z that sums of exact logarithms reach."""
    return negative_exp(float(exponents.sum(1).max()) * math.log(2.0) + _MARGIN)


def plan_polynomial(exponents: Ints, eps: float, *, style: Style = PolynomialOptions.style) -> PolynomialPlan:
    """Widths, pieces and tolerances for features of ``exponents`` (k, d) within ``eps``: the construction for
    polynomials of Burkholz et al. 2022, with the error law of `Function.best_error` for its two chains.

    The log chain costs S a / N^2 and the exp chain b / M^2 of the error; N + M is smallest for N : M = (S a)^(1/3) : b^(1/3).
    Widths grow with log(1 / eps), as subset sums need.
    """
    log, largest = logarithm(exponents)
    exp = exponential(exponents)
    tolerance = 0.5
    parts = np.array([largest * log.best_error(1), exp.best_error(1)])
    roots = np.cbrt(parts)
    spare = eps / (1.0 + 1.1 * tolerance)
    pieces = np.ceil(roots * math.sqrt(roots.sum() / spare)).astype(int)
    n_log, n_exp = (max(3, int(n)) for n in pieces)
    bits = math.log2(1.0 / min(eps, 0.1))
    return PolynomialPlan(
        log=chain_widths(n_log, round(20 * bits), style),
        linear=max(200, (16 + 4 * round(bits)) * exponents.shape[1]),
        exp=chain_widths(n_exp, round(50 * bits), style),
        pieces=(n_log, n_exp),
        tolerance=tolerance,
        exponent_tolerance=0.5 * float(exp.best_error(n_exp)),
    )


class _Monomials(Basis[PolynomialPlan]):
    net = "polynomial"
    parts = ("log", "linear", "exp")
    wanted = "prod_i ((1 + x_i) / 2)^r_ji"

    def __init__(self, exponents: Ints, *, listed: bool) -> None:
        """``listed``: whether the exponents were given one by one, not by a degree."""
        self.exponents, self.listed, self.inputs = exponents, listed, exponents.shape[1]
        self.net_options = {"features": len(exponents)}

    def config(self) -> dict[str, Any]:
        if self.listed:
            return {"exponents": self.exponents.tolist()}
        return {"inputs": self.inputs, "degree": int(self.exponents.sum(1).max())}

    def plan(self, eps: float, style: Style) -> PolynomialPlan:
        return plan_polynomial(self.exponents, eps, style=style)

    def fitting(self, plan: PolynomialPlan) -> PolynomialPlan:
        chains = zip((plan.log, plan.exp), plan.pieces, strict=True)
        first, second = (min(n, widths[1]) if len(widths) == 3 else n for widths, n in chains)
        return replace(plan, pieces=(first, second))

    def prune(self, draft: Draft, plan: PolynomialPlan) -> tuple[Certificate, Sequence[float]]:
        misses: list[float] = []
        functions = {"log": logarithm(self.exponents)[0], "exp": exponential(self.exponents)}
        for (name, function), pieces in zip(functions.items(), plan.pieces, strict=True):
            allowed = plan.tolerance * function.best_error(pieces)
            misses += build_chain(function, draft.stage(name), pieces, tolerance=allowed)
        first, second = draft.stage("exponents")
        wanted = self.exponents.astype(np.float64)
        _, missed = build_linear(wanted, first, second, plan.exponent_tolerance)
        return certify_polynomial(draft, self.exponents), [*missed, *misses]

    def finer(self, plan: PolynomialPlan, excess: float) -> PolynomialPlan:
        """More pieces, as far as the knot layers go, then tighter tolerances."""
        grow = min(1.5, 1.02 * math.sqrt(excess))
        tops = pieces_within(plan.log), pieces_within(plan.exp)
        pieces = [max(n, min(top, math.ceil(n * grow))) for n, top in zip(plan.pieces, tops, strict=True)]
        if tuple(pieces) == plan.pieces and plan.tolerance > 0.1:
            exponent_tolerance = plan.exponent_tolerance / 2
            return replace(plan, tolerance=plan.tolerance / 2, exponent_tolerance=exponent_tolerance)
        exponent_tolerance = plan.exponent_tolerance / grow**2
        return replace(plan, pieces=(pieces[0], pieces[1]), exponent_tolerance=exponent_tolerance)

    def values(self, x: Floats, draft: Draft) -> Floats:
        return monomial_values(x, self.exponents)


def certify_polynomial(draft: Draft, exponents: Ints) -> Certificate:
    """Rigorous sup errors of all features over [0, 1]^d, float32 arithmetic of the frozen network included.

    One input: the whole net is one piecewise-linear function, compared exactly. More: with p_i = u_i^r_i,
    |b_j - prod p_i| <= e_exp + prod_i (1 + c_i) - 1, c_i = sup p_i (e^|g_i| - 1), g_i = made_ji yhat - r_ji y.
    """
    log_net, (linear,), exp_net = folded(draft)
    made, shift = linear
    if exponents.shape[1] == 1:
        nets = ([*log_net, (made[j : j + 1], shift[j : j + 1]), *exp_net] for j in range(len(made)))
        powers = ((_power(r), 0.25 * r * (r - 1) + 1e-9) for r in exponents[:, 0].tolist())
        return exact_certificate([(net, *power) for net, power in zip(nets, powers, strict=True)], 0.0, 1.0)
    log = propagate(log_net, 0.0, 1.0, last_relu=True)
    top, rounding = float(log.y.max()), float(log.rounding.max())
    reach = np.abs(made).sum(1)  # (k,)
    # float32, before the exponential
    blur = reach * rounding + gamma((made != 0).sum(1) + 3) * reach * (top + rounding)
    exp = propagate(exp_net, 0.0, float((reach * top + blur).max()) + _MARGIN)
    _, e_exp = sup_error(exp.x, exp.y[:, 0], lambda z: np.exp(-z), 1.0)
    float32 = float(exp.rounding.max()) + float(exp.lipschitz[0]) * blur
    moved = _input_factors(log, made, exponents)
    bounds = e_exp + float32 + moved - 1.0
    _, e_log = sup_error(log.x, log.y[:, 0], lambda x: -np.log(0.5 * (1.0 + x)), 1.0)
    parts = {
        "log": e_log,
        "exponents": float(np.abs(made - exponents).max()),
        "exp": e_exp,
        "float32": float(float32.max()),
    }
    return Certificate("rigorous", bounds, parts)


def _power(r: int) -> Map:
    return lambda x: (0.5 * (1.0 + x)) ** r


def _input_factors(log: PiecewiseLinear, made: Floats, exponents: Ints) -> Floats:
    """prod_i (1 + c_i) per feature (k,): between points of the grid yhat is linear and |y''| <= 1, and u^r increases."""
    x = refine(log.x, 2e-4)
    u, y_hat, h = 0.5 * (1.0 + x), log(x)[:, 0], np.diff(x)
    y = -np.log(u)
    product = np.ones(len(made))
    known: dict[tuple[int, float], float] = {}
    for j, i in zip(*np.nonzero((exponents != 0) | (made != 0)), strict=True):
        key = (int(exponents[j, i]), float(made[j, i]))
        if key not in known:
            r = key[0]
            g = np.abs(key[1] * y_hat - r * y)
            cell = np.maximum(g[:-1], g[1:]) + r * h**2 / 8.0
            known[key] = float((u[1:] ** r * np.expm1(cell)).max())
        product[j] *= 1.0 + known[key]
    return product


def polynomial_ticket(
    inputs: int | None = PolynomialOptions.inputs,
    degree: int | None = PolynomialOptions.degree,
    eps: float | None = PolynomialOptions.eps,
    *,
    exponents: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
    init: str = PolynomialOptions.init,
    style: Style = PolynomialOptions.style,
    plan: PolynomialPlan | None = None,
    input: InputSpec | None = None,
    notice: Notice = silent,
) -> Ticket:
    """Prune one random network into the monomials of u = (1 + x) / 2, each within ``eps`` on [0, 1]^d.

    Source: Burkholz et al. 2022, their construction for polynomials: u_1^r_1 ... u_d^r_d = exp(sum_i r_i log u_i).

    Args:
        inputs: d; None: the length of a row of ``exponents``, or 1.
        degree: all monomials of total degree 1 to this; 2 where ``exponents`` is not given either.
        eps: 1e-6 or more, below 0.5; None: 1e-3, or no limit with ``plan``: that is then used once, and the certificate
            says what came out.
        exponents: (k, d) whole numbers >= 0, in place of ``degree``; no row of zeros, none twice.
        seed: of the mother.
        init: of the mother, a name in ``ult_lightning.nets.INITS``.
        style: "two" random layers per layer of the construction, or one: "direct".
        plan: widths and tolerances to begin with; None: by `plan_polynomial`.
        input: what the network is fed with; None: images (b, 1, 1, d) in [0, 1].
        notice: hears what was chosen and how far it is.

    Raises ``UltError`` for wrong arguments, and ``ConstructError`` where the mother does not hold such a ticket; the mother is
    never drawn again.
    """
    rows: Any = None
    if exponents is not None:
        rows = [np.asarray(row).tolist() for row in exponents]
    options = PolynomialOptions(inputs=inputs, degree=degree, exponents=rows, eps=eps, init=init, style=style)
    return prune_mother(options.basis(), options, seed=seed, plan=plan, input=input, notice=notice)


FAMILIES.add("polynomial", Family(PolynomialOptions, construct, explain_plan, tasks=("polynomials", "products")))
