"""Members from outside: packages with the entry point group `ult_lightning.plugins`, and single files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from ult_lightning.base._errors import UltError, fault

GROUP = "ult_lightning.plugins"


def load_plugins(files: Sequence[str | Path] = ()) -> None:
    """Import the installed plugins and these files, each once: what they register is there from then on.

    Raises UltError for a file that is not there, is no Python file, or fails while it is imported.
    """
    load_installed()
    for file in files:
        _load_file(plugin_file(file))


@cache
def load_installed() -> None:
    """Import the module that each entry point of the group names, once per process; raises UltError where one fails."""
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as cause:  # whatever the code of others raises
            raise _failed(f"the installed plugin {point.name} ({point.value})", cause) from cause


def plugin_file(file: str | Path) -> Path:
    """The path of a plugin, absolute; raises UltError where it is no Python file."""
    path = Path(file).expanduser().resolve()
    if path.suffix != ".py" or not path.is_file():
        raise fault("plugins", str(file), "a Python file that is there", "for example 'plugins=[my_method.py]'")
    return path


def plugin_folders(files: Sequence[str | Path] = ()) -> list[Path]:
    """The `conf` folders beside these files and inside the installed plugins, which are not imported for this."""
    places = [_place(point) for point in entry_points(group=GROUP)]
    places += [plugin_file(file).parent for file in files]
    folders = [place / "conf" for place in places if place is not None]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _place(point: EntryPoint) -> Path | None:
    spec = find_spec(point.module.partition(".")[0])
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _load_file(path: Path) -> None:
    name = f"ult_plugin_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as cause:
        del sys.modules[name]
        raise _failed(str(path), cause) from cause


def _failed(what: str, cause: Exception) -> UltError:
    reason = " ".join(str(cause).split()).rstrip(".")
    return UltError(f"plugins: {what} cannot be loaded: {type(cause).__name__}: {reason}.")
