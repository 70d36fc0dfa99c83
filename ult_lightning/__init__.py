"""Universal lottery tickets: prune one random network once, serve many tasks with a linear head each.

The names below are imported when they are asked for, so that `import ult_lightning` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.base import UltError, provide

if TYPE_CHECKING:
    from ult_lightning.data import Task as Task
    from ult_lightning.data import TaskSpec as TaskSpec
    from ult_lightning.data import load_task as load_task
    from ult_lightning.heads import TaskModel as TaskModel
    from ult_lightning.heads import transfer as transfer
    from ult_lightning.results import Row as Row
    from ult_lightning.search import SearchSettings as SearchSettings
    from ult_lightning.search import find_ticket as find_ticket
    from ult_lightning.tickets import Mask as Mask
    from ult_lightning.tickets import MotherSpec as MotherSpec
    from ult_lightning.tickets import Ticket as Ticket
    from ult_lightning.tickets import TicketError as TicketError

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
    "find_ticket": "search",
    "load_task": "data",
    "transfer": "heads",
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
    "UltError",
    "__version__",
    "find_ticket",
    "load_task",
    "transfer",
]

provide("network_builder", "ult_lightning.nets:build_frozen")
provide("mother_fingerprint", "ult_lightning.nets:mother_fingerprint")
provide("mother_weights", "ult_lightning.nets:mother_weights")


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


def _version() -> str:
    """The installed version, or "0+checkout" where the package is used without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ult_lightning")
    except PackageNotFoundError:
        return "0+checkout"
