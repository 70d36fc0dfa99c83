"""Functions as the targets of `ult transfer`: what a user types for them, what does not go with them, their table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ult_lightning.base import fault, nearest, unknown
from ult_lightning.base._text import aligned
from ult_lightning.cli.config import typed as settings

if TYPE_CHECKING:
    from ult_lightning.cli.config.reader import Reader
    from ult_lightning.cli.verbs.transfer import TransferJob
    from ult_lightning.data import FunctionSpec, TaskSpec
    from ult_lightning.nets import FrozenNetwork
    from ult_lightning.results import Row, RowStore
    from ult_lightning.tickets import Ticket


def function_specs(reader: Reader, data_dir: Path) -> tuple[FunctionSpec, ...]:
    """The function tasks among the targets, all of them or none.

    Raises UltError for a mixture with image tasks, and for what `FunctionSpec.parse` refuses.
    """
    from ult_lightning.data import FUNCTIONS, TASKS, FunctionSpec

    items = reader.items("targets")
    names = [_name(item) for item in items]
    for item, name in zip(items, names, strict=True):
        known = name in FUNCTIONS or name in TASKS or not isinstance(item, str)
        if not known and nearest(name, FUNCTIONS) and not (data_dir / name).exists():
            raise unknown("task", name, [*FUNCTIONS.names(), *TASKS.names()])
    there = [name in FUNCTIONS for name in names]
    if not any(there):
        return ()
    if not all(there):
        mend = "functions and images need different tickets, so give two commands"
        raise fault("targets", list(items), "functions alone or image tasks alone", mend)
    return tuple(FunctionSpec.parse(item) for item in items)


def head_settings(reader: Reader, functions: Sequence[FunctionSpec]) -> tuple[str, dict[str, Any]]:
    """Name and options of the head; raises UltError for an unknown one and for one of the other kind of targets."""
    from ult_lightning.heads import FUNCTION_HEADS, HEADS

    name = reader.word("head.name")
    if functions and name in HEADS:
        known = " or ".join(FUNCTION_HEADS.names())
        raise fault("head", name, f"{known}, since the targets are functions", f"add head={known}")
    if not functions and name in FUNCTION_HEADS:
        wanted = f"one of {', '.join(HEADS.names())}, since the targets are images"
        raise fault("head", name, wanted, f"{name} fits functions, such as 'targets=[polynomials]'")
    return settings.head_settings(reader, FUNCTION_HEADS if functions else HEADS)


def refuse_image_keys(*, precision: str, shots: Sequence[int | None], save: Path | None, **limits: int | None) -> None:
    """Raise UltError where a key is set that functions have no use for."""
    if precision != "32":
        raise fault("precision", precision, "32 or auto", "functions need more digits than bfloat16 has")
    if tuple(shots) != (None,):
        raise fault("shots", list(shots), "null, since the targets are functions", "say head.options.points=6000")
    if save is not None:
        raise fault("save", str(save), "null, since the targets are functions", "heads of images can be kept")
    for key, value in limits.items():
        if value is not None:
            mend = "say head.options.points=6000"
            raise fault(key, value, "null, since the targets are functions", mend)


def check_fit(ticket: Ticket, functions: Sequence[FunctionSpec], images: Sequence[TaskSpec]) -> None:
    """Raise UltError where the ticket takes images and the targets are functions, or the other way round."""
    shape = tuple(ticket.spec.input.shape)
    if functions and shape[:2] != (1, 1):
        wanted = "a ticket over numbers, with an input of shape (1, 1, d), since the targets are functions"
        raise fault("ticket", f"{ticket.id} with an input of shape {shape}", wanted)
    if images and shape[:2] == (1, 1):
        wanted = f"functions such as polynomials, since ticket {ticket.id} takes {_numbers(shape[2])} and no images"
        raise fault("targets", [spec.id for spec in images], wanted)


def rows(told: TransferJob, ticket: Ticket, network: FrozenNetwork, store: RowStore, *, seed: int) -> list[Row]:
    """Two rows per target, the sup error before the RMS error."""
    from ult_lightning.data import load_functions
    from ult_lightning.transfer import function_rows

    inputs = ticket.spec.input.shape[2]
    found: list[Row] = []
    for spec in told.functions:
        task = load_functions(spec, inputs=inputs, seed=seed)
        found += function_rows(
            ticket,
            network,
            task,
            head=told.head,
            options=told.options,
            device=told.machine.device,
            store=store,
            force=told.machine.force,
            notice=print,
        )
    return found


def rows_table(rows: Sequence[Row], reused: Collection[str] = ()) -> list[str]:
    """One line per target: its worst function's errors, the proven bound, sizes, seconds.

    `rows` come in pairs, sup error first; those whose id is among `reused` are marked as taken from the store.
    """
    heads = ["target", "", "sup error", "RMS error", "certified", "functions", "points", "features", "seconds", ""]
    cells = [heads]
    for sup, rms in zip(rows[::2], rows[1::2], strict=True):
        bound = sup.extra["certified_bound"]
        spent = sup.seconds["total"] - sup.seconds.get("search", 0.0)
        cells.append([
            sup.task, "outside the family" if sup.extra["outside"] else "", f"{sup.value:.2e}", f"{rms.value:.2e}",
            "-" if bound is None else f"{bound:.2e}", str(len(sup.extra["functions"])), f"{sup.n:,}",
            f"{sup.extra['dim']:,}", f"{spent:.2f}", "(stored)" if sup.id in reused else "",
        ])  # fmt: skip
    notes = ["  Errors are those of the worst function, over points that the head never saw."]
    if any(row.extra["certified_bound"] is None for row in rows):
        notes.append("  -: no proof for all functions of this target.")
    return [*aligned(cells, left={0, 1, len(heads) - 1}), *notes]


def _name(item: object) -> str:
    if isinstance(item, Mapping):
        return str(item.get("name"))
    return str(item).strip().partition(":")[0]


def _numbers(count: int) -> str:
    return f"{count} number{'s' if count > 1 else ''}"
