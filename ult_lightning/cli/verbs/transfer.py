"""`ult transfer`: a ticket and target tasks in, rows out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from ult_lightning.base import UltError, fault
from ult_lightning.base._text import aligned
from ult_lightning.cli.config import typed as settings
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console.job import Place, run_job
from ult_lightning.cli.console.outputs import check_file, check_folder, refuse_read
from ult_lightning.cli.console.tables import shown, typed
from ult_lightning.cli.verbs import _function_targets as functions

if TYPE_CHECKING:
    from ult_lightning.data import FunctionSpec, Task, TaskSpec
    from ult_lightning.nets import FrozenNetwork
    from ult_lightning.results import Row
    from ult_lightning.tickets import Ticket
    from ult_lightning.transfer import TransferResult


@dataclass(frozen=True)
class TransferJob:
    """Everything that `ult transfer` was told: image `targets` or `functions`.

    `shots` is (None,) for the whole training part; `seed` None for that of the ticket.
    """

    ticket: str
    targets: tuple[TaskSpec, ...]
    functions: tuple[FunctionSpec, ...]
    head: str
    options: dict[str, Any]
    shots: tuple[int | None, ...]
    draws: int
    seed: int | None
    precision: str
    machine: settings.Machine
    logging: settings.Logging
    save: Path | None

    def points(self) -> Iterator[tuple[int | None, int]]:
        """(shots, draw) of every row of one target."""
        for shots in self.shots:
            for draw in range(1 if shots is None else self.draws):
                yield shots, draw


def job(cfg: DictConfig) -> float | None:
    """What Hydra calls."""
    return run_job(run, "transfer", cfg)


def read(cfg: DictConfig) -> TransferJob:
    """The typed settings of a composed config; raises UltError for whatever is wrong in it."""
    from ult_lightning.search import resolve_precision

    reader = Reader(cfg)
    ticket = reader.word("ticket")
    limits = settings.limits(reader)
    machine = settings.machine(reader)
    asked = functions.function_specs(reader, machine.data_dir)
    targets = () if asked else settings.task_specs(reader, "targets", limits)
    head, options = functions.head_settings(reader, asked)
    precision = reader.word("precision")
    found = TransferJob(
        ticket=ticket,
        targets=targets,
        functions=asked,
        head=head,
        options=options,
        shots=_shots(reader),
        draws=reader.whole("draws"),
        seed=reader.optional_whole("seed"),
        precision="32" if asked and precision == "auto" else resolve_precision(precision, machine.device),
        machine=machine,
        logging=settings.logging(reader),
        save=reader.optional_path("save"),
    )
    reader.refuse_unread("transfer")
    if found.draws < 1:
        raise fault("draws", found.draws, "a whole number, at least 1")
    if found.draws > 1 and found.shots == (None,):
        wanted = "1, since the targets are functions" if asked else "shots beside it, or 1"
        raise fault("draws", found.draws, wanted, "" if asked else "for example 'shots=[1,5,10]'")
    settings.at_least_one("targets", [spec.id for spec in asked or targets])
    if asked:
        functions.refuse_image_keys(precision=found.precision, shots=found.shots, save=found.save, **limits)
    return found


def run(cfg: DictConfig, place: Place) -> float | None:
    """One row per target, shots and draw (functions: two per target); returns their mean value (sup error)."""
    from ult_lightning.results import RowStore
    from ult_lightning.tickets import Ticket

    told = read(cfg)
    check_folder("store", told.machine.store)
    models = _Models(told, place) if told.save is not None else None
    file = find_ticket_file(told.ticket, told.machine.store)
    refuse_read("save", told.save, [file])
    told.machine.start()
    ticket = Ticket.load(file)
    seed = ticket.spec.seed if told.seed is None else told.seed
    functions.check_fit(ticket, told.functions, told.targets)
    store = RowStore(told.machine.store)
    tasks = told.machine.load(told.targets, seed=seed)
    most = max((shots for shots in told.shots if shots is not None), default=None)
    for task in tasks:
        if most is not None:
            task.few_shot(most, draw=0)  # enough images for all, before the first head is fitted
    network: Any = ticket.network()
    before = network.fingerprint()
    config = settings.told_config(cfg, precision=told.precision, device=told.machine.device, seed=seed)
    with told.logging.running(place.folder, f"transfer {ticket.id} {told.head} s{seed}", config) as mirror:
        mirror.use_ticket(ticket)
        stored = set() if told.machine.force else set(store.ids())
        rows = functions.rows(told, ticket, network, store, seed=seed) if told.functions else []
        for task in tasks:
            rows += [
                _row(told, ticket, network, task, shots, draw, seed, store, models) for shots, draw in told.points()
            ]
        mirror.log_rows(rows)
    after = network.fingerprint()
    if after != before:
        raise UltError(f"The ticket's network changed: fingerprint {before[:16]} before, {after[:16]} after.")
    table = functions.rows_table(rows, stored) if told.functions else rows_table(rows, stored)
    saved = models.written if models is not None else []
    print(end_screen(told, ticket, table, seed=seed, fingerprint=after, saved=saved, where=mirror.where))
    return fmean(row.value for row in rows if row.metric in ("accuracy", "sup_error"))


def find_ticket_file(name: str, store: Path) -> Path:
    """The file of that name, or else of the ticket of that id in the store; raises UltError where neither is there."""
    from ult_lightning.base import nearest
    from ult_lightning.tickets import TicketError, TicketStore

    path = Path(name).expanduser()
    if path.is_file():
        return path
    found = TicketStore(store)
    ids = found.ids()
    if name in ids:
        return found.path(name)
    beside = [file.name for file in path.parent.glob("*") if file.is_file()] if path.parent.is_dir() else []
    near = [str(path.parent / other) for other in nearest(path.name, beside)] + nearest(name, ids)
    mend = f"the nearest are {', '.join(near)}" if near else "`ult search` makes one"
    raise fault("ticket", name, f"a ticket file, or the id of a ticket in {store}", mend, error=TicketError)


def _row(
    told: TransferJob,
    ticket: Ticket,
    network: FrozenNetwork,
    task: Task,
    shots: int | None,
    draw: int,
    seed: int,
    store: Any,
    models: _Models | None,
) -> Row:
    from ult_lightning.transfer import transfer_row

    def keep(few: Task, result: TransferResult) -> None:
        assert models is not None
        models.save(ticket, few, result)

    return transfer_row(
        ticket,
        network,
        task,
        head=told.head,
        options=told.options,
        shots=shots,
        draw=draw,
        seed=seed,
        precision=told.precision,
        device=told.machine.device,
        store=store,
        force=told.machine.force,
        keep=keep if models is not None else None,
        notice=print,
    )


class _Models:
    """Writes ticket and head of each result as a TaskModel: into one file, or into a folder of them."""

    def __init__(self, told: TransferJob, place: Place) -> None:
        assert told.save is not None
        self.place = told.save
        self.written: list[Path] = []
        self._claim = place.claim
        self._single = bool(told.save.suffix) and not told.save.is_dir()
        rows = len(told.targets) * len(list(told.points()))
        if self._single and rows > 1:
            raise fault("save", str(told.save), f"a folder for {rows} models", "a name without a dot is a folder")
        if self._single:
            check_file("save", told.save)
            self._claim(told.save, key="save")
        else:
            check_folder("save", told.save)

    def save(self, ticket: Ticket, task: Task, result: TransferResult) -> None:
        """Write one TaskModel."""
        from ult_lightning.heads import TaskModel

        path = self.place if self._single else self.place / self._name(ticket, task)
        if not self._single:
            self._claim(path, key="save")
        TaskModel(ticket, result.fit.head.to("cpu"), task.describe()).save(path)
        self.written.append(path)

    @staticmethod
    def _name(ticket: Ticket, task: Task) -> str:
        words = "".join(c if c.isalnum() or c in "-+_" else "_" for c in task.id)
        few = "" if task.shots is None else f"-{task.shots}shot-draw{task.draw}"
        return f"{ticket.id}-{words}{few}-s{task.seed}.model"


def end_screen(
    told: TransferJob,
    ticket: Ticket,
    table: Sequence[str],
    *,
    seed: int,
    fingerprint: str,
    saved: Sequence[Path],
    where: str | None,
) -> str:
    """What the last lines of a transfer say: the rows, the proof that the ticket did not change, what is next."""
    lines = ["", f"Ticket {ticket.id}, head {told.head}, seed {seed}:", *table]
    lines.append(f"Frozen: the ticket's fingerprint is {fingerprint[:16]} before and after.")
    lines.append(f"Rows are in {shown(told.machine.store / 'rows')}.")
    if where is not None:
        lines.append(f"The log is in {shown(where)}.")
    if saved:
        first = shown(saved[0])
        lines += [f"Saved {len(saved)} model{'s' * (len(saved) > 1)}; use one in Python:",
                  f"  ult_lightning.TaskModel.load({first!r})(images)  # (b, c, h, w) -> logits (b, k)"]  # fmt: skip
    command = typed("report", f"store={shown(told.machine.store)}")
    return "\n".join([*lines, "Next:", f"  {command}"])


def rows_table(rows: Sequence[Row], reused: Collection[str] = ()) -> list[str]:
    """One line per row: the target and whether the search saw it, shots, accuracy, sizes, the choice, seconds.

    Rows whose id is among `reused` are marked as taken from the store.
    """
    few = any(row.extra.get("shots") is not None for row in rows)
    heads = [
        "target",
        "",
        *(["shots", "draw"] if few else []),
        "accuracy",
        "test",
        "train",
        "valid",
        "chosen",
        "seconds",
        "",
    ]
    cells = [heads]
    for row in rows:
        shown = [str(row.extra.get(name)) for name in ("shots", "draw")] if few else []
        spent = row.seconds.get("total", 0.0) - row.seconds.get("search", 0.0)
        seen = {True: "seen", False: "unseen", None: "-"}[row.seen]
        cells.append([row.task, seen, *shown, f"{100 * row.value:.2f} %", f"{row.n:,}", f"{row.n_train:,}",
                      f"{row.n_valid:,}", _chosen(row.extra.get("hyper")), f"{spent:.2f}",
                      "(stored)" if row.id in reused else ""])  # fmt: skip
    return aligned(cells, left={0, 1, heads.index("chosen"), len(heads) - 1})


def _chosen(hyper: Any) -> str:
    """The hyper-parameter that validation chose: the first that is a number."""
    for name, value in hyper.items() if isinstance(hyper, dict) else ():
        if isinstance(value, float):
            return f"{name} {value:.3g}"
    return ""


def _shots(reader: Reader) -> tuple[int | None, ...]:
    found = reader.wholes("shots")
    if any(shots < 1 for shots in found):
        raise fault("shots", list(found), "numbers of images per class, at least 1", "for example 'shots=[1,5,10]'")
    if len(set(found)) < len(found):
        raise fault("shots", list(found), "each number once")
    return found or (None,)
