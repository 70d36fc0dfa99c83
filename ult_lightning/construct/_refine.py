"""One mother, pruned more and more finely until her certificate is good enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from ult_lightning.construct._certificate import Certificate
from ult_lightning.construct._layers import Draft
from ult_lightning.construct._settings import ConstructError, Notice

Plan = TypeVar("Plan")

_ATTEMPTS = 8


def prune_within(
    draft: Draft,
    plan: Plan,
    eps: float | None,
    *,
    attempt: Callable[[Plan], tuple[Certificate, Sequence[float]]],
    finer: Callable[[Plan, float], Plan],
    widths: Callable[[int], str],
    notice: Notice,
) -> tuple[Certificate, Plan]:
    """The first certificate of at most ``eps``, and the plan it came from; with ``eps`` None that of ``plan`` itself.

    ``attempt`` prunes the empty draft by a plan and gives the certificate and the coefficients that missed their tolerances;
    ``finer`` is the next plan, given by how many times the bound was above ``eps``; ``widths`` names widths, multiplied by
    a factor, in words. Raises `ConstructError` where no plan does: the mother is never drawn again.
    """
    best, missed = math.inf, 0
    for _ in range(_ATTEMPTS):
        draft.clear()
        certificate, misses = attempt(plan)
        notice(f"kept {draft.kept:,} of {draft.total:,}, certified {certificate.bound:.3e} ({plan})")
        if eps is None or certificate.bound <= eps:
            return certificate, plan
        if certificate.bound < best:
            best, missed = certificate.bound, len(misses)
        following = finer(plan, certificate.bound / eps)
        if following == plan:
            break
        plan = following
    missing = f", since {missed} sums miss their targets there" if missed else ""
    raise ConstructError(
        f"eps: got {eps:g}, wanted at least {best:.3g}, the best bound that the mother of {widths(1)} and seed "
        f"{draft.spec.seed} holds{missing}; take eps={1.1 * best:.2g}, another seed, or {widths(2)}."
    )
