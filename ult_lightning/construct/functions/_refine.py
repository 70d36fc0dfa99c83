"""One mother, pruned more and more finely until her certificate is good enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from ult_lightning.construct._checks import ConstructError, Notice
from ult_lightning.construct._draft import Draft
from ult_lightning.construct.certificates import Certificate

Plan = TypeVar("Plan")

_ATTEMPTS = 8
_HARDLY, _PATIENCE = (
    0.95,
    2,
)  # attempts that do not lower the bound by 5 % at least, before the mother is given up


def prune_within(
    draft: Draft,
    plan: Plan,
    eps: float | None,
    *,
    attempt: Callable[[Plan], tuple[Certificate, Sequence[float]]],
    finer: Callable[[Plan, float], Plan],
    widths: Callable[[int], str],
    describe: Callable[[Plan], str],
    notice: Notice,
) -> tuple[Certificate, Plan]:
    """The first certificate of at most ``eps``, and the plan it came from; with ``eps`` None that of ``plan`` itself.

    ``attempt`` prunes the empty draft by a plan and gives the certificate and the coefficients that missed their tolerances;
    ``finer`` is the next plan, given by how many times the bound was above ``eps``; ``widths`` names widths, multiplied by
    a factor, and ``describe`` what a plan tries, in words. Raises `ConstructError` where no plan does: the mother is never drawn again.
    """
    best, missed, stale = math.inf, 0, 0
    for _ in range(_ATTEMPTS):
        draft.clear()
        certificate, misses = attempt(plan)
        notice(f"{describe(plan)}: kept {draft.kept:,} of {draft.total:,}, certified {certificate.bound:.3e}")
        if eps is None or certificate.bound <= eps:
            return certificate, plan
        stuck = certificate.bound > _HARDLY * best
        if certificate.bound < best:
            best, missed = certificate.bound, len(misses)
        if stuck:
            stale += 1
            if stale == _PATIENCE:
                break
        following = finer(plan, certificate.bound / eps)
        if following == plan:
            break
        plan = following
    missing = f", since {missed} sums miss their targets there" if missed else ""
    raise ConstructError(
        f"eps: got {eps:g}, wanted at least {best:.3g}, the best bound that the mother of {widths(1)} and seed "
        f"{draft.spec.seed} holds{missing}; take eps={1.1 * best:.2g}, another seed, or {widths(2)}."
    )
