"""The studies of subset sums and of networks made of them: error against block size, two layers or copies for one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.studies._study import STUDIES, Axes, Found, Options, Point, Study

if TYPE_CHECKING:
    from ult_lightning.tickets import Ticket

Floats = NDArray[np.float64]

_TAIL = 0.01  # the share of targets beyond the 99 % quantile
_LAW_TARGETS = 2_001
_LARGEST_EPS = 1e-2  # the law of failures holds up to it
_POOLS = {"uniform": "U(−1, 1)", "product": "products U(0, 1) · U(−1, 1)"}
_QUANTILES = ("median_error", "error_99")
_MODES = ("2L", "L+1")


def _block_size(options: Options) -> Iterator[Point]:
    """Simulated errors per pool, block and seed, then the laws on the same blocks."""
    for pool in options["pools"]:
        for n in options["blocks"]:
            for seed in options["seeds"]:
                science = {"pool": pool, "block": n, "targets": options["targets"]}
                measure = partial(_simulated, pool, n, options["targets"], seed)
                yield Point(_POOLS[pool], seed, science, _QUANTILES, measure)
        for n in options["blocks"]:
            for metric, law in (("median_error", _median_law), ("error_99", _tail_law)):
                if (value := law(pool, n)) is not None:
                    given = _constant(Found({metric: value}, n, 1))
                    science = {"pool": pool, "block": n}
                    yield Point(_POOLS[pool], 0, science, (metric,), given, kind="law")


def _constant(found: Found) -> Callable[[], Found]:
    return lambda: found


def _simulated(pool: str, n: int, targets: int, seed: int) -> Found:
    """Quantiles of the smallest error over all 2^n subsets, a fresh pool per target."""
    from ult_lightning.construct import min_error

    start = time.perf_counter()
    rng = np.random.default_rng([seed, n, list(_POOLS).index(pool)])
    values = rng.uniform(-1, 1, (targets, n))
    if pool == "product":
        values *= rng.uniform(0, 1, (targets, n))
    errors = min_error(values, rng.uniform(-1, 1, targets)).errors
    found = {"median_error": float(np.median(errors)), "error_99": float(np.quantile(errors, 1 - _TAIL))}
    extra = {"above_0.01": float((errors > 1e-2).mean()), "seconds": time.perf_counter() - start}
    return Found(found, n, targets, extra=extra)


def _median_law(pool: str, n: int) -> float:
    """The median over targets U(-1, 1) of errors that are exponential with the median ``median_error`` at each target."""
    from ult_lightning.construct import SECOND_MOMENT, median_error

    targets = np.linspace(-1.0, 1.0, _LAW_TARGETS)
    medians = np.array([median_error(n, float(t), second_moment=SECOND_MOMENT[pool]) for t in targets])
    return _crossing(lambda error: float((0.5 ** (error / medians)).mean()), 0.5)


def _tail_law(pool: str, n: int) -> float | None:
    """The eps that one target in a hundred misses, None where it is larger than the law of failures holds for."""
    from ult_lightning.construct import failure_rate

    eps = _crossing(lambda eps: failure_rate(n, eps, distribution=pool), _TAIL)  # type: ignore[arg-type]
    return eps if eps <= _LARGEST_EPS else None


def _crossing(falls: Callable[[float], float], level: float) -> float:
    """Where a function that falls on [1e-16, 10] passes ``level``, to 1 in 1,000."""
    low, high = math.log(1e-16), math.log(10.0)
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if falls(math.exp(middle)) > level else (low, middle)
    return math.exp(0.5 * (low + high))


STUDIES.add(
    "block_size",
    Study(
        name="block_size",
        claim="The error of a random subset sum halves with each further element, as the closed form says; the worst target in "
        "a hundred follows some six elements later, for products of two weights up to ten.",
        title="Error of exact subset sums against block size",
        axes=Axes(
            x="block size n",
            panels={"median_error": "smallest error, median", "error_99": "smallest error, 99 % quantile"},
            share_y=True,
            law="closed form (99 %: fitted tail)",
        ),
        options={
            "blocks": [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24],
            "pools": ["uniform", "product"],
            "targets": 2_000,
            "seeds": [0, 1, 2],
        },
        fast={"blocks": [4, 8, 12], "targets": 200, "seeds": [0]},
        choices={"pools": tuple(_POOLS)},
        points=_block_size,
    ),
)


def _depth(options: Options) -> Iterator[Point]:
    for mode in options["modes"]:
        for block in options["blocks"]:
            for seed in options["seeds"]:
                science = {"mode": mode, "block": block, "eps": options["eps"], "init": "uniform",
                           "target": {"hidden": list(options["hidden"]), "seed": options["target_seed"],
                                      "epochs": options["epochs"]}}  # fmt: skip
                metrics = ("kept_per_parameter", "relative_error")
                yield Point(mode, seed, science, metrics, partial(_rebuilt, seed=seed, **science))


def _rebuilt(*, mode: Any, block: int, eps: float, init: str, target: dict[str, Any], seed: int) -> Found:
    """A ticket for the target, judged on digits that neither training nor calibration saw."""
    from ult_lightning.construct import network_ticket
    from ult_lightning.studies._target import digits_target

    net = digits_target(hidden=tuple(target["hidden"]), seed=target["seed"], epochs=target["epochs"])
    ticket = network_ticket(net.module, mode=mode, block=block, eps=eps, seed=seed, init=init, calibration=net.train)
    wanted = net.logits(net.test)
    made = ticket.network()(net.test.reshape(-1, 1, 1, net.test.shape[1])).double()
    relative = float((made - wanted).abs().max() / wanted.abs().max())
    right = (made.argmax(1) == net.labels).double().mean()
    found = {"kept_per_parameter": ticket.provenance["kept_per_parameter"], "relative_error": relative}
    extra = {
        "accuracy": float(right),
        "target_accuracy": net.accuracy(),
        "target_parameters": ticket.provenance["target_parameters"],
        "missed": ticket.provenance["missed"],
        "subset_sums": ticket.provenance["subset_sums"],
        "target_digest": ticket.provenance["config"]["target"]["digest"],
    }
    return ticket_found(ticket, found, x=block, n=len(net.test), extra=extra, n_train=len(net.train))


def ticket_found(
    ticket: Ticket,
    values: dict[str, float],
    *,
    x: float,
    n: int,
    group: float | None = None,
    extra: dict[str, Any] | None = None,
    n_train: int = 0,
) -> Found:
    """What was found with a ticket, whose size, certificate and time go into ``extra``."""
    certificate = ticket.provenance["certificate"]
    counted = {
        "kept": ticket.mask.kept,
        "total": ticket.mask.total,
        "bound": certificate["bound"],
        "sampled": certificate["sampled"],
        "certificate": certificate["kind"],
        "seconds": ticket.provenance["seconds"],
    }
    size = len(ticket.to_bytes())
    return Found(values, x, n, group, {**counted, **(extra or {})}, ticket.id, size, n_train)


STUDIES.add(
    "depth",
    Study(
        name="depth",
        claim="Two random layers for one rebuild a given network with about three parameters for each of its own; copies of "
        "units, which need one more layer in all, take seven to fifteen times as many at a similar error.",
        title="A trained network (10 % of its weights) rebuilt from random ones",
        axes=Axes(
            x="block size n",
            panels={
                "kept_per_parameter": "kept per target parameter",
                "relative_error": "largest logit error / largest logit",
            },
        ),
        options={
            "blocks": [10, 12, 15, 20, 25],
            "modes": ["2L", "L+1"],
            "eps": 1e-2,
            "seeds": [0, 1, 2],
            "hidden": [300, 100],
            "target_seed": 0,
            "epochs": 60,
        },
        fast={"blocks": [12], "seeds": [0], "hidden": [60, 20], "epochs": 6},
        choices={"modes": _MODES},
        points=_depth,
    ),
)
