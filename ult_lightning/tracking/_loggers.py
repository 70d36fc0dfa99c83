"""Loggers by name; one warning line for each that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ult_lightning.base import Registry

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

LOGGERS: Registry[Callable[..., Any]] = Registry("logger")
_LONGEST = 200


def make_logger(
    kind: str,
    *,
    run_dir: str | Path,
    name: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    offline: bool | None = None,
    project: str | None = None,
) -> Logger | None:
    """A Lightning logger that can lose no result: "wandb", "csv", or None for "none".

    `run_dir` is the run's own folder and `config` the resolved config as plain values. `offline=None` means
    offline where WANDB_MODE or wandb's settings say so or no key is there; without a key it is always offline.
    A logger that cannot start is None, with one warning line. Raises UltError for an unknown `kind`.
    """
    maker = LOGGERS.get(kind)
    made: Logger | None = maker(
        run_dir=Path(run_dir), name=name, group=group, tags=tuple(tags), config=config, offline=offline, project=project
    )
    return made


def warn(what: str, error: BaseException | None = None) -> None:
    """Log one warning line: what happened, and the first line of the error behind it."""
    if error is not None:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        what = f"{what} ({reason[:_LONGEST]})"
    logging.getLogger("ult_lightning.tracking").warning("%s", what)


@LOGGERS.register("wandb")
def _wandb(**settings: Any) -> Any | None:
    from ult_lightning.tracking._wandb import start

    return start(**settings)


@LOGGERS.register("csv")
def _csv(*, run_dir: Path, config: Mapping[str, Any] | None, **_unused: Any) -> Any | None:
    try:
        from ult_lightning.tracking._guard import GuardedCSVLogger

        logger = GuardedCSVLogger(run_dir, name="csv")
        if config:
            logger.log_hyperparams(dict(config))
        return logger
    except Exception as error:  # the results do not hang on the logger
        warn("csv: could not start, the run goes on without it", error)
        return None


@LOGGERS.register("none")
def _none(**_unused: Any) -> None:
    return None
