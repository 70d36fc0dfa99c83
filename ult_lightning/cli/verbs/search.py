"""`ult search`: source tasks in, a ticket file out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from ult_lightning.base import write_bytes
from ult_lightning.cli.config import typed as settings
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console.job import Place, run_job
from ult_lightning.cli.console.outputs import check_file, check_folder
from ult_lightning.cli.console.tables import shown, typed

if TYPE_CHECKING:
    from ult_lightning.data import TaskSpec
    from ult_lightning.search import SearchSettings
    from ult_lightning.tickets import MotherSpec, Ticket


@dataclass(frozen=True)
class SearchJob:
    """The typed settings of `ult search`."""

    sources: tuple[TaskSpec, ...]
    spec: MotherSpec
    search: SearchSettings
    machine: settings.Machine
    trainer: Mapping[str, Any]
    callbacks: Sequence[Any]
    logging: settings.Logging
    out: Path | None
    seed: int


def job(cfg: DictConfig) -> float | None:
    """What Hydra calls."""
    return run_job(run, "search", cfg)


def read(cfg: DictConfig, typed: Sequence[str] = ()) -> SearchJob:
    """The typed settings of a composed config; raises UltError for whatever is wrong in it.

    `typed`: the overrides of the command line.
    """
    reader = Reader(cfg, typed)
    trainer = settings.trainer_machine(reader)
    settings.refuse_wrong_words(reader)
    settings.refuse_misspelt_tasks(reader, "sources")
    machine = settings.machine(reader)
    seed = reader.get("seed", int)
    search = settings.search_settings(reader, seed=seed, device=machine.device)
    args = SearchJob(
        sources=settings.task_specs(reader, "sources", settings.limits(reader)),
        spec=settings.mother_spec(reader, seed=seed, density=search.density),
        search=search,
        machine=machine,
        trainer=trainer,
        callbacks=settings.callbacks(reader),
        logging=settings.logging(reader),
        out=reader.optional("out", Path),
        seed=seed,
    )
    reader.refuse_unread("search")
    settings.at_least_one("sources", [spec.id for spec in args.sources])
    settings.refuse_idle_epochs(search, reader, typed)
    return args


def run(cfg: DictConfig, place: Place) -> float | None:
    """Search (or reuse) one ticket; returns the mean validation accuracy over the sources."""
    args = read(cfg, place.overrides)
    check_file("out", args.out)
    check_folder("store", args.machine.store)
    place.claim(args.out)
    args.machine.start()
    from ult_lightning.search import search_once
    from ult_lightning.tickets import TicketStore
    from ult_lightning.tracking import log_ticket

    tasks = args.machine.load(args.sources, seed=args.seed)
    store = TicketStore(args.machine.store)
    config = settings.logged_config(cfg, precision=args.search.precision, device=args.machine.device)
    with args.logging.running(place.folder, _name(args), config) as logged:
        ticket, reused = search_once(
            store,
            tasks,
            args.spec,
            args.search,
            force=args.machine.force,
            device=args.machine.device,
            trainer=args.trainer,
            callbacks=args.callbacks,
            logger=logged.logger,
        )
        path = store.path(ticket.id)
        log_ticket(logged.logger, ticket, path)
    if args.out is not None:
        write_bytes(args.out, path.read_bytes())
        path = args.out
    print(end_screen(args, ticket, path, reused=reused, where=logged.where))
    accuracies = _accuracies(ticket)
    return fmean(accuracies.values()) if accuracies else None


def end_screen(args: SearchJob, ticket: Ticket, path: Path, *, reused: bool, where: str | None) -> str:
    """What the last lines of a search say: the ticket, its file, densities, accuracies, and what to type next."""
    sources, size = [spec.id for spec in args.sources], path.stat().st_size
    seconds = ticket.provenance.get("seconds")
    spent = f" in {seconds:.1f} s" if isinstance(seconds, int | float) and not reused else ""
    did = "Found in the store, nothing to do (force=true searches again)" if reused else f"Searched{spent}"
    kept, total = ticket.mask.kept, ticket.mask.total
    lines = [
        "",
        f"{did}: one mask for {', '.join(sources)} over {ticket.spec.net}, seed {ticket.spec.seed}.",
        f"  ticket      {ticket.id}",
        f"  file        {path} ({size:,} bytes, {8 * size / total:.2f} bits per parameter)",
        f"  density     {ticket.density:.4f} ({kept:,} of {total:,} parameters kept)",
        *_densities(ticket.densities),
        *_validation(ticket),
    ]
    if where is not None:
        lines.append(f"  log         {shown(where)}")
    target = "digits" if not any(s.startswith("digits") for s in sources) else "mnist5k"
    folders = args.machine.words("store", "data_dir", "cache_dir")
    command = typed("transfer", f"ticket={path}", f"targets=[{target}]", *folders)
    return "\n".join([*lines, "Next:", f"  {command}"])


def _densities(densities: Mapping[str, float]) -> list[str]:
    width = max(len(name) for name in densities)
    return [f"    {name.ljust(width)}  {density:.4f}" for name, density in densities.items()]


def _validation(ticket: Ticket) -> list[str]:
    accuracies = _accuracies(ticket)
    which = {"best": "best by validation", "last": "last"}.get(str(ticket.provenance.get("mask")), "")
    shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in accuracies.items())
    return [f"  validation  {shown}" + (f" (mask: {which})" if which else "")] if accuracies else []


def _accuracies(ticket: Ticket) -> dict[str, float]:
    accuracies: Any = ticket.provenance.get("validation")
    return {str(k): float(v) for k, v in accuracies.items()} if isinstance(accuracies, dict) else {}


def _name(args: SearchJob) -> str:
    sources = "+".join(spec.id for spec in args.sources)
    return f"search {args.spec.net} d{args.search.density:g} {sources} s{args.seed}"
