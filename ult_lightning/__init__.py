"""Universal lottery tickets: prune one random network once, serve many tasks with a linear head each.

The names below are imported when they are asked for, so that `import ult_lightning` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.base import UltError, lazily, provide

if TYPE_CHECKING:
    from ult_lightning.data import Task as Task
    from ult_lightning.data import TaskSpec as TaskSpec
    from ult_lightning.data import load_task as load_task
    from ult_lightning.heads import TaskModel as TaskModel
    from ult_lightning.results import Row as Row
    from ult_lightning.search import SearchSettings as SearchSettings
    from ult_lightning.search import find_ticket as find_ticket
    from ult_lightning.tickets import Mask as Mask
    from ult_lightning.tickets import MotherSpec as MotherSpec
    from ult_lightning.tickets import Ticket as Ticket
    from ult_lightning.tickets import TicketError as TicketError
    from ult_lightning.transfer import TicketModule as TicketModule

    __version__: str

_ROOMS = {
    "Mask": "tickets",
    "MotherSpec": "tickets",
    "Row": "results",
    "SearchSettings": "search",
    "Task": "data",
    "TaskModel": "heads",
    "TaskSpec": "data",
    "Ticket": "tickets",
    "TicketError": "tickets",
    "TicketModule": "transfer",
    "find_ticket": "search",
    "load_task": "data",
}

__all__ = [
    "Mask",
    "MotherSpec",
    "Row",
    "SearchSettings",
    "Task",
    "TaskModel",
    "TaskSpec",
    "Ticket",
    "TicketError",
    "TicketModule",
    "UltError",
    "__version__",
    "find_ticket",
    "load_task",
]

provide("arm_looks", "ult_lightning.compare.arms:looks")
provide("head_bound", "ult_lightning.construct:head_bound")
provide("network_builder", "ult_lightning.nets:build_frozen")
provide("mother_fingerprint", "ult_lightning.nets:mother_fingerprint")
provide("mother_weights", "ult_lightning.nets:mother_weights")


_lazily = lazily(__name__, _ROOMS)


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    return _lazily(name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


def _version() -> str:
    """The installed version, or "0+checkout" where the package is used without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ult_lightning")
    except PackageNotFoundError:
        return "0+checkout"
