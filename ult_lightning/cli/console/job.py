"""One job: a verb's body with its errors caught, its folder known and, in a sweep, its fate noted."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from ult_lightning.base import UltError, load_plugins
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console import sweep as _sweep
from ult_lightning.cli.console.exit import GOES_ON, JobBug, bug_sentence, one_line, say
from ult_lightning.cli.console.messages import sentence
from ult_lightning.cli.console.process import plain_warnings

Body = Callable[[DictConfig, "Place"], "float | None"]


@dataclass(frozen=True)
class Place:
    """Where a job runs: its folder, and the sweep it belongs to (None for a single run)."""

    folder: Path
    sweep: Path | None
    number: int
    overrides: tuple[str, ...]

    def command(self, verb: str) -> str:
        """The command line that runs this job alone."""
        return shlex.join(["ult", verb, *self.overrides])

    def claim(self, path: Path | None, key: str = "out") -> None:
        """Reserve a file this job will write; raises UltError if another job of the sweep writes it too."""
        if self.sweep is not None and path is not None:
            _sweep.claim(path, key=key, sweep=self.sweep, owner=f"{self.number} {' '.join(self.overrides)}")


def run_job(body: Body, verb: str, cfg: DictConfig) -> float | None:
    """Run a verb's body under Hydra.

    Never raises but for Ctrl-C and a broken pipe. The error of a single run (UltError, or JobBug with the traceback
    in the run's folder) is handed past Hydra; a job of a sweep notes its error and returns nan, so that the others
    run whatever the launcher's batches.
    """
    place = here()
    if place.sweep is None:
        try:
            return _translated(body, verb, cfg, place)
        except (UltError, JobBug, BrokenPipeError) as error:
            _sweep.single_run_failed(error)
            return float("nan")
    fate = {"number": place.number, "overrides": list(place.overrides)}
    _sweep.write_note(place.folder, state="running", **fate)
    try:
        value = _translated(body, verb, cfg, place)
    except (UltError, JobBug) as error:
        say(f"job #{place.number}: {one_line(error)}", 1)
        _sweep.write_note(place.folder, state="failed", error=one_line(error), **fate)
        return float("nan")
    _sweep.write_note(place.folder, state="finished", **fate)
    return value


def _translated(body: Body, verb: str, cfg: DictConfig, place: Place) -> float | None:
    """`body`, whose exceptions leave as UltError, JobBug, BrokenPipeError or KeyboardInterrupt."""
    try:
        with plain_warnings():
            load_plugins(Reader(cfg).listed("plugins", str))
            return body(cfg, place)
    except UltError:
        raise
    except SystemExit as leaving:
        if _because_of(KeyboardInterrupt, leaving):  # Lightning turns Ctrl-C into exit(1)
            raise KeyboardInterrupt from None
        if _because_of(BrokenPipeError, leaving):  # and rich, which draws the progress, a broken pipe
            raise BrokenPipeError from None
        if type(leaving).__name__ == "SIGTERMException":  # Lightning's, where a launcher keeps the signal
            raise UltError(f"stopped by the signal SIGTERM; {GOES_ON}") from None
        raise JobBug(f"the job left early, with exit code {leaving.code}.") from leaving
    except BrokenPipeError:
        raise
    except Exception as error:
        if _because_of(KeyboardInterrupt, error):  # a clean-up that failed because Ctrl-C came at a bad moment
            raise KeyboardInterrupt from None
        text = sentence(error, verb, place.overrides)
        if text is not None:
            raise UltError(text) from error
        raise JobBug(bug_sentence(error, place.folder)) from error


def _because_of(cause: type[BaseException], error: BaseException | None) -> bool:
    """Whether `error` was raised while a `cause` was being handled."""
    while error is not None:
        if isinstance(error, cause):
            return True
        error = error.__cause__ or error.__context__
    return False


def here() -> Place:
    """The place of the job that Hydra runs now."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    hydra = HydraConfig.get()
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # they may hold ${seed}
    assert isinstance(overrides, list)
    swept = hydra.mode == RunMode.MULTIRUN
    return Place(
        folder=Path(hydra.runtime.output_dir),
        sweep=Path(hydra.runtime.cwd) / str(hydra.sweep.dir) if swept else None,
        number=int(hydra.job.num) if swept else 0,
        overrides=tuple(map(str, overrides)),
    )
