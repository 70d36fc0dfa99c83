"""One transfer of a frozen network to a family of functions, as rows: the sup error and the RMS error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import NUMERICS, digest, environment, fault, once, provided
from ult_lightning.heads import FUNCTION_HEADS
from ult_lightning.results import Row, RowStore
from ult_lightning.transfer._function_transfer import FunctionResult, transfer_functions

if TYPE_CHECKING:
    from ult_lightning.data import FunctionTask
    from ult_lightning.nets import FrozenNetwork
    from ult_lightning.tickets import Ticket

FUNCTION_METRICS = ("sup_error", "rms_error")

Floats = NDArray[np.float64]
Measured = tuple[FunctionResult, "Floats | None"]


def function_rows(
    ticket: Ticket,
    network: FrozenNetwork,
    task: FunctionTask,
    *,
    head: str = "lstsq",
    options: Mapping[str, Any] | None = None,
    device: str = "cpu",
    store: RowStore | None = None,
    force: bool = False,
    notice: Callable[[str], None] | None = None,
) -> tuple[Row, ...]:
    """Fit a head for every function of `task`, and give its worst sup and its worst RMS error as two rows.

    Both are in the unit of the functions ("absolute"), over test points that the head never saw. `extra` holds the
    errors of every function, the norms of the heads, and `certified_bound`: a proven bound on the sup error of all
    functions, None where the ticket has no certificate for one of them. Ids, `store`, `force` and `notice` are as in
    `transfer_row`; the head is fitted at most once.

    Raises what `heads.transfer_functions` raises.
    """

    @cache
    def measured() -> Measured:
        result = transfer_functions(network, task, head=head, options=options, device=device)
        return result, _certified(ticket, result, task)

    rows = []
    for metric in FUNCTION_METRICS:
        science = function_row_config(ticket, task, head=head, options=options, metric=metric)
        name = digest(science)[:16]

        def make(name: str = name, science: dict[str, Any] = science) -> Row:
            row = _row(name, science, ticket, task, measured(), device=device)
            if store is not None:
                store.add(row)
            return row

        if store is None:
            rows.append(make())
        else:
            rows.append(
                once(store.path(name), make, lambda path: store.get(path.stem), force=force, notice=notice)
            )
    return tuple(rows)


def function_row_config(
    ticket: Ticket,
    task: FunctionTask,
    *,
    head: str,
    options: Mapping[str, Any] | None,
    metric: str,
) -> dict[str, Any]:
    """Everything that decides the number, as JSON: the row's id is the beginning of its hash."""
    return {
        "ticket": ticket.id,
        "content": ticket.content_digest,
        "made_by": "transfer",
        "numerics": NUMERICS,
        "arm": "ticket",
        "task": task.science(),
        "head": head,
        "options": FUNCTION_HEADS.get(head).read(options).to_dict(),
        "precision": "32",
        "metric": metric,
    }


def _certified(ticket: Ticket, result: FunctionResult, task: FunctionTask) -> Floats | None:
    """The proven bound on each function's sup error (k,), None where there is no certificate."""
    found = provided("head_bound")(ticket, result.fit.weights, result.fit.biases, task)
    if found is None:
        return None
    bounds: Floats = np.asarray(found, dtype=np.float64)
    if bounds.shape != result.sup_errors.shape:
        raise fault("head_bound", bounds.shape, f"the shape {result.sup_errors.shape}")
    return bounds


def _row(
    name: str,
    science: dict[str, Any],
    ticket: Ticket,
    task: FunctionTask,
    measured: Measured,
    *,
    device: str,
) -> Row:
    result, bounds = measured
    per_function = result.sup_errors if science["metric"] == "sup_error" else result.rms_errors
    made = ticket.provenance.get("seconds")
    seconds = dict(result.seconds)
    if isinstance(made, int | float):
        seconds = {"search": float(made), **seconds, "total": seconds["total"] + float(made)}
    parameters = result.fit.weights.size + result.fit.biases.size
    shared, per_task = len(ticket.to_bytes()), 8 * parameters
    here = environment(device)
    return Row(
        id=name,
        task=task.id,
        arm=str(science["arm"]),
        seed=task.seed,
        metric=str(science["metric"]),
        value=float(per_function.max()),
        n=result.n_test,
        n_train=result.fit.n_train,
        n_valid=0,
        unit="absolute",
        config=science,
        config_hash=digest(science),
        seconds=seconds,
        trained="head",
        parameters_trained=parameters,
        code_version=here["code_version"],
        versions=here["versions"],
        device=here["device"],
        precision="32",
        ticket=ticket.id,
        bytes=shared + per_task,
        extra={
            **_function_extra(task, result, bounds),
            "head": science["head"],
            "fingerprint_before": result.fingerprint,
            "fingerprint_after": result.fingerprint,
            "bytes_shared": shared,
            "bytes_per_task": per_task,
        },
    )


def _function_extra(task: FunctionTask, result: FunctionResult, bounds: Floats | None) -> dict[str, Any]:
    """What the row says beside its number; a bound that is not finite is none."""
    listed = [None] * len(task.names) if bounds is None else [_finite(bound) for bound in bounds]
    known = [bound for bound in listed if bound is not None]
    each = zip(task.names, result.sup_errors, result.rms_errors, result.fit.norms, listed, strict=True)
    return {
        "functions": [
            {"name": n, "sup_error": float(s), "rms_error": float(r), "head_norm": float(h), "bound": b}
            for n, s, r, h, b in each
        ],
        "head_norm": float(result.fit.norms.max()),
        "certified_bound": max(known) if len(known) == len(listed) else None,
        "outside": task.outside,
        "inputs": task.inputs,
        "dim": result.dim,
        "rank": result.fit.rank,
    }


def _finite(bound: float) -> float | None:
    return float(bound) if np.isfinite(bound) else None
