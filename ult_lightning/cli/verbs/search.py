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
from ult_lightning.cli.console.tables import ticket_screen, typed

if TYPE_CHECKING:
    from ult_lightning.data import TaskSpec
    from ult_lightning.search import SearchSettings
    from ult_lightning.tickets import MotherSpec


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
    sources = "+".join(spec.id for spec in args.sources)
    name = f"search {args.spec.net} d{args.search.density:g} {sources} s{args.seed}"
    with args.logging.running(place.folder, name, config) as logged:
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
    validation: Any = ticket.provenance.get("validation")
    accuracies = {str(k): float(v) for k, v in validation.items()} if isinstance(validation, dict) else {}
    width = max(map(len, ticket.densities))
    entries = [("", f"{name.ljust(width)}  {density:.4f}") for name, density in ticket.densities.items()]
    if accuracies:
        which = {"best": "best by validation", "last": "last"}.get(str(ticket.provenance.get("mask")), "")
        words = ", ".join(f"{name} {100 * value:.2f} %" for name, value in accuracies.items())
        entries.append(("validation", words + (f" (mask: {which})" if which else "")))
    target = "mnist5k" if any(spec.id.startswith("digits") for spec in args.sources) else "digits"
    folders = args.machine.words("store", "data_dir", "cache_dir")
    screen = ticket_screen(
        ticket,
        path,
        entries,
        made="Searched",
        what=f"one mask for {', '.join(spec.id for spec in args.sources)} over {ticket.spec.net}",
        reused=reused,
        where=logged.where,
        following=typed("transfer", f"ticket={path}", f"targets=[{target}]", *folders),
    )
    print(screen)
    return fmean(accuracies.values()) if accuracies else None
