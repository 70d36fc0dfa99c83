"""What is logged beyond Lightning's metrics: tickets as artifacts, rows, and where the run lies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ult_lightning.results import Row

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from ult_lightning.tickets import Ticket

_COLUMNS = (
    *("task", "arm", "seed", "shots", "draw", "metric", "value", "n", "n_train", "seen", "ticket", "seconds"),
    *("trained", "parameters_trained", "bytes", "precision", "device", "row"),
)


def log_ticket(logger: Logger | None, ticket: Ticket, path: str | Path) -> None:
    """Log a ticket file as the artifact `ticket-<id>` of type "ticket", and its id in config and summary."""
    guarded = _guarded(logger)
    if guarded is None or guarded.kind != "wandb":
        return

    def log() -> None:
        import wandb

        artifact = wandb.Artifact(
            f"ticket-{ticket.id}",
            type="ticket",
            metadata={
                "density": float(ticket.density),
                "fingerprint": ticket.fingerprint,
                "sources": ticket.provenance.get("sources", []),
            },
        )
        artifact.add_file(str(path))
        guarded.run.log_artifact(artifact)

    _note_ticket(guarded, ticket)
    guarded.attempt(f"log ticket {ticket.id} as an artifact", log, fatal=False)


def use_ticket(logger: Logger | None, ticket: Ticket) -> None:
    """Declare that this run uses a ticket: online as an artifact, and always by its id in config and summary."""
    guarded = _guarded(logger)
    if guarded is None or guarded.kind != "wandb":
        return
    _note_ticket(guarded, ticket)
    if not guarded.offline:
        guarded.attempt(
            f"declare ticket {ticket.id} as used",
            lambda: guarded.run.use_artifact(f"ticket-{ticket.id}:latest", type="ticket"),
            fatal=False,
        )


def log_rows(logger: Logger | None, rows: Sequence[Row]) -> None:
    """Log rows: on wandb one table "rows" and the mean of each (task, arm) in the summary; in csv as metrics."""
    guarded = _guarded(logger)
    if guarded is None or not rows:
        return
    if guarded.kind == "csv":
        for row in rows:
            guarded.log_metrics({_key(row): row.value}, step=row.seed)
        guarded.save()
        return

    def log() -> None:
        import wandb

        table = wandb.Table(columns=list(_COLUMNS), data=[_values(row) for row in rows])
        guarded.run.log({"rows": table})
        means: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            means[_key(row)].append(row.value)
        guarded.run.summary.update({key: fmean(values) for key, values in means.items()})

    guarded.attempt("log the rows", log, fatal=False)


def finish(logger: Logger | None, *, failed: bool = False) -> str | None:
    """End the run and say where it lies: a URL (wandb online), a folder, or None without a logger.

    `failed` marks the run as failed. Never raises.
    """
    guarded = _guarded(logger)
    if guarded is None:
        return None
    if guarded.kind == "csv":
        guarded.finalize("failed" if failed else "success")
        return str(guarded.log_dir)
    run = guarded.run
    where = _where(run, guarded.offline)
    guarded.failed = False  # the end is tried also after a failure, so that what was logged is on disk
    guarded.attempt("finish the run", lambda: run.finish(exit_code=1 if failed else 0))
    if guarded.failed:
        _let_go(1 if failed else 0)
    return where


def _let_go(exit_code: int) -> None:
    """Take wandb's exit hook off after its service has died: it would end a whole run with a traceback."""
    import wandb

    with suppress(Exception):
        wandb.teardown(exit_code=exit_code)


def _guarded(logger: Any) -> Any | None:
    """The logger if it is one of ours; other loggers of Lightning are left alone."""
    return logger if hasattr(logger, "attempt") and hasattr(logger, "kind") else None


def _note_ticket(guarded: Any, ticket: Ticket) -> None:
    def note() -> None:
        guarded.run.config.update({"ticket_id": ticket.id}, allow_val_change=True)
        guarded.run.summary["ticket_id"] = ticket.id

    guarded.attempt("note the ticket", note, fatal=False)


def _where(run: Any, offline: bool) -> str | None:
    try:
        url = None if offline else run.url
        return str(url or Path(run.dir).parent)
    except Exception:  # a run that broke may not know its own place
        return None


def _key(row: Row) -> str:
    shots = row.extra.get("shots")
    task = row.task if shots is None else f"{row.task}@{shots}"
    return f"{task}/{row.arm}/{row.metric}"


def _values(row: Row) -> list[Any]:
    known = {
        "shots": row.extra.get("shots"),
        "draw": row.extra.get("draw"),
        "seconds": row.total_seconds,
        "row": row.id,
    }
    return [known[name] if name in known else getattr(row, name) for name in _COLUMNS]
