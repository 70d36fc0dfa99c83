"""One transfer of a frozen network to one task, as a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ult_lightning.data import seen_by
from ult_lightning.heads import HEADS
from ult_lightning.results import Measurement, Row, RowStore, head_settings, measure, task_settings
from ult_lightning.transfer._image_transfer import TransferResult, transfer
from ult_lightning.transfer._ticket_facts import stored_bytes, ticket_settings, with_search

if TYPE_CHECKING:
    from ult_lightning.data import Task
    from ult_lightning.nets import FrozenNetwork
    from ult_lightning.tickets import Ticket


Keep = Callable[["Task", TransferResult], None]


def transfer_row(
    ticket: Ticket | None,
    network: FrozenNetwork,
    task: Task,
    *,
    head: str = "ridge",
    options: Mapping[str, Any] | None = None,
    shots: int | None = None,
    draw: int = 0,
    seed: int = 0,
    precision: str = "32",
    device: str = "cpu",
    store: RowStore | None = None,
    force: bool = False,
    arm: str = "ticket",
    keep: Keep | None = None,
    notice: Callable[[str], None] | None = None,
) -> Row:
    """Fit a head on `network`'s features of `task`, test it once, and give the number with its provenance.

    `ticket` is what `network` was built from; None for a network without one (its fingerprint then stands in the
    row's settings). `shots` takes the few-shot task of that many images per class, draw number `draw`. `seed` is the
    head's; the task has its own for its splits. `store`, `force` and `notice` are those of `results.measure`. `keep` is
    called with the task and the result, and makes the transfer run even where the row is there.

    Raises what `transfer` and `Task.few_shot` raise; a network that changed gives no row.
    """
    few = task if shots is None else task.few_shot(shots, draw=draw)
    settings, shown = (
        ({"network": network.fingerprint()} if ticket is None else ticket_settings(ticket, full=full))
        | {"made_by": "transfer", "arm": arm, "metric": "accuracy", "seed": seed, "precision": precision}
        | task_settings(few.science())
        | head_settings(head, HEADS.get(head).read(options), full=full)
        for full in (False, True)
    )

    def run() -> TransferResult:
        result = transfer(network, few, head=head, options=options, precision=precision, device=device, seed=seed)
        if keep is not None:
            keep(few, result)
        return result

    row, reused = measure(
        settings,
        lambda: _measurement(ticket, few, run(), head=head, precision=precision),
        task=few.spec.id,
        store=store,
        force=force,
        device=device,
        shown=shown,
        notice=notice,
    )
    if reused and keep is not None:
        run()  # the row is there, the head is not
    return row


def _measurement(
    ticket: Ticket | None,
    task: Task,
    result: TransferResult,
    *,
    head: str,
    precision: str,
) -> Measurement:
    fit = result.fit
    parameters = fit.head.weight.numel() + fit.head.bias.numel()
    stored = stored_bytes(ticket, 4 * parameters)
    sources = None if ticket is None else ticket.provenance.get("sources")
    return Measurement(
        value=result.accuracy,
        n=result.n_test,
        n_train=fit.n_train,
        n_valid=fit.n_valid,
        seconds=with_search(ticket, result.seconds),
        trained=f"{head} head",
        parameters_trained=parameters,
        precision=precision,
        ticket=None if ticket is None else ticket.id,
        seen=seen_by(task.describe(), sources) if isinstance(sources, list) else None,
        bytes=sum(stored.values()),
        extra={
            "head": head,
            "hyper": fit.hyper,
            "valid_accuracy": fit.valid_accuracy,
            "images": result.images,
            "chance": chance(task),
            "grid": [list(pair) for pair in fit.grid.path],
            "edge": fit.grid.edge,
            "dim": result.dim,
            "shots": task.shots,
            "draw": task.draw,
            "normalisation": {"mean": list(task.mean), "std": list(task.std)},
            "fingerprint_before": result.fingerprint_before,
            "fingerprint_after": result.fingerprint_after,
            **stored,
        },
    )


def chance(task: Task) -> float:
    """The accuracy of always naming the class that the test split has most of."""
    return int(task.test.labels.bincount().max()) / len(task.test)
