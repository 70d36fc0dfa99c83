"""Hydra's, OmegaConf's and the disk's errors as one sentence each, in the words of the command line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ult_lightning.base import fault, nearest, trainer_arguments, unknown, unwritable
from ult_lightning.cli.config.folders import conf_folder, groups, options_of
from ult_lightning.cli.console.process import output_refusal

_QUOTE = (
    "quote what holds spaces, commas or brackets: 'sources=[mnist5k,digits]', "
    "and a name that holds them twice: 'out=\"a (1).ticket\"'"
)

LIST_KEYS = frozenset(
    [
        *("sources", "targets", "arms", "seeds", "tasks", "shots", "tags", "loss_weights", "dense.lrs", "plugins"),
        *("exponents", "log", "exp", "wave", "chain", "fold", "pieces", "input_shape"),
    ]
)
"""Keys that take a list; those of `options` may too."""


def sentence(error: BaseException, verb: str, overrides: Sequence[str]) -> str | None:
    """What to tell the user about `error`, or None where it is none of Hydra's, OmegaConf's or the disk's."""
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    if isinstance(error, MissingConfigException):
        return _missing_config(error)
    if isinstance(error, OverrideParseException):
        return str(fault("override", error.override, "key=value", _QUOTE))
    if isinstance(error, HydraException):
        return _composition(error, verb, overrides)
    if isinstance(error, OmegaConfBaseException):
        return omegaconf_sentence(error)
    if isinstance(error, YAMLError):
        return f"config: a YAML file cannot be read, {_flat(str(error))}."
    if isinstance(error, OSError):
        return _disk(error)
    if _is_out_of_memory(error):
        return _memory(verb)
    if isinstance(error, ValueError) and _raised_by_hydra(error):
        return _no_choice(str(error), overrides) or f"command line: {_flat(str(error)).rstrip('.')}."
    return None


def omegaconf_sentence(error: Any, key: str | None = None) -> str:
    """A missing value, an interpolation that leads nowhere, or a value of the wrong type."""
    from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, UnsupportedInterpolationType

    key = key or str(error.full_key or error.key or "config")
    first = str(error.msg or error).splitlines()[0]
    if isinstance(error, MissingMandatoryValue):
        return missing_key(key)
    if isinstance(error, InterpolationKeyError):
        name = re.search(r"'(.+?)'", first)
        return str(
            fault(key, f"${{{name[1] if name else '?'}}}", "a reference to a key that exists", "--cfg job shows them")
        )
    if isinstance(error, UnsupportedInterpolationType):
        return f"{key}: {first}; Hydra and OmegaConf list the ones they know."
    return f"{key}: {first.rstrip('.')}."


_EXAMPLES = {
    "sources": "'sources=[mnist5k]'",
    "targets": "'targets=[digits]'",
    "ticket": "ticket=my.ticket",
    "net.name": "net=mobilenet_v2",
}


def missing_key(key: str) -> str:
    """The sentence for a key that has no value yet."""
    return str(fault(key, None, "a value", f"for example {_EXAMPLES.get(key, f'{key}=VALUE')}"))


def _missing_config(error: Any) -> str:
    file = str(error.missing_cfg_file or "")
    group, _, name = file.rpartition("/")
    if not group:
        return str(fault("config-name", file, "a YAML file of the config folders", "--config-dir adds a folder"))
    name = name.removesuffix(".yaml")
    if group == "hydra/launcher" and name.startswith("submitit"):
        mend = "type pip install 'ult_lightning[slurm]'"
        return str(fault(group, name, "a launcher that is installed", mend))
    return str(unknown(group, name, error.options or ()))


_NO_NAME = re.compile(r"null|true|false|[-+]?[\d.]+(e[-+]?\d+)?|\{.*", re.IGNORECASE)


def _no_choice(text: str, overrides: Sequence[str]) -> str | None:
    """The sentence for a group that was given null or a number, None where Hydra complains about something else."""
    if not text.startswith("Config group override must be"):
        return None
    for override in overrides:
        group, _, values = override.lstrip("+~").partition("=")
        for value in values.split(","):
            if group in groups() and _NO_NAME.fullmatch(value.strip()):
                return str(unknown(group, value.strip(), options_of(group)))
    return None


def _ambiguous(key: str, value: str) -> str:
    """Several values for a key, without -m: a list, a sweep or a name with a comma in it."""
    sweep = "-m sweeps over the values"
    if key in LIST_KEYS or "options." in key:
        return str(fault(key, value, f"one value, or a list as in '{key}=[{value}]'", sweep))
    plain = key in groups() or all(_NO_NAME.fullmatch(part.strip()) for part in value.split(","))
    quoted = f", and '{key}=\"{value}\"' is one value with a comma in it"
    return str(fault(key, value, "one value", sweep if plain else sweep + quoted))


def _composition(error: Any, verb: str, overrides: Sequence[str]) -> str:
    text = str(error)
    if match := re.match(r"Could not override '(.+?)'", text):
        return unknown_key(match[1], verb, overrides)
    if match := re.match(r"Ambiguous value for argument '(.+)'", text):
        key, _, value = match[1].partition("=")
        return _ambiguous(key, value)
    if match := re.match(r"Could not append to config. An item is already at '(.+?)'", text):
        return str(fault("override", f"+{match[1]}", f"{match[1]}=... without the plus", "the key exists"))
    if match := re.match(r"Multiple values for ([^.]+)", text):
        return str(fault("override", f"+{match[1]}", f"{match[1]}=... without the plus", "the group has a value"))
    cause = error.__cause__
    if cause is not None and hasattr(cause, "full_key"):
        return omegaconf_sentence(cause)
    return f"config: {_flat(text).rstrip('.')}."


def unknown_key(key: str, verb: str, overrides: Sequence[str]) -> str:
    """The sentence for a key that a verb does not have, with the nearest that it has."""
    known = known_keys(verb, [o for o in overrides if _key(o) != key])
    if key.startswith("trainer.") and verb in ("search", "compare"):
        known = [*known, *(f"trainer.{name}" for name in trainer_arguments())]
    near = nearest(key, known) or [k for k in known if k.endswith("." + key.rpartition(".")[2])][:3]
    mend = f"did you mean {' or '.join(near)}?" if near else f"`ult {verb} --cfg job` shows them all"
    return str(fault("key", key, f"a key of `ult {verb}`", mend)).replace("?.", "?")


def known_keys(verb: str, overrides: Sequence[str] = ()) -> list[str]:
    """Every key of a verb, dotted: with these overrides if they compose, else with none."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        for chosen in (list(overrides), []):
            try:
                composed = compose(verb, overrides=chosen)
            except (HydraException, ValueError):
                continue
            return [*_dotted(OmegaConf.to_container(composed, resolve=False)), "experiment"]
    return []


def _dotted(tree: Any, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the accelerator or the machine is full; torch has no class for the latter."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _memory(verb: str) -> str:
    if verb in ("search", "compare"):
        wanted = "batches that fit the device's memory"
        return str(fault("data.batch_size", "more than fits", wanted, "halve it"))
    mend = {
        "transfer": "say train_limit=N, or take a smaller ticket",
        "construct": "take a larger eps or a smaller degree",
    }
    return str(fault("memory", "less than this takes", "more of it", mend.get(verb, "say tasks=[...] or arms=[...]")))


def _disk(error: OSError) -> str | None:
    """A disk that refuses: full, read-only, forbidden; None for other causes."""
    refusal = output_refusal(error) or unwritable(error.filename or "run folder", error)
    if refusal is not None:
        return str(refusal)
    if error.errno == errno.ENOENT and error.filename is not None:
        return str(fault("path", str(error.filename), "a place that exists"))
    return None


def _raised_by_hydra(error: BaseException) -> bool:
    """Whether the innermost frame is Hydra's own: then the command line is at fault, not our code."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and str(step.tb_frame.f_globals.get("__name__", "")).startswith("hydra.")


def _flat(text: str) -> str:
    return " ".join(text.split())
