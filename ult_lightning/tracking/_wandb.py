"""Starting a wandb run fast, offline where no key is there, and never in the way of a result."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ult_lightning.base import write_text
from ult_lightning.tracking._loggers import warn

PROJECT = "ult_lightning"
RUN_ID_FILE = "wandb_run_id.txt"
_PUBLIC_HOST = "api.wandb.ai"
_OFFLINE_MODES = ("offline", "dryrun")

# What costs start-up time or a hanging end, and says nothing that a row does not say.
_SETTINGS: dict[str, Any] = {
    "init_timeout": 15.0,
    "finish_timeout": 60.0,
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "disable_job_creation": True,
    "console": "off",
    "silent": True,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


def start(
    *,
    run_dir: Path,
    name: str | None,
    group: str | None,
    tags: Sequence[str],
    config: Mapping[str, Any] | None,
    offline: bool | None,
    project: str | None,
) -> Any | None:
    """A guarded WandbLogger, or None where wandb is disabled or fails (with one warning line).

    A run folder keeps its wandb id, so that a run that is started again continues its wandb run. Where the
    online start fails, the run is kept offline in the run folder.
    """
    if os.environ.get("WANDB_MODE", "").lower() == "disabled":
        return None
    try:
        import wandb

        settings = wandb.setup(wandb.Settings(silent=True)).settings
        if settings.mode == "disabled":
            return None
        kept_offline = is_offline(settings, offline)
        if offline is False and kept_offline:
            warn("wandb: no key is there, the run is kept offline; `wandb login` sets one")
        run_dir.mkdir(parents=True, exist_ok=True)
        arguments: dict[str, Any] = {
            "project": project or os.environ.get("WANDB_PROJECT") or PROJECT,
            "name": name,
            "group": group,
            "tags": list(tags),
            "config": dict(config or {}),
            "dir": str(run_dir),
            "id": _kept_id(run_dir),
            "reinit": "create_new",
        }
        run, kept_offline = _init(wandb, arguments, kept_offline)
        return _logger(run, arguments["project"], run_dir, kept_offline)
    except Exception as error:  # whatever wandb does, the run goes on without it
        warn("wandb: could not start, the run goes on without it", error)
        return None


def is_offline(settings: Any, offline: bool | None) -> bool:
    """Whether to stay offline: as asked, as WANDB_MODE or wandb's settings say, and always without a key.

    `settings` are wandb's own (mode, api_key, identity_token_file, base_url).
    """
    if not has_key(settings):
        return True
    if offline is not None:
        return offline
    return os.environ.get("WANDB_MODE", settings.mode).lower() in _OFFLINE_MODES


def has_key(settings: Any) -> bool:
    """Whether WANDB_API_KEY, an identity token, wandb's settings or a netrc file hold credentials."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    if getattr(settings, "api_key", None) or getattr(settings, "identity_token_file", None):
        return True
    hosts = {_PUBLIC_HOST, urlsplit(str(settings.base_url)).netloc}
    named = os.environ.get("NETRC")
    for path in [named] if named else ["~/.netrc", "~/_netrc"]:
        try:
            credentials = netrc.netrc(os.path.expanduser(path))
        except (OSError, netrc.NetrcParseError):
            continue
        if any(host in credentials.hosts for host in hosts):
            return True
    return False


def _init(wandb: Any, arguments: dict[str, Any], offline: bool) -> tuple[Any, bool]:
    """The started run and whether it is offline."""
    if offline:
        return wandb.init(**arguments, settings=_settings(wandb, "offline")), True
    try:
        return wandb.init(**arguments, resume="allow", settings=_settings(wandb, "online")), False
    except Exception as error:  # no network, a refused key, a server in trouble
        warn("wandb: the server could not be used, the run is kept offline", error)
        fresh = {**arguments, "id": None}  # wandb's service holds on to the id of the start that failed
        return wandb.init(**fresh, settings=_settings(wandb, "offline")), True


def _settings(wandb: Any, mode: str) -> Any:
    known = {name: value for name, value in _SETTINGS.items() if name in wandb.Settings.model_fields}
    return wandb.Settings(mode=mode, **known)


def _kept_id(run_dir: Path) -> str | None:
    try:
        return (run_dir / RUN_ID_FILE).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _logger(run: Any, project: str, run_dir: Path, offline: bool) -> Any:
    from ult_lightning.tracking._guard import GuardedWandbLogger

    logger = GuardedWandbLogger(run, project=project, save_dir=run_dir, offline=offline)

    def prepare() -> None:
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        if _kept_id(run_dir) is None:
            write_text(run_dir / RUN_ID_FILE, f"{run.id}\n")

    logger.attempt("prepare the run", prepare, fatal=False)
    return logger
