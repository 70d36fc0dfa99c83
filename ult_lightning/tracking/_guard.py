"""Lightning's loggers, made unable to lose a result: whatever fails in them becomes one warning."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from lightning_fabric.loggers.logger import _DummyExperiment
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from ult_lightning.tracking._loggers import warn

T = TypeVar("T")

_ACTIONS = {
    "log_metrics": "log metrics",
    "log_hyperparams": "log the configuration",
    "log_table": "log a table",
    "log_image": "log an image",
    "watch": "watch the model",
    "after_save_checkpoint": "note a checkpoint",
    "save": "save",
    "finalize": "finalize",
}
"""The methods of a logger that are guarded, in the words of their warning."""

_OPTIONAL = ("watch", "log_table", "log_image")
"""Those whose failure stops nothing else."""


class _Guarded:
    """`attempt` runs one action of a logger; the first that fails is logged, and later ones are skipped."""

    kind = "logger"
    failed = False

    def __init_subclass__(cls) -> None:
        for name in _ACTIONS:
            if hasattr(cls, name):
                setattr(cls, name, _attempted(cls, name))

    def attempt(self, what: str, act: Callable[[], T], *, fatal: bool = True) -> T | None:
        """What `act` returns, or None where it raised or an earlier fatal failure stopped this logger."""
        if self.failed:
            return None
        try:
            return act()
        except Exception as error:  # third-party code of any kind: no failure of it may reach a result
            self.failed = fatal
            after = "nothing more is logged there, " if fatal else ""
            warn(f"{self.kind}: could not {what}, {after}results are not touched", error)
            return None


def _attempted(logger: type, name: str) -> Any:
    """The method `name` of a class of loggers as one guarded action."""

    @wraps(getattr(logger, name))
    def guarded(self: Any, *args: Any, **named: Any) -> Any:
        method = getattr(super(logger, self), name)
        return self.attempt(_ACTIONS[name], lambda: method(*args, **named), fatal=name not in _OPTIONAL)

    return guarded


class GuardedWandbLogger(_Guarded, WandbLogger):
    """A WandbLogger around a run that is started already."""

    kind = "wandb"

    def __init__(self, run: Any, *, project: str, save_dir: Path, offline: bool) -> None:
        super().__init__(project=project, save_dir=save_dir, experiment=run)
        self.run = run
        self.offline = offline

    @property
    def experiment(self) -> Any:
        """The wandb run; after a failure an object that takes every call and does nothing."""
        return _DummyExperiment() if self.failed else self.run

    @property
    def version(self) -> str | None:
        return None if self.failed else str(self.run.id)


class GuardedCSVLogger(_Guarded, CSVLogger):
    """A CSVLogger that a full disk does not turn into a lost run."""

    kind = "csv"
