"""`ult transfer`: a ticket and target tasks in, rows out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
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
    from ult_lightning.results import Row
    from ult_lightning.tickets import Ticket
    from ult_lightning.transfer import TransferResult


@dataclass(frozen=True)
class TransferJob:
    """Everything that `ult transfer` was told: image `targets` or `functions`.

    `shots` is (None,) for the whole training part; `seed` None for that of the ticket.
    """

    ticket: Path
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

    def points(self) -> list[tuple[int | None, int]]:
        """(shots, draw) of every row of one target."""
        return [(shots, draw) for shots in self.shots for draw in range(1 if shots is None else self.draws)]


def job(cfg: DictConfig) -> float | None:
    """What Hydra calls."""
    return run_job(run, "transfer", cfg)


def read(cfg: DictConfig) -> TransferJob:
    """The typed settings of a composed config; raises UltError for whatever is wrong in it."""
    reader = Reader(cfg)
    ticket = find_ticket_file(reader.get("ticket", str), reader.get("store", Path))
    settings.refuse_misspelt_tasks(reader, "targets", functions=True)
    from ult_lightning.search import resolve_precision

    limits = settings.limits(reader)
    machine = settings.machine(reader)
    specs = functions.function_specs(reader)
    targets = () if specs else settings.task_specs(reader, "targets", limits)
    head, options = functions.head_settings(reader, specs)
    precision = reader.get("precision", str)
    shots = reader.listed("shots", int)
    if any(count < 1 for count in shots):
        raise fault("shots", list(shots), "numbers of images per class, at least 1", "for example 'shots=[1,5,10]'")
    if len(set(shots)) < len(shots):
        raise fault("shots", list(shots), "each number once")
    args = TransferJob(
        ticket=ticket,
        targets=targets,
        functions=specs,
        head=head,
        options=options,
        shots=shots or (None,),
        draws=reader.get("draws", int),
        seed=reader.optional("seed", int),
        precision="32" if specs and precision == "auto" else resolve_precision(precision, machine.device),
        machine=machine,
        logging=settings.logging(reader),
        save=reader.optional("save", Path),
    )
    reader.refuse_unread("transfer")
    if args.draws < 1:
        raise fault("draws", args.draws, "a whole number, at least 1")
    if args.draws > 1 and args.shots == (None,):
        wanted = "1, since the targets are functions" if specs else "shots beside it, or 1"
        raise fault("draws", args.draws, wanted, "" if specs else "for example 'shots=[1,5,10]'")
    settings.at_least_one("targets", [spec.id for spec in specs or targets])
    if specs:
        functions.refuse_image_keys(precision=args.precision, shots=args.shots, save=args.save, **limits)
    return args


def run(cfg: DictConfig, place: Place) -> float | None:
    """One row per target, shots and draw (functions: two per target); returns their mean value (sup error)."""
    args = read(cfg)
    from ult_lightning.data import load_functions
    from ult_lightning.results import RowStore
    from ult_lightning.tickets import Ticket
    from ult_lightning.tracking import log_rows, use_ticket
    from ult_lightning.transfer import function_rows, transfer_row

    machine = args.machine
    check_folder("store", machine.store)
    models = _Models(args, place) if args.save is not None else None
    refuse_read("save", args.save, [args.ticket])
    machine.start()
    ticket = Ticket.load(args.ticket)
    seed = ticket.spec.seed if args.seed is None else args.seed
    functions.check_fit(ticket, args.functions, args.targets)
    store = RowStore(machine.store)
    tasks = machine.load(args.targets, seed=seed)
    most = max((shots for shots in args.shots if shots is not None), default=None)
    for task in tasks:
        if most is not None:
            task.few_shot(most, draw=0)  # enough images for all, before the first head is fitted
    network: Any = ticket.network()
    before = network.fingerprint()
    config = settings.logged_config(cfg, precision=args.precision, device=machine.device, seed=seed)
    shared: dict[str, Any] = {
        "head": args.head,
        "options": args.options,
        "device": machine.device,
        "store": store,
        "force": machine.force,
        "notice": print,
    }
    rows: list[Row] = []
    with args.logging.running(place.folder, f"transfer {ticket.id} {args.head} s{seed}", config) as logged:
        use_ticket(logged.logger, ticket)
        stored = set() if machine.force else set(store.ids())
        for spec in args.functions:
            family = load_functions(spec, inputs=ticket.spec.input.shape[2], seed=seed)
            rows += function_rows(ticket, network, family, **shared)
        keep = partial(models.save, ticket) if models is not None else None
        for task, (shots, draw) in product(tasks, args.points()):
            point: dict[str, Any] = {"shots": shots, "draw": draw, "seed": seed, "precision": args.precision}
            rows.append(transfer_row(ticket, network, task, keep=keep, **point, **shared))
        log_rows(logged.logger, rows)
    after = network.fingerprint()
    if after != before:
        raise UltError(f"The ticket's network changed: fingerprint {before[:16]} before, {after[:16]} after.")
    lines = [
        "",
        f"Ticket {ticket.id}, head {args.head}, seed {seed}:",
        *(functions.rows_table(rows, stored) if args.functions else rows_table(rows, stored)),
        f"Frozen: the ticket's fingerprint is {after[:16]} before and after.",
        f"Rows are in {shown(machine.store / 'rows')}.",
    ]
    if logged.where is not None:
        lines.append(f"The log is in {shown(logged.where)}.")
    if models is not None and models.written:
        count, first = len(models.written), shown(models.written[0])
        lines.append(f"Saved {count} model{'s' * (count > 1)}; use one in Python:")
        lines.append(f"  ult_lightning.TaskModel.load({first!r})(images)  # (b, c, h, w) -> logits (b, k)")
    print("\n".join([*lines, "Next:", f"  {typed('report', f'store={shown(machine.store)}')}"]))
    return fmean(row.value for row in rows if row.metric in ("accuracy", "sup_error"))


def find_ticket_file(name: str, store: Path) -> Path:
    """The file of that name, or else of the ticket of that id in the store; raises UltError where neither is there."""
    from ult_lightning.base import nearest
    from ult_lightning.tickets import TicketError, TicketStore

    path = Path(name).expanduser()
    if path.is_file():
        return path
    tickets = TicketStore(store)
    ids = tickets.ids()
    if name in ids:
        return tickets.path(name)
    beside = [file.name for file in path.parent.glob("*") if file.is_file()] if path.parent.is_dir() else []
    near = [str(path.parent / other) for other in nearest(path.name, beside)] + nearest(name, ids)
    mend = f"the nearest are {', '.join(near)}" if near else "`ult search` makes one"
    raise fault("ticket", name, f"a ticket file, or the id of a ticket in {store}", mend, error=TicketError)


class _Models:
    """Writes ticket and head of each result as a TaskModel: into one file, or into a folder of them."""

    def __init__(self, args: TransferJob, place: Place) -> None:
        assert args.save is not None
        self.place = args.save
        self.written: list[Path] = []
        self._claim = place.claim
        self._single = bool(args.save.suffix) and not args.save.is_dir()
        rows = len(args.targets) * len(args.points())
        if self._single and rows > 1:
            raise fault("save", str(args.save), f"a folder for {rows} models", "a name without a dot is a folder")
        if self._single:
            check_file("save", args.save)
            self._claim(args.save, key="save")
        else:
            check_folder("save", args.save)

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


def rows_table(rows: Sequence[Row], reused: Collection[str] = ()) -> list[str]:
    """One line per row: the target and whether the search saw it, shots, accuracy, sizes, the choice, seconds.

    Rows whose id is among `reused` are marked as taken from the store.
    """
    few = ["shots", "draw"] if any(row.extra.get("shots") is not None for row in rows) else []
    heads = ["target", "", *few, "accuracy", "test", "train", "valid", "chosen", "seconds", ""]
    cells = [heads]
    for row in rows:
        spent = row.seconds.get("total", 0.0) - row.seconds.get("search", 0.0)
        sizes = [f"{count:,}" for count in (row.n, row.n_train, row.n_valid)]
        line = [row.task, {True: "seen", False: "unseen", None: "-"}[row.seen], *(str(row.extra.get(k)) for k in few)]
        line += [f"{100 * row.value:.2f} %", *sizes, _chosen(row.extra.get("hyper")), f"{spent:.2f}"]
        cells.append([*line, "(stored)" if row.id in reused else ""])
    return aligned(cells, left={0, 1, heads.index("chosen"), len(heads) - 1})


def _chosen(hyper: Any) -> str:
    """The hyper-parameter that validation chose: the first that is a number."""
    for name, value in hyper.items() if isinstance(hyper, dict) else ():
        if isinstance(value, float):
            return f"{name} {value:.3g}"
    return ""
