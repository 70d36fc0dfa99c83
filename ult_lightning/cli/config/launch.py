"""Runs one verb through hydra.main, and turns what Hydra raises into our own errors."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ult_lightning.base import (
    UltError,
    check_trainer_arguments,
    fault,
    nearest,
    plugin_folders,
    trainer_arguments,
    unknown,
    unwritable,
)
from ult_lightning.base._registry import GROUP
from ult_lightning.cli.config.folders import conf_folder, groups, options_of, verbs_of
from ult_lightning.cli.config.source_names import declared_fields, torchvision_models
from ult_lightning.cli.console import sweep as _sweep
from ult_lightning.cli.console.messages import known_keys, sentence, unknown_key
from ult_lightning.cli.console.process import output_refusal

_PLAIN = {"--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", "--shell-completion", "-sc"}
_VALUED = {"--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
           "--info", "-i", "--experimental-rerun"}  # fmt: skip
_CHOICES = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
_LONG = {"-c": "--cfg", "-i": "--info"}
_KEPT = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}


def run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Compose `conf/<verb>.yaml` with the arguments and run it once, or once per point of a sweep."""
    flags, overrides = split_flags(arguments)
    overrides = [_with_trainer_argument(override) for override in overrides]
    overrides = _with_plugin_folders(overrides)
    _refuse_unknown_addition(verb, flags, overrides)
    if not {"--config-path", "-cp"} & {flag.partition("=")[0] for flag in flags}:
        _refuse_foreign_experiment(verb, overrides)
    swept = bool({"-m", "--multirun"} & set(flags))
    if swept:
        _sweep.refuse_shared_out(overrides)
    with _sweep.watching() as watch, _surroundings(verb, [*flags, *overrides]):
        try:
            _launch(verb, overrides, swept=swept)
        finally:
            failures = 0
            if watch.sweep is not None:
                kept = [*_kept(flags), *(o for o in overrides if o.startswith("hydra.searchpath="))]
                failures = _sweep.report_failures(watch.sweep, ["ult", verb, *kept], watch.planned)
    if watch.error is not None:
        raise watch.error
    return failures


def _with_plugin_folders(overrides: Sequence[str]) -> list[str]:
    """The overrides, with the `conf` folders of plugins in Hydra's search path."""
    files = [override.partition("=")[2] for override in overrides if override.lstrip("+").startswith("plugins=")]
    names = [name.strip(" '\"") for text in files for name in text.strip("[]").split(",")]
    folders = [f"file://{folder}" for folder in plugin_folders([name for name in names if name])]
    if not folders:
        return list(overrides)
    key = "hydra.searchpath="
    own = [override.removeprefix(key).strip("[]") for override in overrides if override.startswith(key)]
    rest = [override for override in overrides if not override.startswith(key)]
    return [*rest, f"{key}[{','.join([*own, *folders])}]"]


_OPEN = ("arm.", "callbacks.", "hydra.", "logger.", "options.", "experiment", "trainer.")
"""What a user may add with a plus: groups of `_target_` entries and, checked elsewhere, the Trainer's arguments."""


def _with_trainer_argument(override: str) -> str:
    """An argument of Lightning's Trainer may be given with a plus and without, whether our YAML lists it or not."""
    key, _, _ = override.partition("=")
    name = key.lstrip("+").removeprefix("trainer.")
    known = key.lstrip("+").startswith("trainer.") and not key.startswith("~") and name in trainer_arguments()
    return f"++{override.lstrip('+')}" if known else override


def _refuse_unknown_addition(verb: str, flags: Sequence[str], overrides: Sequence[str]) -> None:
    """Raise UltError for a key behind a plus, or an argument of the Trainer, that nothing reads: before heavy imports.

    What other overrides refer to, what a folder of the user's own may read and the options of families from outside are left
    to whoever reads them.
    """
    foreign = {flag.partition("=")[0] for flag in flags} & _KEPT
    if foreign or any("hydra.searchpath" in o for o in overrides):
        return
    plugged = bool(entry_points(group=GROUP)) or any(o.lstrip("+").startswith("plugins=") for o in overrides)
    for override in overrides:
        key, _, value = override.partition("=")
        name = key.lstrip("+")
        if name.startswith("trainer.") and verb in ("search", "compare"):
            check_trainer_arguments({name.removeprefix("trainer."): value})
        if not key.startswith("+") or name.startswith(_OPEN) or name in groups():
            continue
        others = [other for other in overrides if other != override]
        if name.startswith("net.options.") or verb == "construct":
            room = "construct" if verb == "construct" else "nets"
            if plugged or name.rpartition(".")[2] in declared_fields(room):
                continue
        elif ".options." in name:
            if _all_options_are_ours(name.partition(".")[0], others) and name not in known_keys(verb, others):
                raise UltError(unknown_key(name, verb, overrides))
            continue
        if name not in known_keys(verb, others) and not any(f"${{{name}}}" in other for other in overrides):
            raise UltError(unknown_key(name, verb, overrides))


_LISTED = ("method", "objective", "head")
"""Families whose YAML lists every option of a member."""


def _all_options_are_ours(family: str, overrides: Sequence[str]) -> bool:
    """Whether every option of the chosen member stands in our YAML: not so for one from outside, or one of a sweep."""
    chosen = [o.partition("=")[2] for o in overrides if o.lstrip("+").partition("=")[0] == family]
    foreign = any(o.lstrip("+").partition("=")[0] in ("experiment", "plugins") for o in overrides)
    return family in _LISTED and not foreign and all(name in options_of(family) for name in chosen)


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the overrides: in any order on the command line.

    Raises UltError for a flag that Hydra does not have, one without its value and one with an unknown value.
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
            _check_choice(name, word.partition("=")[2])
            flags.append(word)
        elif name in ("--info", "-i") and (not rest or "=" in rest[0] or rest[0].startswith("-")):
            flags.append(f"{word}=all")  # its value may be left out
        elif name in _VALUED:
            if not rest:
                raise fault("flag", word, "a value after it", "for example --cfg job")
            _check_choice(name, rest[0])
            flags += [word, rest.pop(0)]
        else:
            raise unknown("flag", word, {"--help", *_PLAIN, *_VALUED})
    return flags, overrides


def _check_choice(flag: str, value: str) -> None:
    name = _LONG.get(flag, flag)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise unknown(name, value, _CHOICES[name])


def _refuse_foreign_experiment(verb: str, overrides: Sequence[str]) -> None:
    """Raise UltError for an experiment of ours that is for another verb: it would not compose, or lack what it needs."""
    for override in overrides:
        key, _, names = override.lstrip("+").partition("=")
        for name in names.split(",") if key == "experiment" else ():
            others = verbs_of(name.strip()) - {verb}
            if others and verb not in verbs_of(name.strip()):
                own = [other for other in options_of("experiment") if verb in verbs_of(other)]
                mend = f"`ult {verb}` has {', '.join(own) or 'none'}"
                raise UltError(f"experiment: got {name!r}, which is for `ult {min(others)}`; {mend}.")


def _kept(flags: Sequence[str]) -> list[str]:
    """The flags that a rerun of one job needs."""
    kept: list[str] = []
    for position, flag in enumerate(flags):
        if flag.split("=", 1)[0] in _KEPT:
            kept += [flag] if "=" in flag else list(flags[position : position + 2])
    return kept


def _launch(verb: str, overrides: Sequence[str], *, swept: bool) -> None:
    """Run Hydra. A net that only torchvision knows is offered to it, once."""
    from hydra import main as hydra_main
    from hydra.errors import MissingConfigException

    job = import_module(f"ult_lightning.cli.verbs.{verb}").job
    offered: set[str] = set()
    while True:
        try:
            hydra_main(config_path=str(conf_folder()), config_name=verb, version_base="1.3")(job)()
            return
        except MissingConfigException as missing:
            net = _missing_net(missing)
            if net is None or net in offered or not _offer_torchvision(net):
                raise _as_user_error(missing, verb, overrides, swept=swept) from missing
            offered.add(net)
        except Exception as error:
            raise _as_user_error(error, verb, overrides, swept=swept) from error


def _as_user_error(error: Exception, verb: str, overrides: Sequence[str], *, swept: bool) -> Exception:
    text = output_refusal(error) or _no_run_folder(error, swept=swept) or sentence(error, verb, overrides)
    return error if text is None else UltError(text)


def _no_run_folder(error: Exception, *, swept: bool) -> str | None:
    """The sentence for a place where Hydra cannot write its record of a run (a job tells its own troubles)."""
    if not isinstance(error, OSError) or str(error.filename).endswith(".yaml"):
        return None
    key = "hydra.sweep.dir" if swept else "hydra.run.dir"
    mend = f"name another folder, as in {key}=/tmp/run"
    refusal = unwritable(error.filename or "run folder", error, argument=key, mend=mend)
    return None if refusal is None else str(refusal)


def _missing_net(missing: Any) -> str | None:
    file = missing.missing_cfg_file or ""
    return file.removeprefix("net/").removesuffix(".yaml") if file.startswith("net/") else None


def _offer_torchvision(name: str) -> bool:
    """Make `net=NAME` mean `net=torchvision net.name=NAME` where torchvision has such a model."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    models = torchvision_models()
    if name not in models:
        own = options_of("net")
        near = nearest(name, [*own, *models])
        wanted = f"one of {', '.join(own)} or a CNN of torchvision.models"
        raise fault("net", name, wanted, f"the nearest are {', '.join(near)}" if near else "")
    node = OmegaConf.load(conf_folder() / "net" / "torchvision.yaml")
    node.name = name
    ConfigStore.instance().store(group="net", name=name, node=node, provider="torchvision")
    return True


@contextmanager
def _surroundings(verb: str, arguments: Sequence[str]) -> Iterator[None]:
    """What hydra.main reads from the process: its arguments, and the wish for whole exceptions. Put back after."""
    argv, environment = sys.argv, dict(os.environ)
    sys.argv = [f"ult {verb}", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ["ULT_RUN_TAG"] = secrets.token_hex(3)
    try:
        yield
    finally:
        sys.argv = argv
        for name in ("HYDRA_FULL_ERROR", "ULT_RUN_TAG"):
            if name in environment:
                os.environ[name] = environment[name]
            else:
                os.environ.pop(name, None)
