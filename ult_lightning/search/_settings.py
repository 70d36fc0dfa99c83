"""What a search is told: one frozen value, whose science part is hashed into the ticket's id."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ult_lightning.base import UltError, fault, unknown

SCHEDULES = ("cosine", "constant")
"""Learning rates over the steps of a training: a cosine from 1 to 0, or constant."""

_LARGEST = 1e30  # room for the sums and products of float32
_CHOICES = {
    "scope": ("layer", "global"),
    "mixing": ("alternate", "joint"),
    "optimizer": ("sgd", "adam"),
    "schedule": SCHEDULES,
    "select": ("last", "best"),
    "precision": ("32", "bf16"),
}


@dataclass(frozen=True)
class SearchSettings:
    """Settings of one search.

    ``density``: share of each layer (``scope="layer"``) or of all weights together (``scope="global"``) that is kept,
    in (0, 1]. ``densities``: other densities for layers named by their parameter, e.g. ``{"0.weight": 0.9}``.
    ``mixing``: ``alternate`` gives every step a batch of one source, in turn; ``joint`` one forward over a batch of each.
    ``loss_weights``: one per source (default all 1). ``max_steps``, if given, counts instead of ``max_epochs``.
    ``select``: the last mask or the one with the best mean validation accuracy over the sources. ``precision``: "32" or
    "bf16" (autocast). Raises ``UltError`` for anything else.
    """

    method: str = "edge_popup"
    density: float = 0.5
    densities: Mapping[str, float] | None = None
    scope: str = "layer"
    mixing: str = "alternate"
    loss_weights: tuple[float, ...] | None = None
    max_epochs: int = 6
    max_steps: int | None = None
    batch_size: int = 128
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    head_lr: float = 0.01
    schedule: str = "cosine"
    augment: bool = False
    select: str = "last"
    precision: str = "32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise unknown(name, str(value), known)
        check_density("density", self.density)
        for name, density in (self.densities or {}).items():
            check_density(f"densities.{name}", density)
        if self.densities and self.scope == "global":
            raise fault(
                "densities", dict(self.densities), "scope=layer, since scope=global has one density for all"
            )
        for name in ("max_epochs", "batch_size"):
            _whole(name, getattr(self, name), 1)
        if self.max_steps is not None:
            _whole("max_steps", self.max_steps, 1)
        _whole("seed", self.seed, 0)
        for name in ("lr", "momentum", "weight_decay", "head_lr"):
            _real(name, getattr(self, name))
        if self.loss_weights is not None:
            object.__setattr__(self, "loss_weights", tuple(self.loss_weights))
            for weight in self.loss_weights:
                _real("loss_weights", weight)

    def science(self) -> dict[str, Any]:
        """All settings as JSON values; with ``max_steps`` given, ``max_epochs`` does not count."""
        found = asdict(self)
        found["densities"] = dict(self.densities or {})
        found["loss_weights"] = list(self.loss_weights) if self.loss_weights else None
        if self.max_steps is not None:
            found["max_epochs"] = None
        return found


def check_density(name: str, density: Any) -> float:
    """``density`` as a float; raises ``UltError`` unless it is a number in (0, 1]."""
    if isinstance(density, bool) or not isinstance(density, int | float) or not 0 < density <= 1:
        raise fault(
            name, density, "a number above 0, at most 1: the share of parameters kept", "say density=0.5"
        )
    return float(density)


def kept_counts(shapes: Mapping[str, tuple[int, ...]], settings: SearchSettings) -> dict[str, int]:
    """How many entries each parameter keeps: round(density * n), at least one for a bias.

    With ``scope="global"`` only the sums over all weights and over all biases count. Raises ``UltError`` if a name in
    ``densities`` is no parameter, or if a layer's weight (all weights with ``scope="global"``) would be left empty.
    """
    for name in settings.densities or {}:
        if name not in shapes:
            raise unknown("densities", name, tuple(shapes))
    densities = {name: (settings.densities or {}).get(name, settings.density) for name in shapes}
    shares = {name: densities[name] * math.prod(shape) for name, shape in shapes.items()}
    kept = {name: max(round(share), int(name.endswith("bias"))) for name, share in shares.items()}
    weights = [name for name in shapes if not name.endswith("bias")]
    if settings.scope == "global":
        largest = max(weights, key=lambda name: math.prod(shapes[name]))
        kept[largest] += round(sum(shares[name] for name in weights)) - sum(kept[name] for name in weights)
        if sum(kept[name] for name in weights) == 0:
            raise _nothing(settings.density, sum(math.prod(shapes[name]) for name in weights), "weights")
        return kept
    for name in weights:
        if kept[name] == 0:
            raise _nothing(densities[name], math.prod(shapes[name]), f"weights of {name}")
    return kept


def _nothing(density: float, n: int, which: str) -> UltError:
    least = 0.51 / n
    digit = 10.0 ** (math.floor(math.log10(least)) - 1)  # two digits, rounded up
    return UltError(f"density: got {density}, which keeps none of the {n} {which}; say at least "
                    f"density={math.ceil(least / digit) * digit:.2g}.")  # fmt: skip


def resolve_device(device: str) -> str:
    """``auto`` to cuda where there is one, else cpu; raises ``UltError`` for a device this machine lacks."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    known = ["cpu", *(["cuda"] if there else []), *there]
    if device not in known:
        raise fault("device", device, f"auto or a device of this machine: {', '.join(known)}")
    return device


def resolve_precision(precision: str, device: str) -> str:
    """``auto`` to bf16 where the hardware computes in bfloat16, else 32; other words pass through."""
    import torch

    precision = str(precision)
    if precision != "auto":
        if precision not in _CHOICES["precision"]:
            raise unknown("precision", precision, ("auto", *_CHOICES["precision"]))
        return precision
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "32"
    return "bf16" if _cpu_has_bfloat16() else "32"


def _cpu_has_bfloat16() -> bool:
    import torch

    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes)


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise fault(name, value, f"a whole number, at least {least}")


def _real(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LARGEST:
        raise fault(name, value, f"a number from 0 to below {_LARGEST:g}")
