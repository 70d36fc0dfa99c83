"""Universal tickets for polynomials (Burkholz et al. 2022, section on polynomials).

With u = (1 + x) / 2, the monomial u_1^r_1 ... u_d^r_d is exp(-sum_i r_i y(x_i)), y = -log u >= 0: one net for the logarithm, shared
by all inputs, one random linear layer pair for the exponents r, one net for the exponential, shared by all features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import fault
from ult_lightning.construct._checks import (
    DEFAULT_EPS,
    Notice,
    limit_of,
    one_of_styles,
    silent,
    whole,
    widths_in_words,
)
from ult_lightning.construct._draft import Draft
from ult_lightning.construct._index_sets import monomial_values, monomials
from ult_lightning.construct.certificates import (
    Certificate,
    PiecewiseLinear,
    folded,
    gamma,
    propagate,
    refine,
    sampled_error,
    sup_error,
)
from ult_lightning.construct.functions._chain import build_chain
from ult_lightning.construct.functions._knots import direct_width
from ult_lightning.construct.functions._linear_map import build_linear
from ult_lightning.construct.functions._refine import prune_within
from ult_lightning.construct.functions._smooth_functions import Function, negative_exp
from ult_lightning.tickets import InputSpec, MotherSpec, Ticket

Floats = NDArray[np.float64]
Exponents = NDArray[np.int64]

_MARGIN = 0.01
"""How far beyond the largest exact sum of logarithms the exponential reaches."""

_MOST_FEATURES = 20_000


@dataclass(frozen=True)
class PolynomialPlan:
    """Widths of the mother and how finely she is pruned.

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


def logarithm(exponents: Exponents) -> tuple[Function, float]:
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


def exponential(exponents: Exponents) -> Function:
    """exp(-z) for every z that sums of exact logarithms reach."""
    return negative_exp(float(exponents.sum(1).max()) * math.log(2.0) + _MARGIN)


def plan_polynomial(exponents: Exponents, eps: float, *, style: str = "two") -> PolynomialPlan:
    """Widths, pieces and tolerances for features within ``eps``, by the error laws of piecewise-linear approximation.

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
    inputs = exponents.shape[1]
    wide_log, wide_exp = round(20 * bits), round(50 * bits)
    per_input = 16 + 4 * round(bits)
    middle = (lambda n: (math.ceil(1.25 * n) + 2,)) if style == "two" else (lambda n: ())
    return PolynomialPlan(
        log=(max(wide_log, direct_width(n_log) if style == "direct" else 0), *middle(n_log), wide_log),
        linear=max(200, per_input * inputs),
        exp=(max(wide_exp, direct_width(n_exp) if style == "direct" else 0), *middle(n_exp), wide_exp),
        pieces=(n_log, n_exp),
        tolerance=tolerance,
        exponent_tolerance=0.5 * float(exp.best_error(n_exp)),
    )


def _attempt(draft: Draft, exponents: Exponents, plan: PolynomialPlan) -> tuple[Certificate, list[float]]:
    """Prune the empty draft; its certificate, and by how many tolerances coefficients were missed."""
    log, _ = logarithm(exponents)
    exp = exponential(exponents)
    chains = []
    for name, function, pieces in zip(("log", "exp"), (log, exp), plan.pieces, strict=True):
        allowed = plan.tolerance * function.best_error(pieces)
        chains.append(build_chain(function, draft.stage(name), pieces, tolerance=allowed))
    first, second = draft.stage("exponents")
    _, missed = build_linear(exponents.astype(np.float64), first, second, plan.exponent_tolerance)
    return certify_polynomial(draft, exponents), [*missed, *chains[0].missed, *chains[1].missed]


def certify_polynomial(draft: Draft, exponents: Exponents) -> Certificate:
    """Rigorous sup errors of all features over [0, 1]^d, float32 arithmetic of the frozen network included.

    One input: the whole net is one piecewise-linear function, compared exactly. More: with p_i = u_i^r_i,
    |b_j - prod p_i| <= e_exp + prod_i (1 + c_i) - 1, c_i = sup p_i (e^|g_i| - 1), g_i = made_ji yhat - r_ji y.
    """
    log_net, (linear,), exp_net = folded(draft)
    if exponents.shape[1] == 1:
        bounds = np.array(
            [_exact(log_net, linear, exp_net, j, int(r)) for j, r in enumerate(exponents[:, 0])]
        )
        uppers, roundings = bounds.T
        return Certificate(
            "exact", uppers + roundings, {"pieces": float(uppers.max()), "float32": float(roundings.max())}
        )
    return _rigorous(log_net, linear, exp_net, exponents)


Net = list[tuple[Floats, Floats]]


def _exact(log_net: Net, linear: tuple[Floats, Floats], exp_net: Net, j: int, r: int) -> tuple[float, float]:
    row = (linear[0][j : j + 1], linear[1][j : j + 1])
    line = propagate([*log_net, row, *exp_net], 0.0, 1.0)
    _, upper = sup_error(line.x, line.y[:, 0], lambda x: (0.5 * (1.0 + x)) ** r, 0.25 * r * (r - 1) + 1e-9)
    return upper, float(line.rounding.max())


def _rigorous(log_net: Net, linear: tuple[Floats, Floats], exp_net: Net, exponents: Exponents) -> Certificate:
    log = propagate(log_net, 0.0, 1.0, last_relu=True)
    made, top, rounding = linear[0], float(log.y.max()), float(log.rounding.max())
    reach = np.abs(made).sum(1)  # (k,)
    blur = reach * rounding + gamma((made != 0).sum(1) + 3) * reach * (
        top + rounding
    )  # float32, before the exponential
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


def _input_factors(log: PiecewiseLinear, made: Floats, exponents: Exponents) -> Floats:
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
    inputs: int = 1,
    degree: int | None = None,
    eps: float | None = None,
    *,
    exponents: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
    init: str = "kaiming_normal",
    style: str = "two",
    plan: PolynomialPlan | None = None,
    input: InputSpec | None = None,
    notice: Notice = silent,
) -> Ticket:
    """Prune one random network into the monomials of u = (1 + x) / 2, each within ``eps`` on [0, 1]^d.

    All monomials of ``inputs`` variables of total degree 1 to ``degree`` (2 where neither is given), or those of
    ``exponents`` (k, d), whole numbers >= 0. ``style``: "two" random layers per target layer or "direct". ``plan``: widths and
    tolerances of your own to begin with; without an ``eps`` beside it (else 1e-3) it is used once, and the certificate says
    what came out. ``input``: what the
    network is fed with, by default images (b, 1, 1, d) in [0, 1].

    ``notice`` hears what was chosen and how far it is. Source: Burkholz et al. 2022. Raises ``UltError`` for wrong arguments
    and where the mother does not hold such a ticket; she is never drawn again.
    """
    start = time.perf_counter()
    powers = check_exponents(inputs, degree, exponents)
    one_of_styles(style)
    limit = limit_of("polynomial", eps, plan is not None)
    plan = plan or plan_polynomial(powers, limit or DEFAULT_EPS["polynomial"], style=style)
    tops = [
        widths[1] if len(widths) == 3 else n
        for widths, n in zip((plan.log, plan.exp), plan.pieces, strict=True)
    ]
    plan = replace(plan, pieces=(min(plan.pieces[0], tops[0]), min(plan.pieces[1], tops[1])))
    fed = input or InputSpec((1, 1, inputs), range="unit")
    spec = polynomial_mother(plan, powers, seed=seed, init=init, input=fed)
    config = {
        "family": "polynomial",
        **(
            {"exponents": powers.tolist()}
            if exponents is not None
            else {"inputs": inputs, "degree": int(powers.sum(1).max())}
        ),
        "eps": limit,
        "plan": asdict(plan),
        "spec": spec.to_dict(),
    }
    notice(f"mother of {widths_in_words(1, log=plan.log, linear=plan.linear, exp=plan.exp)}")
    draft = Draft(spec)
    certificate, used = prune_within(
        draft,
        plan,
        limit,
        attempt=lambda plan: _attempt(draft, powers, plan),
        finer=_finer,
        widths=lambda by: widths_in_words(by, log=plan.log, linear=plan.linear, exp=plan.exp),
        describe=lambda plan: f"{plan.pieces[0]} and {plan.pieces[1]} pieces",
        notice=notice,
    )
    sampled = sampled_error(draft, inputs, lambda x: monomial_values(x, powers))
    found = certificate.to_dict(
        domain=f"[0, 1]^{inputs}", wanted="prod_i ((1 + x_i) / 2)^r_ji", sampled=sampled
    )
    provenance = {"method": "polynomial", "config": config, "pieces": used.pieces, "certificate": found}
    return draft.ticket(provenance, seconds=time.perf_counter() - start)


def _finer(plan: PolynomialPlan, excess: float) -> PolynomialPlan:
    """More pieces, as far as the knot layers go, then tighter tolerances."""
    grow = min(1.5, 1.02 * math.sqrt(excess))
    tops = [widths[1] if len(widths) == 3 else widths[0] // 4 for widths in (plan.log, plan.exp)]
    pieces = [max(n, min(top, math.ceil(n * grow))) for n, top in zip(plan.pieces, tops, strict=True)]
    if tuple(pieces) == plan.pieces and plan.tolerance > 0.1:
        tighter = plan.tolerance / 2
        return replace(plan, tolerance=tighter, exponent_tolerance=plan.exponent_tolerance / 2)
    return replace(plan, pieces=(pieces[0], pieces[1]), exponent_tolerance=plan.exponent_tolerance / grow**2)


def polynomial_mother(
    plan: PolynomialPlan,
    exponents: Exponents,
    *,
    seed: int,
    init: str,
    input: InputSpec,
) -> MotherSpec:
    """The mother that ``plan`` describes, with one feature per row of ``exponents``."""
    options = {
        "features": len(exponents),
        "log": list(plan.log),
        "linear": plan.linear,
        "exp": list(plan.exp),
    }
    return MotherSpec("polynomial", options, norm="none", init=init, bias="nonzero", seed=seed, input=input)


def check_exponents(inputs: int, degree: int | None, exponents: Sequence[Sequence[int]] | None) -> Exponents:
    """The exponents asked for, (k, d); raises ``UltError`` for what cannot be some."""
    whole("inputs", inputs)
    if exponents is None:
        degree = whole("degree", 2 if degree is None else degree)
        count = math.comb(inputs + degree, degree) - 1
        if count > _MOST_FEATURES:
            wanted = f"at most {_MOST_FEATURES:,} monomials"
            raise fault(
                "degree", degree, wanted, f"{inputs} inputs have {count:,} of that degree: give exponents=..."
            )
        return monomials(inputs, degree)
    if degree is not None:
        raise fault("degree", degree, "no degree beside exponents", "the exponents say it")
    rows = [list(row) for row in exponents]
    wanted = f"rows of {inputs} whole numbers >= 0, none of them all 0, each once"
    for row in rows:
        good = (
            len(row) == inputs and all(isinstance(r, int | np.integer) and r >= 0 for r in row) and any(row)
        )
        if not good:
            raise fault("exponents", row, wanted)
    if not rows or len({tuple(row) for row in rows}) != len(rows):
        raise fault("exponents", rows, wanted)
    return np.array(rows, dtype=np.int64)
