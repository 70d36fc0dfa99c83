"""One transfer of a frozen network to one task, as a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ult_lightning.base import NUMERICS, digest, environment, once
from ult_lightning.data import seen_by
from ult_lightning.heads import HEADS
from ult_lightning.results import Row, RowStore
from ult_lightning.transfer._image_transfer import TransferResult, transfer

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
    config: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    keep: Keep | None = None,
    notice: Callable[[str], None] | None = None,
) -> Row:
    """Fit a head on `network`'s features of `task`, test it once, and give the number with its provenance.

    `ticket` is what `network` was built from; None for a network without one (its fingerprint then stands in the
    row's config). `shots` takes the few-shot task of that many images per class, draw number `draw`. `seed` is the
    head's; the task has its own for its splits. The id hashes the science config, to which `config` adds; a row
    that `store` holds already is given back unless `force`. `extra` goes into the row's extra. `keep` is called with
    the task and the result, and makes the transfer run even where the row is there.

    `notice` hears when another process makes the same row, or a broken one is redone.

    Raises what `heads.transfer` and `Task.few_shot` raise; a network that changed gives no row.
    """
    few = task if shots is None else task.few_shot(shots, draw=draw)
    science = row_config(
        ticket,
        network,
        few,
        arm=arm,
        head=head,
        options=options,
        seed=seed,
        precision=precision,
        config=config,
    )
    name = digest(science)[:16]
    kept = False

    def make() -> Row:
        nonlocal kept
        result = transfer(
            network, few, head=head, options=options, precision=precision, device=device, seed=seed
        )
        if keep is not None:
            keep(few, result)
            kept = True
        return _row(
            name,
            science,
            ticket,
            few,
            result,
            device=device,
            precision=precision,
            seed=seed,
            extra=extra or {},
        )

    if store is None:
        return make()

    def make_and_add() -> Row:
        row = make()
        store.add(row)
        return row

    row = once(store.path(name), make_and_add, lambda _: store.get(name), force=force, notice=notice)
    if keep is not None and not kept:
        make()  # the row is there, the head is not
    return replace(row, task=task.id)  # the same data may have been measured under another name


def row_config(
    ticket: Ticket | None,
    network: FrozenNetwork,
    task: Task,
    *,
    arm: str,
    head: str,
    options: Mapping[str, Any] | None,
    seed: int,
    precision: str,
    config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that decides the number, as JSON: the row's id is the beginning of its hash."""
    known: dict[str, Any] = {"ticket": None, "network": network.fingerprint()}
    if ticket is not None:
        known = {"ticket": ticket.id, "content": ticket.content_digest}
    return {
        **dict(config or {}),
        **known,
        "made_by": "transfer",
        "numerics": NUMERICS,
        "arm": arm,
        "task": task.science(),
        "head": head,
        "options": HEADS.get(head).read(options).to_dict(),
        "seed": seed,
        "precision": precision,
    }


def _row(
    name: str,
    science: dict[str, Any],
    ticket: Ticket | None,
    task: Task,
    result: TransferResult,
    *,
    device: str,
    precision: str,
    seed: int,
    extra: Mapping[str, Any],
) -> Row:
    provenance = {} if ticket is None else ticket.provenance
    search = provenance.get("seconds")
    seconds = dict(result.seconds)
    if isinstance(search, int | float):
        seconds = {"search": float(search), **seconds, "total": seconds["total"] + float(search)}
    sources = provenance.get("sources")
    parameters = result.fit.head.weight.numel() + result.fit.head.bias.numel()
    per_task, shared = 4 * parameters, 0 if ticket is None else len(ticket.to_bytes())
    here = environment(device)
    return Row(
        id=name,
        task=task.spec.id,
        arm=str(science["arm"]),
        seed=seed,
        metric="accuracy",
        value=result.accuracy,
        n=result.n_test,
        n_train=result.fit.n_train,
        n_valid=result.fit.n_valid,
        unit="fraction",
        config=science,
        config_hash=digest(science),
        seconds=seconds,
        trained=f"{science['head']} head",
        parameters_trained=parameters,
        code_version=here["code_version"],
        versions=here["versions"],
        device=here["device"],
        precision=precision,
        ticket=None if ticket is None else ticket.id,
        seen=seen_by(task.describe(), sources) if isinstance(sources, list) else None,
        bytes=shared + per_task,
        extra={
            "head": science["head"],
            "hyper": result.fit.hyper,
            "valid_accuracy": result.fit.valid_accuracy,
            "images": result.images,
            "chance": chance(task),
            "grid": [list(pair) for pair in result.fit.grid.path],
            "edge": result.fit.grid.edge,
            **({} if ticket is None else {"made_from": _made_from(ticket)}),
            "dim": result.dim,
            "shots": task.shots,
            "draw": task.draw,
            "sizes": task.sizes,
            "normalisation": {"mean": list(task.mean), "std": list(task.std)},
            "fingerprint_before": result.fingerprint_before,
            "fingerprint_after": result.fingerprint_after,
            "bytes_shared": shared,
            "bytes_per_task": per_task,
            **extra,
        },
    )


def chance(task: Task) -> float:
    """The accuracy of always naming the class that the test split has most of."""
    return int(task.test.labels.bincount().max()) / len(task.test)


def _made_from(ticket: Ticket) -> dict[str, Any]:
    """What tells this ticket from others in a table: its mother, how it was made, and on what."""
    provenance = ticket.provenance
    sources = provenance.get("sources")
    listed = sources if isinstance(sources, list) else []
    return {
        "made_by": provenance.get("made_by"),
        "mother": ticket.spec.to_dict(),
        "settings": provenance.get("settings") or _construction(provenance),
        "steps": provenance.get("steps"),
        "density": ticket.density,
        "sources": [{"id": source["id"], "train": source["sizes"]["train"]} for source in listed],
    }


def _construction(provenance: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of a constructed ticket, her mother apart."""
    config = provenance.get("config")
    if not isinstance(config, Mapping):
        return None
    return {
        "method": provenance.get("method"),
        **{k: v for k, v in config.items() if k not in ("spec", "seed")},
    }
