"""Running the grid: every cell once, each finished row kept, so that an interrupted grid goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ult_lightning.base import UltError, without_repeats
from ult_lightning.compare._cell import Cell, Machine, Notice
from ult_lightning.compare._settings import CompareSettings
from ult_lightning.compare.arms import ARMS, Outcome, unseen
from ult_lightning.data import seen_by
from ult_lightning.results import Measurement, Row, RowStore, measure, row_id
from ult_lightning.tickets import TicketStore
from ult_lightning.transfer import chance


def run_grid(
    settings: CompareSettings,
    *,
    store: str | Path,
    data_dir: str | Path = "data",
    cache_dir: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    trainer: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: bool = False,
    notice: Notice = print,
) -> list[Row]:
    """The rows of the grid, in the order seeds, targets, arms; finished ones come from the store.

    ``progress``: whether a bar over all cells, with the time left, is shown on a terminal (elsewhere there is none).

    Everything that can be checked is checked before the first search. Raises ``UltError``, among others for an arm that
    needs unseen sources where every source is the target.
    """
    data = {"data_dir": data_dir, "cache_dir": cache_dir, "download": download, "notice": without_repeats(notice)}
    machine = Machine(TicketStore(store), data, device=device, trainer=dict(trainer or {}), notice=notice, force=force)
    row_store = RowStore(store)
    check_grid(settings, machine)
    count = len(settings.seeds) * len(settings.targets) * len(settings.arms)
    rows = []
    with _bar(count, shown=progress) as advance:
        for number, (cell, arm) in enumerate(_cells(settings, machine), 1):
            row, reused = run_cell(cell, arm, row_store)
            rows.append(row)
            note = "from the store" if reused else f"{row.seconds['total']:.0f} s"
            notice(f"[{number}/{count}] {row.task}, {arm}, seed {cell.seed}: {100 * row.value:.2f} % ({note})")
            advance()
    return rows


@contextmanager
def _bar(count: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """Gives what moves a bar of ``count`` cells on by one; without a terminal, nothing is drawn."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console()
    if not (shown and console.is_terminal):
        yield lambda: None
        return
    # the mean over all cells so far: those of one seed differ by a factor of a hundred
    columns = (SpinnerColumn(), *Progress.get_default_columns()[:3], TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, speed_estimate_period=1e9) as bar:
        task = bar.add_task("cells", total=count)
        yield lambda: bar.advance(task)


def _cells(settings: CompareSettings, machine: Machine) -> Iterator[tuple[Cell, str]]:
    """The grid, seed after seed; the tasks of a seed are let go when its last cell is done."""
    for seed in settings.seeds:
        for target in settings.targets:
            for arm in settings.arms:
                yield Cell(target, seed, settings, machine), arm
        machine.held.clear()


def check_grid(settings: CompareSettings, machine: Machine) -> None:
    """Loads every task, and raises ``UltError`` where an arm needs a source beside its target and there is none."""
    needing = [arm for arm in settings.arms if ARMS.get(arm).sources is unseen]
    for target in settings.targets:
        cell = Cell(target, settings.seeds[0], settings, machine)
        if needing and not cell.unseen_sources:
            given, arms = ", ".join(s.id for s in cell.sources), ", ".join(needing)
            raise UltError(
                f"sources: got [{given}], wanted at least one beside the target {cell.task.id}, which the "
                f"network of these arms must not have seen: {arms}; add a source, or drop them from arms."
            )


def run_cell(cell: Cell, name: str, rows: RowStore) -> tuple[Row, bool]:
    """The row of one arm on one cell, and whether it came from the store."""
    arm = ARMS.get(name)
    settings = arm.settings(cell)

    def make() -> Measurement:
        started = time.perf_counter()
        outcome = arm.run(cell)
        return _measurement(cell, outcome, time.perf_counter() - started)

    return measure(
        settings,
        make,
        task=cell.task.id,
        store=rows,
        force=cell.machine.forced(f"{name}/{row_id(settings)}"),
        device=cell.machine.device,
        shown=arm.settings(cell, full=True),
        notice=cell.machine.notice,
    )


def _measurement(cell: Cell, outcome: Outcome, total: float) -> Measurement:
    task, storage, seen = cell.task, outcome.storage, outcome.seen
    if outcome.ticket is not None and not seen:
        seen = seen_by(task.describe(), [s.describe() for s in cell.unseen_sources])
        if seen:
            raise UltError(f"The ticket {outcome.ticket} saw {task.id}, so it is no universal ticket for it.")
    return Measurement(
        value=outcome.accuracy,
        n=len(task.test),
        n_train=len(task.train),
        n_valid=len(task.valid),
        seconds={"total": total, **outcome.seconds},
        trained=outcome.trained,
        parameters_trained=outcome.parameters_trained,
        precision=cell.search.precision,
        ticket=outcome.ticket,
        seen=seen,
        bytes=storage.of(1),
        extra={
            **outcome.extra,
            "valid_accuracy": outcome.valid_accuracy,
            "steps": outcome.steps,
            "images": outcome.images,
            "chance": chance(task),
            "bytes_shared": storage.shared,
            "bytes_per_task": storage.per_task,
            "normalisation": {"mean": list(task.mean), "std": list(task.std)},
        },
    )
