"""Tickets of the theory: parameters kept, certified error and seconds, medians over five mothers.

    python scripts/bench_construct.py [--smoke]

The first three rows have the widths, pieces and weights of the public script of Burkholz et al. (2022), as has the fourth,
but with He-normal weights and product biases; "sparse" prunes 30 mothers. The last line is one JSON object; "whole_task_s" is
the time of the polynomial and the sine ticket together, which that script makes too.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from _bare import arguments

from ult_lightning.construct import PolynomialPlan, UnivariatePlan, fourier_ticket, polynomial_ticket, univariate_ticket
from ult_lightning.tickets import Ticket

SCRIPT = "burkholz_uniform"
FINE = PolynomialPlan((200, 10, 200), 200, (500, 40, 500), (10, 40), 0.15, 2.6e-5)
SPARSE = PolynomialPlan((200, 10, 200), 200, (500, 20, 500), (10, 20), 0.7, 3.5e-4)


def function(name: str, chain: tuple[int, int, int], seed: int) -> Ticket:
    return univariate_ticket(name, plan=UnivariatePlan(chain, chain[1], 0.15), seed=seed, init=SCRIPT)


TICKETS: dict[str, tuple[int, Callable[[int], Ticket]]] = {
    "log, 10 pieces": (5, lambda s: function("log", (200, 10, 200), s)),
    "exp, 40 pieces": (5, lambda s: function("exp", (500, 40, 500), s)),
    "sin, 21 pieces": (5, lambda s: function("sin", (250, 21, 250), s)),
    "polynomial, 10 and 40 pieces": (5, lambda s: polynomial_ticket(1, 4, plan=FINE, seed=s)),
    "polynomial, 10 and 20 pieces, sparse": (30, lambda s: polynomial_ticket(1, 4, plan=SPARSE, seed=s)),
    "polynomial_ticket(1, 4, 1e-3)": (5, lambda s: polynomial_ticket(1, 4, 1e-3, seed=s)),
    "polynomial_ticket(1, 4, 1e-4)": (5, lambda s: polynomial_ticket(1, 4, 1e-4, seed=s)),
    "polynomial_ticket(5, 3, 1.2e-3)": (5, lambda s: polynomial_ticket(5, 3, 1.2e-3, seed=s)),
    "fourier_ticket(2, 2, 5e-3)": (5, lambda s: fourier_ticket(2, 2, 5e-3, seed=s)),
    "fourier_ticket(2, 2, 2e-2, fold=True)": (5, lambda s: fourier_ticket(2, 2, 2e-2, seed=s, fold=True)),
}


def measure(mothers: int, make: Callable[[int], Ticket]) -> dict[str, float]:
    kept, bounds, seconds = [], [], []
    for seed in range(mothers):
        start = time.perf_counter()
        ticket = make(seed)
        seconds.append(time.perf_counter() - start)
        kept.append(ticket.mask.kept)
        bounds.append(ticket.provenance["certificate"]["bound"])
    return {
        "mothers": mothers,
        "kept": statistics.median(kept),
        "total": ticket.mask.total,
        "bound": statistics.median(bounds),
        "largest_bound": max(bounds),
        "seconds": round(statistics.median(seconds), 3),
    }


def main() -> None:
    args = arguments(__doc__).parse_args()
    function("log", (200, 10, 200), 99)  # imports, and numba's compilation where it is installed
    rows = {}
    for name, (mothers, make) in list(TICKETS.items())[: 1 if args.smoke else None]:
        rows[name] = measure(1 if args.smoke else mothers, make)
        print(f"{name:40}", rows[name], flush=True)
    start = time.perf_counter()
    polynomial_ticket(1, 4, plan=FINE, seed=0, init=SCRIPT)
    function("sin", (250, 21, 250), 0)
    print(json.dumps({"whole_task_s": round(time.perf_counter() - start, 3), "rows": rows}))


if __name__ == "__main__":
    main()
