"""Lightning's loggers, made unable to lose a result: whatever fails in them becomes one warning."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lightning_fabric.loggers.logger import _DummyExperiment
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from ult_lightning.tracking._warn import warn

T = TypeVar("T")


class _Guarded:
    """`attempt` runs one action of a logger; the first that fails is told, and later ones are skipped."""

    kind = "logger"
    failed = False

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

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        log = super().log_metrics
        self.attempt("log metrics", lambda: log(metrics, step))

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        log = super().log_hyperparams
        self.attempt("log the configuration", lambda: log(params))

    def watch(self, *args: Any, **kwargs: Any) -> None:
        act = super().watch
        self.attempt("watch the model", lambda: act(*args, **kwargs), fatal=False)

    def log_table(self, *args: Any, **kwargs: Any) -> None:
        act = super().log_table
        self.attempt("log a table", lambda: act(*args, **kwargs), fatal=False)

    def log_image(self, *args: Any, **kwargs: Any) -> None:
        act = super().log_image
        self.attempt("log an image", lambda: act(*args, **kwargs), fatal=False)

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        act = super().after_save_checkpoint
        self.attempt("note a checkpoint", lambda: act(checkpoint_callback))

    def save(self) -> None:
        act = super().save
        self.attempt("save", act)

    def finalize(self, status: str) -> None:
        act = super().finalize
        self.attempt("finalize", lambda: act(status))


class GuardedCSVLogger(_Guarded, CSVLogger):
    """A CSVLogger that a full disk does not turn into a lost run."""

    kind = "csv"

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        log = super().log_metrics
        self.attempt("log metrics", lambda: log(metrics, step))

    def log_hyperparams(self, params: Any = None) -> None:
        log = super().log_hyperparams
        self.attempt("log the configuration", lambda: log(params))

    def save(self) -> None:
        act = super().save
        self.attempt("save", act)

    def finalize(self, status: str) -> None:
        act = super().finalize
        self.attempt("finalize", lambda: act(status))
