"""Runs one verb through hydra.main, and turns what Hydra raises into our own errors."""

from __future__ import annotations

import os
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from ult_lightning.base import UltError, fault, nearest, unknown
from ult_lightning.cli import _sweep
from ult_lightning.cli._conf import conf_folder, options_of
from ult_lightning.cli._messages import sentence

_PLAIN = {
    "--hydra-help",
    "--version",
    "--resolve",
    "--run",
    "-r",
    "--multirun",
    "-m",
    "--shell-completion",
    "-sc",
}
_VALUED = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
           "--info", "-i", "--experimental-rerun"}  # fmt: skip
_KEPT = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}


def run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Compose `conf/<verb>.yaml` with the arguments and run it once, or once per point of a sweep."""
    flags, overrides = split_flags(arguments)
    if {"-m", "--multirun"} & set(flags):
        _sweep.refuse_shared_out(overrides)
    with _sweep.watching() as watch, _surroundings(verb, [*flags, *overrides]):
        try:
            _launch(verb, overrides)
        finally:
            failures = 0
            if watch.sweep is not None:
                kept = [*_kept(flags), *(o for o in overrides if o.startswith("hydra.searchpath="))]
                failures = _sweep.report_failures(watch.sweep, ["ult", verb, *kept])
    if watch.error is not None:
        raise watch.error
    return failures


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the overrides: in any order on the command line.

    Raises UltError for a flag that Hydra does not have and for one without its value.
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name = word.split("=", 1)[0]
        if not word.startswith("-"):
            overrides.append(word)
        elif name in _PLAIN or (name in _VALUED and "=" in word):
            flags.append(word)
        elif name in _VALUED:
            if not rest and name not in ("--info", "-i"):
                raise fault("flag", word, "a value after it", "for example --cfg job")
            flags += [word, *rest[:1]]
            del rest[:1]
        else:
            raise unknown("flag", word, {"--help", *_PLAIN, *_VALUED})
    return flags, overrides


def _kept(flags: Sequence[str]) -> list[str]:
    """The flags that a rerun of one job needs."""
    kept: list[str] = []
    for position, flag in enumerate(flags):
        if flag.split("=", 1)[0] in _KEPT:
            kept += [flag] if "=" in flag else list(flags[position : position + 2])
    return kept


def _launch(verb: str, overrides: Sequence[str]) -> None:
    """Run Hydra. A net that only torchvision knows is offered to it, once."""
    from hydra import main as hydra_main
    from hydra.errors import MissingConfigException

    job = import_module(f"ult_lightning.cli.{verb}").job
    offered: set[str] = set()
    while True:
        try:
            hydra_main(config_path=str(conf_folder()), config_name=verb, version_base="1.3")(job)()
            return
        except MissingConfigException as missing:
            net = _missing_net(missing)
            if net is None or net in offered or not _offer_torchvision(net):
                raise _as_user_error(missing, verb, overrides) from missing
            offered.add(net)
        except Exception as error:
            raise _as_user_error(error, verb, overrides) from error


def _as_user_error(error: Exception, verb: str, overrides: Sequence[str]) -> Exception:
    text = sentence(error, verb, overrides)
    return error if text is None else UltError(text)


def _missing_net(missing: Any) -> str | None:
    file = missing.missing_cfg_file or ""
    return file.removeprefix("net/").removesuffix(".yaml") if file.startswith("net/") else None


def _offer_torchvision(name: str) -> bool:
    """Make `net=NAME` mean `net=torchvision net.name=NAME` where torchvision has such a model."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf
    from torchvision.models import list_models

    if name not in list_models():
        own = options_of("net")
        near = nearest(name, [*own, *list_models()])
        wanted = f"one of {', '.join(own)} or a CNN of torchvision.models"
        raise fault("net", name, wanted, f"the nearest are {', '.join(near)}" if near else "")
    node = OmegaConf.load(conf_folder() / "net" / "torchvision.yaml")
    node.name = name
    ConfigStore.instance().store(group="net", name=name, node=node, provider="torchvision")
    return True


@contextmanager
def _surroundings(verb: str, arguments: Sequence[str]) -> Iterator[None]:
    """What hydra.main reads from the process: its arguments, and the wish for whole exceptions. Put back after."""
    argv, environment, formatter = sys.argv, dict(os.environ), warnings.formatwarning
    sys.argv = [f"ult {verb}", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ["ULT_RUN_TAG"] = secrets.token_hex(3)
    warnings.formatwarning = partial(_warning_line, formatter)
    try:
        yield
    finally:
        sys.argv, warnings.formatwarning = argv, formatter
        for name in ("HYDRA_FULL_ERROR", "ULT_RUN_TAG"):
            if name in environment:
                os.environ[name] = environment[name]
            else:
                os.environ.pop(name, None)


def _warning_line(
    otherwise: Callable[..., str], message: Warning | str, category: type[Warning], *rest: Any
) -> str:
    """One of our own warnings without the file and line it came from; others as Python writes them."""
    if category.__module__.startswith("ult_lightning"):
        return f"ult: warning: {message}\n"
    return otherwise(message, category, *rest)
