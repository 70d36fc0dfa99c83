"""What every room needs: errors, whole files, locks, registries, hashes. Imports nothing of ours."""

from ult_lightning.base._canonical import canonical
from ult_lightning.base._environment import environment
from ult_lightning.base._errors import UltError, fault, nearest, unknown
from ult_lightning.base._files import atomic_path, unwritable, write_bytes, write_text
from ult_lightning.base._hashing import canonical_json, digest
from ult_lightning.base._once import file_lock, once, without_repeats
from ult_lightning.base._options import NoOptions, Options, check_value, option, read_options
from ult_lightning.base._registry import Registry, lazily, load_plugins, plugin_folders, provide, provided
from ult_lightning.base._trainer_arguments import TRAINER_SCIENCE, check_trainer_arguments, trainer_arguments
from ult_lightning.base._value_grid import Grown, grid_reach, grow_grid

NUMERICS = 2
"""Raised when a change of the code changes what the same settings give; part of every id."""

__all__ = [
    "NUMERICS",
    "TRAINER_SCIENCE",
    "Grown",
    "NoOptions",
    "Options",
    "Registry",
    "UltError",
    "atomic_path",
    "canonical",
    "canonical_json",
    "check_trainer_arguments",
    "check_value",
    "digest",
    "environment",
    "fault",
    "file_lock",
    "grid_reach",
    "grow_grid",
    "lazily",
    "load_plugins",
    "nearest",
    "once",
    "option",
    "plugin_folders",
    "provide",
    "provided",
    "read_options",
    "trainer_arguments",
    "unknown",
    "unwritable",
    "without_repeats",
    "write_bytes",
    "write_text",
]
