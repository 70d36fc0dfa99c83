"""What an arm is, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ult_lightning.base import NUMERICS, NoOptions, Options
from ult_lightning.results import ArmLook

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

    def settings(self, cell: Cell) -> dict[str, Any]:
        """Everything that decides its number, as JSON: only what this arm depends on."""
        config: dict[str, Any] = {
            "made_by": "compare",
            "numerics": NUMERICS,
            "arm": self.name,
            "seed": cell.seed,
            "task": cell.task.science(),
            "sources": None if self.sources is None else [s.science() for s in self.sources(cell)],
        }
        parts: dict[str, Callable[[], Any]] = {
            "mother": cell.mother.to_dict,
            "head": lambda: {"name": cell.settings.head, "options": dict(cell.settings.head_options)},
            "search": lambda: cell.search.with_steps(cell.steps).to_dict(),
            "dense": cell.training_config,
            "precision": lambda: cell.search.precision,
            "augmentation": lambda: cell.task.augmentation,
        }
        config |= {part: parts[part]() for part in sorted(self.needs)}
        given = cell.options(self.name, self.options).given()
        return {**config, "arm_options": given} if given else config


def unseen(cell: Cell) -> list[Task]:
    """The sources without the target."""
    return cell.unseen_sources
