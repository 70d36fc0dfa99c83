"""Functions as the targets of `ult transfer`: what a user types for them, what does not go with them, their table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ult_lightning.base import fault
from ult_lightning.base._text import aligned
from ult_lightning.cli.config import typed as settings

if TYPE_CHECKING:
    from ult_lightning.cli.config.reader import Reader
    from ult_lightning.data import FunctionSpec, TaskSpec
    from ult_lightning.results import Row
    from ult_lightning.tickets import Ticket


def function_specs(reader: Reader) -> tuple[FunctionSpec, ...]:
    """The function tasks among the targets, all of them or none.

    Raises UltError for a mixture with image tasks, and for what `FunctionSpec.parse` refuses.
    """
    from ult_lightning.data import FUNCTIONS, FunctionSpec

    items = reader.items("targets")
    names = [
        str(item.get("name")) if isinstance(item, Mapping) else str(item).strip().partition(":")[0] for item in items
    ]
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

    name = reader.get("head.name", str)
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
    points = "say head.options.points=6000"
    unused: list[tuple[str, object, str]] = [("shots", None if tuple(shots) == (None,) else list(shots), points)]
    unused += [("save", None if save is None else str(save), "heads of images can be kept")]
    for key, value, mend in [*unused, *((key, value, points) for key, value in limits.items())]:
        if value is not None:
            raise fault(key, value, "null, since the targets are functions", mend)


def check_fit(ticket: Ticket, functions: Sequence[FunctionSpec], images: Sequence[TaskSpec]) -> None:
    """Raise UltError where the ticket takes images and the targets are functions, or the other way round."""
    shape = tuple(ticket.spec.input.shape)
    if functions and shape[:2] != (1, 1):
        wanted = "a ticket over numbers, with an input of shape (1, 1, d), since the targets are functions"
        raise fault("ticket", f"{ticket.id} with an input of shape {shape}", wanted)
    if images and shape[:2] == (1, 1):
        count = f"{shape[2]} number{'s' * (shape[2] > 1)}"
        wanted = f"functions such as polynomials, since ticket {ticket.id} takes {count} and no images"
        raise fault("targets", [spec.id for spec in images], wanted)


def rows_table(rows: Sequence[Row], reused: Collection[str] = ()) -> list[str]:
    """One line per target: its worst function's errors, the proven bound, sizes, seconds.

    `rows` come in pairs, sup error first; those whose id is among `reused` are marked as taken from the store.
    """
    heads = ["target", "", "sup error", "RMS error", "certified", "functions", "points", "features", "seconds", ""]
    cells = [heads]
    for sup, rms in zip(rows[::2], rows[1::2], strict=True):
        extra, bound = sup.extra, sup.extra["certified_bound"]
        spent = sup.seconds["total"] - sup.seconds.get("search", 0.0)
        line = [sup.task, "outside the family" if extra["outside"] else "", f"{sup.value:.2e}", f"{rms.value:.2e}"]
        line += ["-" if bound is None else f"{bound:.2e}", str(len(extra["functions"])), f"{sup.n:,}"]
        cells.append([*line, f"{extra['dim']:,}", f"{spent:.2f}", "(stored)" if sup.id in reused else ""])
    notes = ["  Errors are those of the worst function, over points that the head never saw."]
    if any(row.extra["certified_bound"] is None for row in rows):
        notes.append("  -: no proof for all functions of this target.")
    return [*aligned(cells, left={0, 1, len(heads) - 1}), *notes]
