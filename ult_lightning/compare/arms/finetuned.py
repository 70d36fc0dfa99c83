"""The universal ticket's kept weights, trained end to end on the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.compare.arms._arm import TRAINED, Arm, Outcome, unseen
from ult_lightning.results import ArmLook

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell


def _finetuned(cell: Cell) -> Outcome:
    from ult_lightning.compare import _train as train

    ticket = cell.ticket(cell.unseen_sources)
    pilot = train.validated_rate(cell, masked=True)
    run = train.train_end_to_end(cell, pilot.rate, cell.steps, augment=cell.search.augment, ticket=ticket)
    return train.trained_outcome(cell, pilot, run, trained="kept weights + head", ticket=ticket)


FINETUNED = Arm(
    name="finetuned",
    look=ArmLook("the universal mask, its weights then trained", "#D55E00", "#F0803C", "^", trains=True),
    run=_finetuned,
    needs=TRAINED | {"search"},
    sources=unseen,
)
