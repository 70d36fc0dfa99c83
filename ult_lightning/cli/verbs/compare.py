"""`ult compare`: arms x targets x seeds in, rows, a table and a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from ult_lightning.cli.config import typed as settings
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console.job import Place, run_job
from ult_lightning.cli.console.outputs import check_folder
from ult_lightning.cli.console.tables import shown, typed

if TYPE_CHECKING:
    from ult_lightning.compare import CompareSettings
    from ult_lightning.results import Row


@dataclass(frozen=True)
class CompareJob:
    """Everything that `ult compare` was told."""

    grid: CompareSettings
    machine: settings.Machine
    trainer: dict[str, Any]
    logging: settings.Logging
    out: Path | None


def job(cfg: DictConfig) -> float | None:
    """What Hydra calls."""
    return run_job(run, "compare", cfg)


def read(cfg: DictConfig, typed: Sequence[str] = ()) -> CompareJob:
    """The typed settings of a composed config; raises UltError for whatever is wrong in it.

    `typed`: the overrides of the command line.
    """
    from ult_lightning.base import read_options
    from ult_lightning.compare.arms import ARMS

    reader = Reader(cfg, typed)
    trainer = settings.trainer_machine(reader)
    settings.refuse_wrong_words(reader)
    settings.refuse_misspelt_tasks(reader, "sources", "targets")
    for arm in (*reader.listed("arms", str), *reader.mapping("arm")):
        read_options(ARMS.get(arm).options, reader.mapping("arm").get(arm), key=f"arm.{arm}")
    from ult_lightning.compare import CompareSettings, DenseSettings
    from ult_lightning.heads import HEADS

    seeds = reader.listed("seeds", int)
    settings.at_least_one("seeds", seeds)
    machine = settings.machine(reader)
    search = settings.search_settings(reader, seed=seeds[0], device=machine.device)
    limits = settings.limits(reader)
    head, options = settings.head_settings(reader, HEADS)
    dense = reader.mapping("dense")
    grid = CompareSettings(
        sources=settings.task_specs(reader, "sources", limits),
        targets=settings.task_specs(reader, "targets", limits),
        arms=reader.listed("arms", str),
        seeds=seeds,
        mother=settings.mother_spec(reader, seed=seeds[0], density=search.density),
        search=search,
        head=head,
        head_options=options,
        dense=read_options(DenseSettings, {**dense, "lrs": reader.listed("dense.lrs", float)}, key="dense"),
        arm_options=reader.mapping("arm"),
    )
    args = CompareJob(grid, machine, trainer, settings.logging(reader), reader.optional("out", Path))
    reader.refuse_unread("compare")
    settings.refuse_idle_epochs(search, reader, typed)
    return args


def run(cfg: DictConfig, place: Place) -> float | None:
    """Run the grid, print and write its table."""
    args = read(cfg, place.overrides)
    folder = args.out if args.out is not None else place.folder
    check_folder("out", folder)
    check_folder("store", args.machine.store)
    place.claim(args.out)
    args.machine.start()
    from ult_lightning.compare import run_grid
    from ult_lightning.report import table, write_report
    from ult_lightning.tracking import log_rows

    machine = args.machine
    config = settings.logged_config(cfg, precision=args.grid.search.precision, device=machine.device)
    targets = "+".join(spec.id for spec in args.grid.targets)
    with args.logging.running(place.folder, f"compare {args.grid.mother.net} {targets}", config) as logged:
        rows = run_grid(
            args.grid,
            store=machine.store,
            data_dir=machine.data_dir,
            cache_dir=machine.cache_dir,
            download=machine.download,
            device=machine.device,
            trainer=args.trainer,
            force=machine.force,
            progress=args.trainer.get("enable_progress_bar", True) is not False,
        )
        log_rows(logged.logger, rows)
    summary = table(rows, command=place.command("compare"))
    paths = write_report(summary, folder)
    print()
    print(summary.text())
    print(end_screen(rows, paths, machine=machine, where=logged.where))
    return None


def end_screen(rows: Sequence[Row], paths: dict[str, Path], *, machine: settings.Machine, where: str | None) -> str:
    """Where the table, the figure, the tickets and the log lie, and what to try next."""
    from ult_lightning.tickets import TicketStore

    store = machine.store
    places = {
        "Table": ", ".join(shown(paths[f"table.{kind}"]) for kind in ("md", "csv", "tex")),
        "Figure": shown(paths["figure.png"]),
        "Page": shown(paths["report.html"]),
        "Rows": shown(store / "rows"),
    }
    tickets = [row.ticket for row in rows if row.ticket is not None and row.arm == "universal"]
    tickets = list(dict.fromkeys(tickets or [row.ticket for row in rows if row.ticket is not None]))
    if tickets:
        path = shown(TicketStore(store).path(tickets[0]))
        places["Ticket"] = path + (f" and {len(tickets) - 1} more" if len(tickets) > 1 else "")
    if where is not None:
        places["Log"] = shown(where)
    lines = [f"{name:<12}{text}" for name, text in places.items()]
    lines.append("Next:")
    if tickets:
        folders = machine.words("store", "data_dir", "cache_dir")
        lines.append("  " + typed("ticket show", path))
        lines.append("  " + typed("transfer", f"ticket={path}", "targets=[digits:parity]", *folders))
    lines.append("  " + typed("rows", f"store={shown(store)}"))
    return "\n".join(lines)
