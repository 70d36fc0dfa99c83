"""A ticket, frozen, with a head: searched on the sources, on the target, or on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.compare.arms._arm import SEARCHED, Arm, Outcome, unseen
from ult_lightning.results import ArmLook

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell


def _joint(cell: Cell) -> Outcome:
    from ult_lightning.compare._frozen_arm import with_ticket

    shaping = cell.all_sources
    for source in cell.sources:
        if source.id not in {s.id for s in shaping}:
            cell.machine.notice(
                f"joint on {cell.task.id}: the source {source.id} is left out, since its training images "
                "may be test images of the target."
            )
    return with_ticket(cell, shaping, seen=True)


def _specialist(cell: Cell) -> Outcome:
    from ult_lightning.compare._frozen_arm import with_ticket

    return with_ticket(cell, [cell.task], seen=True, own=True)


def _universal(cell: Cell) -> Outcome:
    from ult_lightning.compare._frozen_arm import with_ticket

    return with_ticket(cell, cell.unseen_sources, seen=False)


JOINT = Arm(
    name="joint",
    look=ArmLook("a ticket searched on all sources and the target", "#B87A00", "#E69F00", "v"),
    run=_joint,
    needs=SEARCHED,
    sources=lambda cell: cell.all_sources,
)

SPECIALIST = Arm(
    name="specialist",
    look=ArmLook("a ticket searched on the target itself", "#009E73", "#2BC196", "P"),
    run=_specialist,
    needs=SEARCHED,
    sources=lambda cell: [cell.task],
)

UNIVERSAL = Arm(
    name="universal",
    look=ArmLook("a ticket searched on the sources without the target", "#0072B2", "#5AA9EE", "o"),
    run=_universal,
    needs=SEARCHED,
    sources=unseen,
)
