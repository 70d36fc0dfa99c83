"""The settings of a search: one frozen value, of which what is not at its default enters the ticket's id."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ult_lightning.base import TRAINER_SCIENCE, Options, UltError, check_trainer_arguments, fault, read_options, unknown
from ult_lightning.search.methods import METHODS, Learner, Scorer
from ult_lightning.search.objectives import OBJECTIVES

_LARGEST = 1e30  # room for the sums and products of float32
_EPOCHS = 6
_PRECISIONS = {"32": "32", "32-true": "32", "bf16": "bf16", "bf16-mixed": "bf16", "16": "16", "16-mixed": "16"}
_TRAINING = ("trainer", "head_lr")
_DATA = ("objective", "mixing", "loss_weights", "batch_size", "augment")
_CHOICES = {"mixing": ("alternate", "joint"), "select": ("last", "best")}


@dataclass(frozen=True)
class SearchSettings:
    """Settings of one search.

    ``method`` and ``objective``: names in METHODS and OBJECTIVES; ``method_options`` and ``objective_options``: their options,
    as a mapping or as the dataclass beside them. ``density``: share of each layer (or of the whole network, if the method's
    scope is global) that is kept, in (0, 1]. ``densities``: other densities for layers named by their parameter, e.g.
    ``{"0.weight": 0.9}``. ``mixing``: ``alternate`` gives every step a batch of one source, in turn; ``joint`` one forward over
    a batch of each. ``loss_weights``: one per source (default all 1). ``head_lr``: learning rate of the source heads.
    ``select``: the last mask or the one with the best mean validation accuracy over the sources. ``batch_size``: images per
    source and step. ``augment``: False for no augmentation, True for each task's own, or the name of one. ``trainer``:
    those arguments of Lightning's Trainer that change numbers (``TRAINER_SCIENCE``), such as max_epochs (default 6), max_steps
    (counts instead of it) and precision ("32", "bf16" or "16"). ``seed``: of the scores, the heads and the order of the batches.

    Raises ``UltError`` for anything else.
    """

    method: str = "edge_popup"
    method_options: Any = field(default_factory=dict)
    objective: str = "joint"
    objective_options: Any = field(default_factory=dict)
    density: float = 0.5
    densities: Mapping[str, float] | None = None
    mixing: str = "alternate"
    loss_weights: tuple[float, ...] | None = None
    head_lr: float = 0.01
    select: str = "last"
    batch_size: int = 128
    augment: bool | str = False
    trainer: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for family, registry in (("method", METHODS), ("objective", OBJECTIVES)):
            member = registry.get(getattr(self, family))
            options = getattr(self, f"{family}_options")
            if not isinstance(options, member.OPTIONS):
                plain = options.to_dict() if isinstance(options, Options) else options
                options = read_options(member.OPTIONS, plain, key=f"{family}.options")
            object.__setattr__(self, f"{family}_options", options)
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise unknown(name, str(getattr(self, name)), known)
        self._check_densities()
        _whole("batch_size", self.batch_size, 1)
        _whole("seed", self.seed, 0)
        _real("head_lr", self.head_lr)
        if self.loss_weights is not None:
            object.__setattr__(self, "loss_weights", tuple(self.loss_weights))
            for weight in self.loss_weights:
                _real("loss_weights", weight)
        object.__setattr__(self, "trainer", _checked_trainer(self.trainer))
        if self.select == "best" and issubclass(self.method_class, Scorer):
            raise fault("select", "best", f"last, since {self.method} does not train", "leave it out")

    def _check_densities(self) -> None:
        check_density("density", self.density)
        for name, density in (self.densities or {}).items():
            check_density(f"densities.{name}", density)
        if self.densities and self.pooled:
            wanted = "method.options.scope=layer, since scope=global has one density for all"
            raise fault("densities", dict(self.densities), wanted)

    @property
    def method_class(self) -> type[Learner] | type[Scorer]:
        """The class of the method."""
        return METHODS.get(self.method)

    @property
    def pooled(self) -> bool:
        """Whether the density holds over all layers together."""
        return getattr(self.method_options, "scope", "layer") == "global"

    @property
    def precision(self) -> str:
        """One of "32", "bf16" and "16"."""
        return str(self.trainer.get("precision", "32"))

    @property
    def max_steps(self) -> int | None:
        """Optimizer steps, where they are given."""
        steps: int | None = self.trainer.get("max_steps")
        return steps

    def steps(self, batches: int) -> int:
        """Optimizer steps of a search whose epoch has ``batches`` batches (before ``limit_train_batches``)."""
        return self.max_steps or int(self.trainer.get("max_epochs", _EPOCHS)) * self.steps_per_epoch(batches)

    def steps_per_epoch(self, batches: int) -> int:
        """Optimizer steps of one epoch of ``batches`` batches."""
        limit = self.trainer.get("limit_train_batches")
        if limit is not None:
            batches = int(batches * limit) if isinstance(limit, float) else min(batches, limit)
        return max(1, -(-batches // int(self.trainer.get("accumulate_grad_batches", 1))))

    def with_steps(self, steps: int) -> SearchSettings:
        """The same settings, for so many optimizer steps."""
        rest = {name: value for name, value in self.trainer.items() if name != "max_epochs"}
        return replace(self, trainer={**rest, "max_steps": steps})

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON values; the constructor takes them back."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for family in ("method", "objective"):
            plain[f"{family}_options"] = plain[f"{family}_options"].to_dict()
        plain["densities"] = dict(self.densities) if self.densities else None
        plain["loss_weights"] = list(self.loss_weights) if self.loss_weights else None
        return {**plain, "trainer": dict(self.trainer)}

    def given(self) -> dict[str, Any]:
        """What is not at its default, as JSON values: what enters an id. A scorer is not trained, so that no setting of
        training counts.
        """
        plain = self.to_dict()
        idle: tuple[str, ...] = ()
        if issubclass(self.method_class, Scorer):
            idle = _TRAINING if self.method_class.reads_data else (*_TRAINING, *_DATA)
        changed = {n: v for n, v in plain.items() if n not in idle and not n.endswith("_options") and v != _DEFAULTS[n]}
        for family in ("method", "objective"):
            options = getattr(self, f"{family}_options").given()
            if options and family not in idle:
                changed[f"{family}_options"] = options
        return changed


def _checked_trainer(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Those arguments that are not at their defaults, the precision in one word, and one count of steps or epochs."""
    check_trainer_arguments(trainer)
    for name, value in trainer.items():
        if name not in TRAINER_SCIENCE:
            mend = f"pass it as find_ticket(..., trainer={{'{name}': ...}})"
            raise fault(f"trainer.{name}", value, "an argument that changes numbers", mend)
    changed = {name: value for name, value in trainer.items() if value != TRAINER_SCIENCE[name]}
    precision = str(changed.pop("precision", "32"))
    if precision not in _PRECISIONS:
        raise unknown("trainer.precision", precision, _PRECISIONS)
    if _PRECISIONS[precision] != "32":
        changed["precision"] = _PRECISIONS[precision]
    for name in ("max_epochs", "max_steps", "accumulate_grad_batches", "check_val_every_n_epoch"):
        if name in changed:
            _whole(f"trainer.{name}", changed[name], 1)
    for name in ("limit_train_batches", "limit_val_batches"):
        limit = changed.get(name, 1)
        if isinstance(limit, bool) or not isinstance(limit, int | float) or limit <= 0:
            raise fault(f"trainer.{name}", limit, "a number of batches above 0, or a share of them up to 1.0")
    if "max_steps" in changed or changed.get("max_epochs") == _EPOCHS:
        changed.pop("max_epochs", None)
    return changed


def check_density(name: str, density: Any) -> float:
    """``density`` as a float; raises ``UltError`` unless it is a number in (0, 1]."""
    if isinstance(density, bool) or not isinstance(density, int | float) or not 0 < density <= 1:
        raise fault(name, density, "a number above 0, at most 1: the share of parameters kept", "say density=0.5")
    return float(density)


def kept_counts(shapes: Mapping[str, tuple[int, ...]], settings: SearchSettings) -> dict[str, int]:
    """How many entries each parameter keeps: round(density * n), at least one for a bias.

    With a global scope only the sums over all weights and over all biases count. Raises ``UltError`` if a name in
    ``densities`` is no parameter, or if a layer's weight (all weights with a global scope) would be left empty.
    """
    for name in settings.densities or {}:
        if name not in shapes:
            raise unknown("densities", name, tuple(shapes))
    densities = {name: (settings.densities or {}).get(name, settings.density) for name in shapes}
    shares = {name: densities[name] * math.prod(shape) for name, shape in shapes.items()}
    kept = {name: max(round(share), int(name.endswith("bias"))) for name, share in shares.items()}
    weights = [name for name in shapes if not name.endswith("bias")]
    if settings.pooled:
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
    return UltError(
        f"density: got {density}, which keeps none of the {n} {which}; say at least "
        f"density={math.ceil(least / digit) * digit:.2g}."
    )


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
    """``auto`` to bf16 where the hardware computes in bfloat16, else 32; Lightning's words to "32", "bf16" or "16"."""
    import torch

    precision = str(precision)
    if precision != "auto":
        if precision not in _PRECISIONS:
            raise unknown("trainer.precision", precision, ("auto", *_PRECISIONS))
        return _PRECISIONS[precision]
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


_DEFAULTS = SearchSettings().to_dict()
