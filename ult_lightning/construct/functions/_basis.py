"""Bases of functions, and one mother that is pruned to them more and more finely until its certificate is good enough."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from ult_lightning.base import Options, fault, option
from ult_lightning.construct._arrays import Floats
from ult_lightning.construct._draft import Draft
from ult_lightning.construct._family import ConstructError, Notice, silent
from ult_lightning.construct.certificates._certificate import Certificate, sampled_error
from ult_lightning.tickets import InputSpec, MotherSpec, Ticket

Plan = TypeVar("Plan", bound=Any)  # a frozen dataclass
Style = Literal["two", "direct"]

STYLES: tuple[str, ...] = get_args(Style)

_IMAGE = (3, 32, 32)
_SIDE = min(_IMAGE[1:])
_PLAN = ("log", "linear", "exp", "fold", "wave", "chain", "pieces", "tolerance")
_ATTEMPTS = 8
_HARDLY, _PATIENCE = (0.95, 2)  # so many attempts that lower the bound by less than 5 %, and the mother is given up


@dataclass(frozen=True)
class BasisOptions(Options):
    """What a ticket for functions is chosen by, whatever its family.

    Attributes:
        eps: the largest sup error allowed over the whole domain. None: ``default_eps``, or no limit where widths, pieces or
            ``tolerance`` are given.
        init: the mother's weights, a name of ``ult_lightning.nets.INITS``.
        style: whether "two" random layers make each layer of the construction, or one does: "direct".
        tolerance: how far each knot may be off, in multiples of the best piecewise-linear function's error. This, and the
            widths and pieces of each family, is chosen by laws from eps where it is None.
    """

    default_eps: ClassVar[float]

    eps: float | None = option(None, least=1e-6, below=0.5)  # float32 arithmetic is no finer
    init: str = "kaiming_normal"
    style: Style = "two"
    tolerance: float | None = option(None, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("log", "exp", "wave", "fold", "chain"):
            widths = getattr(self, name, None)
            if isinstance(widths, tuple) and len(widths) not in (2, 3):
                mend = "three for style=two, two for style=direct"
                raise fault(name, list(widths), f"two or three widths, as in {name}=[200,12,200]", mend)

    def basis(self) -> Basis[Any]:
        """The functions; raises ``UltError`` where the options name none."""
        raise NotImplementedError

    def input_spec(self) -> InputSpec | None:
        """What feeds the network; None: images (b, 1, 1, d) in [0, 1]."""
        return None


@dataclass(frozen=True)
class CubeOptions(BasisOptions):
    """What a ticket for functions on [0, 1]^d is chosen by.

    Attributes:
        inputs: d. None: what the other options say, else 1.
        pool: the ticket takes images, averaged to ``pool`` x ``pool`` pixels, which are its inputs.
        crop: with ``pool``, only the central ``crop`` x ``crop`` pixels count.
        linear: units between the inputs and the exponents, or frequencies.
    """

    inputs: int | None = option(None, least=1)
    pool: int | None = option(None, least=1, most=_SIDE)
    crop: int | None = option(None, least=1, most=_SIDE)
    linear: int | None = option(None, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool is None:
            if self.crop is not None:
                raise fault("crop", self.crop, "a pool beside it", "say pool=7 crop=28")
            return
        if self.crop is not None and self.pool > self.crop:
            raise fault("pool", self.pool, f"a whole number from 1 to {self.crop}, the side of the images")
        if self.inputs not in (None, self.pool**2):
            raise fault("inputs", self.inputs, f"null or {self.pool**2}, since pool={self.pool}")

    def dimension(self) -> int:
        """The number d of variables."""
        return self.inputs or (1 if self.pool is None else self.pool**2)

    def input_spec(self) -> InputSpec | None:
        if self.pool is None:
            return None
        cut = "" if self.crop is None else f"crop{self.crop}"
        return InputSpec(_IMAGE, range="unit", adapter=f"{cut}pool{self.pool}")


class Basis(ABC, Generic[Plan]):
    """Functions of d variables, one per feature, and how a mother is pruned to them by a plan of widths and tolerances.

    ``net``: the mother's net, which is the family's name too; ``net_options``: its options beside widths; ``parts``:
    the fields of a plan that are widths; ``pieces``: the one that counts linear pieces; ``wanted``: the functions in
    words; ``inputs``: d; ``interval``: the range of every variable; ``domain``: that of them all, in words.
    """

    net: ClassVar[str]
    parts: ClassVar[tuple[str, ...]]
    pieces: ClassVar[str] = "pieces"
    wanted: str
    inputs: int = 1
    interval: tuple[float, float] = (0.0, 1.0)
    net_options: Mapping[str, Any] = MappingProxyType({})

    @property
    def domain(self) -> str:
        return f"[0, 1]^{self.inputs}"

    def widths(self, plan: Plan) -> dict[str, Any]:
        """The mother's widths by name, without the parts that it lacks."""
        widths = {name: getattr(plan, name) for name in self.parts}
        return {name: width for name, width in widths.items() if width is not None}

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Which functions they are, as JSON."""

    @abstractmethod
    def plan(self, eps: float, style: Style) -> Plan:
        """What the laws choose for errors of ``eps``."""

    def fitting(self, plan: Plan) -> Plan:
        """The plan with no more pieces than its knot layers hold."""
        return plan

    @abstractmethod
    def prune(self, draft: Draft, plan: Plan) -> tuple[Certificate, Sequence[float]]:
        """Prune the empty draft; its certificate, and by how many tolerances coefficients were missed."""

    @abstractmethod
    def finer(self, plan: Plan, excess: float) -> Plan:
        """The plan to try next where the bound is ``excess`` > 1 times too large; the same one if there is none."""

    @abstractmethod
    def values(self, x: Floats, draft: Draft) -> Floats:
        """The functions at points (n, d): (n, k)."""

    def facts(self, draft: Draft) -> dict[str, Any]:
        """What else the certificate says."""
        return {}


def construct(options: BasisOptions, *, seed: int, notice: Notice = silent) -> Ticket:
    """The ticket of a family of functions."""
    return prune_mother(options.basis(), options, seed=seed, notice=notice)


def prune_mother(
    basis: Basis[Plan],
    options: BasisOptions,
    *,
    seed: int,
    plan: Plan | None = None,
    input: InputSpec | None = None,
    notice: Notice = silent,
) -> Ticket:
    """The ticket of one mother for all functions of the basis, by ``plan``, or what the laws and the options say.

    ``input``: what feeds the network; None: as the options say. Raises `ConstructError` where no plan is good enough;
    the mother is never drawn again.
    """
    start = time.perf_counter()
    begun, eps = _first_plan(basis, options) if plan is None else (plan, options.eps)
    begun = basis.fitting(begun)
    widths = basis.widths(begun)
    listed = {name: list(width) if isinstance(width, tuple) else width for name, width in widths.items()}
    spec = MotherSpec(
        basis.net,
        {**basis.net_options, **listed},
        norm="none",
        init=options.init,
        bias="nonzero",
        seed=seed,
        input=input or options.input_spec() or InputSpec((1, 1, basis.inputs), range="unit"),
    )
    notice(f"mother of {plan_words(widths)}")
    draft = Draft(spec)
    certificate, used = _prune_within(basis, draft, begun, eps, notice)
    sampled = sampled_error(draft, basis.inputs, lambda x: basis.values(x, draft), interval=basis.interval)
    proof = certificate.to_dict(domain=basis.domain, wanted=basis.wanted, sampled=sampled)
    provenance = {
        "method": basis.net,
        "config": {"family": basis.net, **basis.config(), "eps": eps, "plan": asdict(begun), "spec": spec.to_dict()},
        "pieces": getattr(used, basis.pieces),
        "certificate": proof | basis.facts(draft),
    }
    return draft.ticket(provenance, seconds=time.perf_counter() - start)


def _first_plan(basis: Basis[Plan], options: BasisOptions) -> tuple[Plan, float | None]:
    """The plan that the laws choose, with the entries that the options state; and the certificate's limit, if any."""
    eps = options.eps or options.default_eps
    plan = basis.plan(eps, options.style)
    stated = {entry.name: getattr(options, entry.name, None) for entry in fields(plan)}
    stated = {name: value for name, value in stated.items() if not isinstance(value, bool | None)}
    return replace(plan, **stated), options.eps if stated else eps


def _prune_within(
    basis: Basis[Plan],
    draft: Draft,
    plan: Plan,
    eps: float | None,
    notice: Notice,
) -> tuple[Certificate, Plan]:
    """The first certificate of at most ``eps``, and the plan it came from; with ``eps`` None that of ``plan`` itself."""
    best, missed, stale = math.inf, 0, 0
    for _ in range(_ATTEMPTS):
        draft.clear()
        certificate, misses = basis.prune(draft, plan)
        tried, bound = plan_words({"pieces": getattr(plan, basis.pieces)}), certificate.bound
        notice(f"{tried}: kept {draft.kept:,} of {draft.total:,}, certified {bound:.3e}")
        if eps is None or bound <= eps:
            return certificate, plan
        stale += bound > _HARDLY * best
        if bound < best:
            best, missed = bound, len(misses)
        following = basis.finer(plan, bound / eps)
        if stale == _PATIENCE or following == plan:
            break
        plan = following
    missing = f", since {missed} sums miss their targets there" if missed else ""
    widths = basis.widths(plan)
    raise ConstructError(
        f"eps: got {eps:g}, wanted at least {best:.3g}, the best bound that the mother of {plan_words(widths)} and seed "
        f"{draft.spec.seed} holds{missing}; take eps={1.1 * best:.2g}, another seed, or {plan_words(widths, 2)}."
    )


def explain_plan(ticket: Ticket, options: BasisOptions) -> list[tuple[str, str]]:
    """What was chosen for the user, and why."""
    provenance: Any = ticket.provenance
    plan = {**provenance["config"]["plan"], "pieces": provenance["pieces"]}
    given = options.given()
    names = [name for name in _PLAN if name in plan and (name != "tolerance" or name in given)]
    shown = {name: plan[name] for name in names}
    own = [name for name in shown if name in given]
    why = "N pieces err by 1/N^2, so N grows as 1/sqrt(eps); widths as log(1/eps), as subset sums need"
    if own:
        why = f"{', '.join(own)} as you said; the rest by the laws of the theory from eps"
    return [("chosen", plan_words(shown)), ("why", why)]


def plan_words(plan: Mapping[str, Any], times: int = 1) -> str:
    """Entries of a plan, each whole number multiplied, as a user types them; those that are None are left out.

    >>> plan_words({"log": (200, 12, 200), "fold": None, "linear": 150, "tolerance": 0.5}, 2)
    'log=[400,24,400] linear=300 tolerance=0.5'
    """
    words = []
    for name, value in plan.items():
        if isinstance(value, Sequence):
            words.append(f"{name}=[{','.join(str(times * n) for n in value)}]")
        elif value is not None:
            words.append(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={times * value}")
    return " ".join(words)
