"""Where the YAML files are."""

from __future__ import annotations

from pathlib import Path

from ult_lightning.base import UltError


def conf_folder() -> Path:
    """The folder `conf/`: inside the installed package, else beside it in a checkout. Raises UltError if neither."""
    package = Path(__file__).resolve().parent.parent
    places = (package / "conf", package.parent / "conf")
    for place in places:
        if (place / "search.yaml").is_file():
            return place
    raise UltError(f"conf: no folder {places[0]} and none beside the package; install ult_lightning again.")


def options_of(group: str) -> list[str]:
    """Names that may stand after `group=`, from the files of `conf/group`."""
    return sorted(file.stem for file in (conf_folder() / group).glob("*.yaml"))
