"""One transfer of a frozen network to a family of functions, as rows: the sup error and the RMS error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import fault, provided
from ult_lightning.heads import FUNCTION_HEADS
from ult_lightning.results import Measurement, Row, RowStore, flat, head_settings, measure
from ult_lightning.transfer._function_transfer import FunctionResult, transfer_functions
from ult_lightning.transfer._ticket_facts import stored_bytes, ticket_settings, with_search

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

    settings, shown = (
        ticket_settings(ticket, full=full)
        | {"made_by": "transfer", "arm": "ticket", "seed": task.seed, "precision": "32"}
        | flat("task", task.science())
        | head_settings(head, FUNCTION_HEADS.get(head).read(options), full=full)
        for full in (False, True)
    )
    return tuple(
        measure(
            {**settings, "metric": metric},
            lambda metric=metric: _measurement(metric, ticket, task, *measured(), head=head),  # type: ignore[misc]
            task=task.id,
            store=store,
            force=force,
            device=device,
            shown=shown,
            notice=notice,
        )[0]
        for metric in FUNCTION_METRICS
    )


def _certified(ticket: Ticket, result: FunctionResult, task: FunctionTask) -> Floats | None:
    """The proven bound on each function's sup error (k,), None where there is no certificate."""
    bound = provided("head_bound")(ticket, result.fit.weights, result.fit.biases, task)
    if bound is None:
        return None
    bounds: Floats = np.asarray(bound, dtype=np.float64)
    if bounds.shape != result.sup_errors.shape:
        raise fault("head_bound", bounds.shape, f"the shape {result.sup_errors.shape}")
    return bounds


def _measurement(
    metric: str,
    ticket: Ticket,
    task: FunctionTask,
    result: FunctionResult,
    bounds: Floats | None,
    *,
    head: str,
) -> Measurement:
    per_function = result.sup_errors if metric == "sup_error" else result.rms_errors
    parameters = result.fit.weights.size + result.fit.biases.size
    stored = stored_bytes(ticket, 8 * parameters)
    return Measurement(
        value=float(per_function.max()),
        n=result.n_test,
        n_train=result.fit.n_train,
        unit="absolute",
        seconds=with_search(ticket, result.seconds),
        trained="head",
        parameters_trained=parameters,
        ticket=ticket.id,
        bytes=sum(stored.values()),
        extra={
            **_function_extra(task, result, bounds),
            "head": head,
            "fingerprint_before": result.fingerprint,
            "fingerprint_after": result.fingerprint,
            **stored,
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
