"""Families of things chosen by name, members of them from outside, and imports that wait until they are needed.

From outside come packages with the entry point group `ult_lightning.plugins`, and single files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Generic, TypeVar

from ult_lightning.base._errors import UltError, fault, unknown

T = TypeVar("T")
V = TypeVar("V")


class Registry(Generic[T]):
    """Names to values, in the order of their registration; a wrong name gets the nearest ones.

    `what` is the word that messages use for a member ("net", "method").

    >>> nets = Registry[int]("net")
    >>> nets.add("conv2", 2)
    >>> nets.get("conv3")
    Traceback (most recent call last):
    ...
    ult_lightning.base._errors.UltError: net: got 'conv3', wanted one of conv2; did you mean conv2?
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._members: dict[str, T] = {}

    def register(self, name: str) -> Callable[[V], V]:
        """A decorator that adds what it decorates under `name`."""

        def keep(value: V) -> V:
            self.add(name, value)  # type: ignore[arg-type]
            return value

        return keep

    def add(self, name: str, value: T) -> None:
        """Add one member; raises ValueError where the name is taken."""
        if name in self._members:
            raise ValueError(f"{self.what} {name!r} is registered already")
        self._members[name] = value

    def get(self, name: str) -> T:
        """The member of that name, of an installed plugin if need be; raises UltError with the nearest names."""
        if name not in self._members:
            load_installed()
        if name not in self._members:
            raise unknown(self.what, name, self._members)
        return self._members[name]

    def names(self) -> tuple[str, ...]:
        """All names, in the order of registration."""
        return tuple(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


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


_PROVIDERS: dict[str, str] = {}


def provide(name: str, target: str) -> None:
    """Say that `name` is found at `target` ("package.module:attribute"); nothing is imported yet."""
    if target.count(":") != 1:
        raise ValueError(f"target: got {target!r}, wanted 'package.module:attribute'")
    _PROVIDERS[name] = target


def provided(name: str) -> Any:
    """Import and return what `provide` named; raises LookupError for a name that nobody provides."""
    if name not in _PROVIDERS:
        raise LookupError(f"nobody provides {name!r}; provided are {sorted(_PROVIDERS)}")
    module, attribute = _PROVIDERS[name].split(":")
    return getattr(import_module(module), attribute)


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose names are imported when they are asked for: `homes` has the module of each."""

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
