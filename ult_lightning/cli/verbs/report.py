"""`ult report`: the rows of a store in, tables, a figure and a page out."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from ult_lightning.base import UltError, unknown, write_text
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console.job import Place, run_job
from ult_lightning.cli.console.outputs import check_folder

if TYPE_CHECKING:
    from ult_lightning.results import Row


def job(cfg: DictConfig) -> float | None:
    """What Hydra calls."""
    return run_job(run, "report", cfg)


def run(cfg: DictConfig, place: Place) -> float | None:
    """Write the report of the chosen rows and print its table."""
    reader = Reader(cfg)
    store, out = reader.get("store", Path), reader.get("out", Path)
    tasks, arms, seeds = reader.listed("tasks", str), reader.listed("arms", str), reader.listed("seeds", int)
    words = {"baseline": reader.get("baseline", str), "floor": reader.get("floor", str)}
    reader.get("traceback", bool)
    reader.listed("plugins", str)
    reader.refuse_unread("report")
    check_folder("out", out)
    place.claim(out)
    rows = chosen_rows(store, tasks=tasks, arms=arms, seeds=seeds)
    from ult_lightning.report import function_csv, function_text, split_rows, table, write_report

    functions, others = split_rows(rows)
    paths: list[Path] = []
    if others or not functions:
        summary = table(others, command=place.command("report"), **words)
        paths += write_report(summary, out).values()
        print(summary.text())
    if functions:
        paths.append(out / "functions.csv")
        write_text(paths[-1], function_csv(functions))
        print(*([""] if others else []), function_text(functions), sep="\n")
    print("Written:", ", ".join(str(path) for path in paths))
    return None


def chosen_rows(store: Path, *, tasks: Collection[str], arms: Collection[str], seeds: Collection[int]) -> list[Row]:
    """The rows of a store that pass the filters (an empty one lets all pass).

    Raises UltError for a store without rows and for a filter that names what no row has.
    """
    from ult_lightning.results import RowStore

    rows = RowStore(store).all()
    if not rows:
        raise UltError(f"store: got {str(store)!r}, which holds no rows; `ult compare` or `ult transfer` make them.")
    for key, wanted, there in (
        ("tasks", tasks, {row.task for row in rows}),
        ("arms", arms, {row.arm for row in rows}),
        ("seeds", seeds, {row.seed for row in rows}),
    ):
        for value in wanted:
            if value not in there:
                raise unknown(key, str(value), {str(known) for known in there})
    rows = [
        row
        for row in rows
        if (not tasks or row.task in tasks) and (not arms or row.arm in arms) and (not seeds or row.seed in seeds)
    ]
    if not rows:
        raise UltError(f"store: no row of {str(store)!r} passes all of the filters tasks, arms and seeds together.")
    return rows
