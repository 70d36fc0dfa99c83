"""Rates of the subset-sum solvers, both engines, and the time of one disjoint allocation; one thread.

    python scripts/bench_subset_sum.py [--smoke]

Values and targets are U(-1, 1), a pool per target. ``sparsest``: n = 15, eps = 1e-2; ``min_error``: n = 24; ``low_noise``:
n = 20, eps = 1e-2; ``allocate``: 41 targets from one pool of 250, each element once, eps = 1e-3. Medians of five runs
after a warm-up, which compiles; the last line is one JSON object (rates in targets per second).
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
from _bare import arguments  # noqa: E402

from ult_lightning.construct import Engine, allocate, low_noise, min_error, sparsest  # noqa: E402

ROUNDS = 5
TARGETS = {
    "numpy": {"sparsest": 20_000, "min_error24": 400, "low_noise20": 100},
    "numba": {"sparsest": 100_000, "min_error24": 1_000, "low_noise20": 4_000},
}


def seconds(run: Callable[[], object], rounds: int) -> float:
    """The median time of ``rounds`` runs after one that is not counted."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def pools(m: int, n: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (m, n)), random.uniform(-1, 1, m)


def measure(engine: Engine, smoke: bool) -> dict[str, float]:
    """Rates and times of one engine, named after it."""
    rounds = 1 if smoke else ROUNDS
    counts = {name: 20 if smoke else count for name, count in TARGETS[engine].items()}
    problems = {name: pools(m, {"sparsest": 15, "min_error24": 24, "low_noise20": 20}[name]) for name, m in counts.items()}  # fmt: skip
    runs: dict[str, Callable[[], object]] = {
        "sparsest": lambda: sparsest(*problems["sparsest"], 1e-2, engine=engine),
        "min_error24": lambda: min_error(*problems["min_error24"], engine=engine),
        "low_noise20": lambda: low_noise(*problems["low_noise20"], 1e-2, engine=engine),
    }
    line = {f"{name}_per_s_{engine}": counts[name] / seconds(run, rounds) for name, run in runs.items()}
    values, targets = (np.random.default_rng(1).uniform(-1, 1, 250), np.random.default_rng(2).uniform(-1, 1, 41))
    line[f"allocate_s_{engine}"] = seconds(lambda: allocate(values, targets, 1e-3, engine=engine), rounds)
    allocation = allocate(values, targets, 1e-3, engine=engine)
    line[f"allocate_terms_{engine}"] = sum(len(members) for members in allocation.chosen)
    for name, value in line.items():
        print(f"{name}: {value:.4g}", flush=True)
    return line


def main() -> None:
    args = arguments(__doc__).parse_args()
    engines: list[Engine] = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
    line: dict[str, Any] = {"rounds": 1 if args.smoke else ROUNDS}
    for engine in engines:
        line |= measure(engine, args.smoke)
    fastest = engines[-1]
    line["min_error24_per_s"] = line[f"min_error24_per_s_{fastest}"]
    line["allocate_s"] = line[f"allocate_s_{fastest}"]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
