"""Runs one verb through hydra.main, and turns what Hydra raises into our own errors."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points

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
from ult_lightning.cli.config.folders import conf_folder, groups, options_of, typed_values, verbs_of
from ult_lightning.cli.config.source_names import declared_fields, torchvision_models
from ult_lightning.cli.console import sweep as _sweep
from ult_lightning.cli.console.messages import known_keys, sentence, unknown_key
from ult_lightning.cli.console.process import output_refusal

_PLAIN = ("--hydra-help", "--version", "--resolve", "--run", "--multirun", "--shell-completion")
_KEPT = ("--config-path", "--config-name", "--config-dir")
_VALUED: dict[str, tuple[str, ...]] = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    **dict.fromkeys((*_KEPT, "--package", "--experimental-rerun"), ()),
}
"""Hydra's flags with a value, and what the value may be (anything where that is empty)."""

_LONG = {
    "-r": "--run",
    "-m": "--multirun",
    "-sc": "--shell-completion",
    "-c": "--cfg",
    "-i": "--info",
    "-p": "--package",
    "-cp": "--config-path",
    "-cn": "--config-name",
    "-cd": "--config-dir",
}


def run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Compose `conf/<verb>.yaml` with the arguments and run it once, or once per point of a sweep."""
    flags, overrides = split_flags(arguments)
    overrides = [_with_trainer_argument(override) for override in overrides]
    overrides = _with_plugin_folders(overrides)
    _refuse_unknown_addition(verb, flags, overrides)
    if not any(flag.startswith("--config-path=") for flag in flags):
        _refuse_foreign_experiment(verb, overrides)
    swept = "--multirun" in flags
    if swept:
        _sweep.refuse_shared_out(overrides)
    with _sweep.watching() as watch, _surroundings(verb, [*flags, *overrides]):
        try:
            _launch(verb, overrides, swept=swept)
        finally:
            failures = 0
            if watch.sweep is not None:
                again = (*(f"{flag}=" for flag in _KEPT), "hydra.searchpath=")
                kept = [word for word in (*flags, *overrides) if word.startswith(again)]
                failures = _sweep.report_failures(watch.sweep, ["ult", verb, *kept], watch.planned)
    if watch.error is not None:
        raise watch.error
    return failures


def _with_plugin_folders(overrides: Sequence[str]) -> list[str]:
    """The overrides, with the `conf` folders of plugins in Hydra's search path."""
    folders = [f"file://{folder}" for folder in plugin_folders(typed_values(overrides, "plugins"))]
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
    if any(flag.startswith(_KEPT) for flag in flags) or any("hydra.searchpath" in o for o in overrides):
        return
    plugged = bool(entry_points(group=GROUP)) or bool(typed_values(overrides, "plugins"))
    for override in overrides:
        key, _, value = override.partition("=")
        name = key.lstrip("+")
        if name.startswith("trainer.") and verb in ("search", "compare"):
            check_trainer_arguments({name.removeprefix("trainer."): value})
        if not key.startswith("+") or name.startswith(_OPEN) or name in groups():
            continue
        others = [other for other in overrides if other != override]
        group, _, option = name.rpartition(".")
        if group == "net.options":
            if not plugged and option not in declared_fields("nets"):
                known = [key for key in known_keys(verb, others) if key.startswith("net.options.")]
                raise unknown("option of net.options", option, [key.rpartition(".")[2] for key in known])
            continue
        if verb == "construct" and (plugged or option in declared_fields("construct")):
            continue
        if ".options." in name:
            if _all_options_are_ours(name.partition(".")[0], others) and name not in known_keys(verb, others):
                raise UltError(unknown_key(name, verb, overrides))
            continue
        if name not in known_keys(verb, others) and not any(f"${{{name}}}" in other for other in overrides):
            raise UltError(unknown_key(name, verb, overrides))


_LISTED = ("method", "objective", "head")
"""Families whose YAML lists every option of a member."""


def _all_options_are_ours(family: str, overrides: Sequence[str]) -> bool:
    """Whether every option of the chosen member stands in our YAML: not so for one from outside, or one of a sweep."""
    foreign = typed_values(overrides, "experiment") or typed_values(overrides, "plugins")
    chosen = typed_values(overrides, family)
    return family in _LISTED and not foreign and all(name in options_of(family) for name in chosen)


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags, long and with `=VALUE` behind them, and the overrides: in any order on the command line.

    Raises UltError for a flag that Hydra does not have, one without its value and one with an unknown value.
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        flag = _LONG.get(name, name)
        if not word.startswith("-"):
            overrides.append(word)
        elif flag in _PLAIN:
            flags.append(flag + equals + value)
        elif flag in _VALUED:
            if not equals and flag == "--info" and (not rest or "=" in rest[0] or rest[0].startswith("-")):
                value = "all"  # its value may be left out
            elif not equals and not rest:
                raise fault("flag", word, "a value after it", "for example --cfg job")
            elif not equals:
                value = rest.pop(0)
            if _VALUED[flag] and value not in _VALUED[flag]:
                raise unknown(flag, value, _VALUED[flag])
            flags.append(f"{flag}={value}")
        else:
            raise unknown("flag", word, {"--help", *_PLAIN, *_VALUED, *_LONG})
    return flags, overrides


def _refuse_foreign_experiment(verb: str, overrides: Sequence[str]) -> None:
    """Raise UltError for an experiment of ours that is for another verb: it would not compose, or lack what it needs."""
    for name in typed_values(overrides, "experiment"):
        others = verbs_of(name) - {verb}
        if others and verb not in verbs_of(name):
            own = [other for other in options_of("experiment") if verb in verbs_of(other)]
            mend = f"`ult {verb}` has {', '.join(own) or 'none'}"
            raise UltError(f"experiment: got {name!r}, which is for `ult {min(others)}`; {mend}.")


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
            group, _, file = (missing.missing_cfg_file or "").partition("/")
            net = file.removesuffix(".yaml")
            if group != "net" or net in offered:
                raise _as_user_error(missing, verb, overrides, swept=swept) from missing
            _offer_torchvision(net)
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


def _offer_torchvision(name: str) -> None:
    """Make `net=NAME` mean `net=torchvision net.name=NAME`; raises UltError where torchvision has no such model."""
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
