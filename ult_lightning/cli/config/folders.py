"""Where the YAML files are, and what their names are good for."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from ult_lightning.base import UltError


def conf_folder() -> Path:
    """The folder `conf/`: inside the installed package, else beside it in a checkout. Raises UltError if neither."""
    package = Path(__file__).resolve().parents[2]
    places = (package / "conf", package.parent / "conf")
    for place in places:
        if (place / "search.yaml").is_file():
            return place
    raise UltError(f"conf: no folder {places[0]} and none beside the package; install ult_lightning again.")


def options_of(group: str) -> list[str]:
    """Names that may stand after `group=`, from the files of `conf/group`."""
    return sorted(file.stem for file in (conf_folder() / group).glob("*.yaml"))


def groups() -> list[str]:
    """Keys whose value is the name of a YAML file of ours."""
    return sorted(folder.name for folder in conf_folder().iterdir() if folder.is_dir() and folder.name != "common")


def reference(key: str) -> str:
    """How one value of a command line refers to another: that of `key`, or what was chosen for a group."""
    if key not in groups():
        return f"${{{key}}}"
    files = (conf_folder() / key).glob("*.yaml")
    named = all(re.search(r"^name:", file.read_text(encoding="utf-8"), re.MULTILINE) for file in files)
    return f"${{{key}.name}}" if named else f"${{hydra:runtime.choices.{key}}}"


def verbs_of(experiment: str) -> set[str]:
    """The verbs that an experiment of ours is for, from the command in its opening comment; empty for others."""
    file = conf_folder() / "experiment" / f"{experiment}.yaml"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return set(re.findall(rf"ult (\w+) experiment={re.escape(experiment)}\b", text))


def typed_values(overrides: Collection[str], key: str) -> list[str]:
    """What these overrides say for `key`, one by one where that is a list or a sweep."""
    values = [override.partition("=")[2] for override in overrides if override.lstrip("+").startswith(f"{key}=")]
    names = [name.strip(" '\"") for value in values for name in value.strip("[]").split(",")]
    return [name for name in names if name]


def experiment_keys(overrides: Collection[str]) -> set[str]:
    """The plain keys at the top of the experiments of ours that these overrides choose: helpers of their other values."""
    from omegaconf import OmegaConf

    files = [conf_folder() / "experiment" / f"{name}.yaml" for name in typed_values(overrides, "experiment")]
    return {str(key) for file in files if file.is_file() for key in OmegaConf.load(file) if key != "defaults"}
