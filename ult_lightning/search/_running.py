"""What training a learner and asking a scorer share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from pytorch_lightning import Callback
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ult_lightning.base import UltError
from ult_lightning.nets import Mother, as_arrays, constants, hash_arrays, maskable
from ult_lightning.search._search_settings import SearchSettings
from ult_lightning.tickets import Mask, MotherSpec, Subnetwork

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from ult_lightning.data import Task, TaskDataModule


class SearchError(UltError):
    """A search that cannot go on."""


class EmptyLayerWarning(UserWarning):
    """A layer of which the mask keeps nothing."""


class VanishedBiasWarning(UserWarning):
    """Biases that were to be other than zero, and are too small to count."""


_VANISHED = 1e-12


@dataclass(frozen=True)
class Running:
    """How a search is run, which changes no number: see ``find_ticket``."""

    trainer: Mapping[str, Any]
    callbacks: Sequence[Callback]
    logger: Logger | Sequence[Logger] | None
    device: str
    run_dir: str | Path | None
    progress: bool
    notice: Callable[[str], None]


@dataclass(frozen=True)
class SearchResult:
    """What a method found, and on what mother."""

    subnetwork: Subnetwork
    fingerprint: str
    device: str
    steps: int = 0
    heads: Sequence[nn.Module] = ()
    resumed: int | None = None
    seconds_before: float = 0.0


def source_data(sources: Sequence[Task], spec: MotherSpec, settings: SearchSettings) -> TaskDataModule:
    return sources[0].module(
        sources,
        batch_size=settings.batch_size,
        mixing=cast(Any, settings.mixing),
        seed=settings.seed,
        augment=settings.augment,
        range=spec.input.range,
    )


def device_word(device: torch.device) -> str:
    return device.type if device.index is None or device.type == "cpu" else f"{device.type}:{device.index}"


def source_names(sources: Sequence[Task]) -> list[str]:
    """The ids of the sources, told apart by position where two are the same."""
    ids = [t.id for t in sources]
    return [i if ids.count(i) == 1 else f"{i}#{n}" for n, i in enumerate(ids)]


def maskable_shapes(mother: Mother) -> dict[str, tuple[int, ...]]:
    """The shape of each maskable parameter, by name, in order; also while they are parametrized."""
    return {name: tuple(p.shape) for name, p in originals(mother).items()}


def originals(mother: Mother) -> dict[str, Tensor]:
    """The maskable parameters, under their parametrizations if they have any."""
    originals: dict[str, Tensor] = {}
    for name in maskable(mother.body):
        prefix, _, leaf = name.rpartition(".")
        layer = mother.body.get_submodule(prefix)
        if parametrize.is_parametrized(layer, leaf):
            layer, leaf = layer.get_submodule(f"parametrizations.{leaf}"), "original"
        originals[name] = getattr(layer, leaf)
    return originals


def originals_fingerprint(mother: Mother) -> str:
    """The fingerprint of the weights under the parametrizations."""
    rest = {n: p for n, p in constants(mother.body).items() if ".parametrizations." not in f".{n}"}
    return hash_arrays(as_arrays({**originals(mother), **rest}).items())


def warn_of_vanished_biases(mother: Mother, spec: MotherSpec) -> None:
    if spec.bias != "nonzero":
        return
    biases = {name: p for name, p in originals(mother).items() if name.endswith("bias")}
    gone = [name for name, p in biases.items() if float(p.abs().max()) < _VANISHED]
    if gone:
        warnings.warn(
            f"The non-zero biases of {len(gone)} of {len(biases)} layers are below {_VANISHED:g}, from {gone[0]} "
            "on: their scale is the product of all layers' so far; take a shallower net.",
            VanishedBiasWarning,
            stacklevel=3,
        )


def warn_of_empty_layers(mask: Mask) -> None:
    empty = [n for n, d in mask.densities.items() if d == 0 and n.endswith("weight")]
    if empty:
        warnings.warn(
            f"The mask keeps nothing of {', '.join(empty)}: no signal passes there; raise density, or set scope=layer.",
            EmptyLayerWarning,
            stacklevel=3,
        )
