"""What an arm is, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ult_lightning.base import NoOptions, Options
from ult_lightning.results import ArmLook, flat, shown_sources, source_settings, task_settings

if TYPE_CHECKING:
    from ult_lightning.compare._bytes import Storage
    from ult_lightning.compare._cell import Cell
    from ult_lightning.data import Task

FROZEN = frozenset({"mother", "head", "precision"})
SEARCHED = FROZEN | {"search"}
TRAINED = frozenset({"mother", "dense"})


@dataclass(frozen=True)
class Outcome:
    """What an arm measured on its target's test split, and what that took.

    ``accuracy`` on the test split and ``valid_accuracy`` on the validation part are fractions. ``steps``: optimizer steps
    that the measured network took, its ticket's search among them; ``images``: training images drawn for all of it, pilots
    and other tries among them, each as often as it was. ``seconds`` by phase.
    """

    accuracy: float
    valid_accuracy: float
    trained: str
    parameters_trained: int
    steps: int
    images: int
    seconds: Mapping[str, float]
    storage: Storage
    ticket: str | None = None
    seen: bool | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One way to solve a task.

    ``run`` measures it on a cell; ``needs`` names the parts of a comparison that its number depends on, beside the task and
    the seed: "mother", "head", "precision", "search", "dense", "augmentation". ``sources`` gives the tasks whose images shape the network
    before the target's head is fitted, None if the target's own do. ``options`` is the dataclass of its own options.
    """

    name: str
    look: ArmLook
    run: Callable[[Cell], Outcome]
    needs: frozenset[str]
    sources: Callable[[Cell], list[Task]] | None = None
    options: type[Options] = NoOptions

    def settings(self, cell: Cell, *, full: bool = False) -> dict[str, Any]:
        """Everything that decides its number, flat: only what this arm depends on, and what is not at its default.

        ``full``: what readers are told, the defaults and the sources by name.
        """
        science, options = cell.task.science(), cell.options(self.name, self.options)
        settings = {
            "made_by": "compare",
            "arm": self.name,
            "metric": "accuracy",
            "seed": cell.seed,
            **task_settings(science),
            **flat("arm", options.to_dict() if full else options.given()),
        }
        sources = [] if self.sources is None else self.sources(cell)
        if full:
            settings |= shown_sources([(s.id, len(s.train)) for s in sources if s.science() != science])
        else:
            settings |= source_settings([s.science() for s in sources], science)
        for part in sorted(self.needs):
            settings |= cell.part(part, full=full)
        return settings


def unseen(cell: Cell) -> list[Task]:
    """The sources without the target."""
    return cell.unseen_sources
