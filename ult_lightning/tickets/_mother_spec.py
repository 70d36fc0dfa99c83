"""What a mother is: everything that is needed to draw the same random network again."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal

from ult_lightning.base import UltError, canonical_json, fault
from ult_lightning.base._hashing import json_mapping

Json = Any  # None, bool, int, float, str, or lists and text-keyed mappings of these

RANGES = ("standardized", "unit")
NORMS = ("batch", "layer", "none")
BIASES = ("none", "zeros", "nonzero")
_MOST_NUMBERS = 100_000_000
_ADAPTER = re.compile(r"(?:crop([1-9][0-9]{0,5}))?pool([1-9][0-9]{0,5})")
_ADAPTERS = "'none', 'pool<H>' or 'crop<S>pool<H>', as in 'pool7'"
_SEED_END = 2**63


class TicketError(UltError):
    """A ticket, or a part of one, that cannot be what it claims to be."""


wrong = partial(fault, error=TicketError)
"""The `base.fault` of this room, for the caller to raise."""


@dataclass(frozen=True)
class InputSpec:
    """What a mother is fed with.

    `shape`: (c, h, w) of one image. `range`: "standardized" (per channel, with the statistics of the task's training
    split) or "unit" (values in [0, 1]). `adapter`: "none", "pool<H>": average pooling to H x H pixels before the first
    layer, or "crop<S>pool<H>": the same of the central S x S pixels.

    Raises TicketError for anything else.
    """

    shape: tuple[int, int, int] = (3, 32, 32)
    range: Literal["standardized", "unit"] = "standardized"
    adapter: str = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _image_shape(self.shape))
        one_of("input.range", self.range, RANGES)
        if not isinstance(self.adapter, str) or (self.adapter != "none" and self._sides() is None):
            raise wrong("input.adapter", self.adapter, _ADAPTERS)
        crop, pool = self._sides() or (1, 1)
        side = min(self.shape[1:])
        if crop is not None and crop > side:
            raise wrong("input.adapter", self.adapter, f"a crop of at most {side}")
        if pool > (crop or side):
            raise wrong("input.adapter", self.adapter, f"a pool of at most {crop or side}", "pooling never enlarges")

    def _sides(self) -> tuple[int | None, int] | None:
        match = _ADAPTER.fullmatch(self.adapter)
        return None if match is None else (int(match[1]) if match[1] else None, int(match[2]))

    @property
    def crop(self) -> int | None:
        """The side of the central square that is cut out before pooling, None for the whole image."""
        return (self._sides() or (None, None))[0]

    @property
    def pool(self) -> int | None:
        """The side that images are average-pooled to, None where they are not."""
        return (self._sides() or (None, None))[1]

    def to_dict(self) -> dict[str, Json]:
        """The JSON form: `InputSpec.from_dict` reads it back."""
        return {"shape": list(self.shape), "range": self.range, "adapter": self.adapter}

    @classmethod
    def from_dict(cls, source: Mapping[str, Json]) -> InputSpec:
        """The spec of a JSON form; raises TicketError for unknown keys and wrong values."""
        return cls(**_known("input", source, cls))


@dataclass(frozen=True)
class MotherSpec:
    """One random network, described so that anybody can draw it again.

    `net`: the name of the architecture, with its `options` (JSON values). `norm`: "batch" (statistics stored in the
    ticket), "layer" (stateless) or "none". `init`: the name of the weight init. `scale_fan`: the density the init's
    scale is corrected for, or None. `bias`: "none", "zeros" or "nonzero". `seed`: 0 <= seed < 2**63.

    Names of nets and inits are checked where they are registered, everything else here: raises TicketError.

    >>> MotherSpec("conv4", seed=3).to_dict()["init"]
    'signed_constant'
    """

    net: str
    options: Mapping[str, Json] = field(default_factory=dict)
    norm: str = "batch"
    init: str = "signed_constant"
    scale_fan: float | None = None
    bias: str = "none"
    seed: int = 0
    input: InputSpec = field(default_factory=InputSpec)

    def __post_init__(self) -> None:
        _text("net", self.net)
        object.__setattr__(self, "options", json_mapping("options", self.options, TicketError))
        one_of("norm", self.norm, NORMS)
        _text("init", self.init)
        object.__setattr__(self, "scale_fan", _density("scale_fan", self.scale_fan))
        one_of("bias", self.bias, BIASES)
        seed = whole("seed", self.seed)
        if not 0 <= seed < _SEED_END:
            raise wrong("seed", self.seed, "a whole number from 0 to 2**63 - 1")
        object.__setattr__(self, "seed", seed)
        if not isinstance(self.input, InputSpec):
            raise wrong("input", self.input, "an InputSpec")

    def __hash__(self) -> int:
        return hash(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Json]:
        """The JSON form: `MotherSpec.from_dict` reads it back."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {**own, "options": json.loads(canonical_json(self.options)), "input": self.input.to_dict()}

    @classmethod
    def from_dict(cls, source: Mapping[str, Json]) -> MotherSpec:
        """The spec of a JSON form; raises TicketError for unknown keys, a missing net and wrong values."""
        known = _known("spec", source, cls)
        if "net" not in known:
            raise wrong("spec", sorted(known), "the key 'net' among its keys")
        if "input" in known and not isinstance(known["input"], InputSpec):
            known["input"] = InputSpec.from_dict(known["input"])
        return cls(**known)


def one_of(argument: str, got: object, known: tuple[str, ...]) -> None:
    """Raise TicketError unless `got` is one of the words `known`."""
    if not isinstance(got, str) or got not in known:
        raise wrong(argument, got, f"one of {', '.join(known)}")


def whole(argument: str, got: object) -> int:
    """`got` as an int; raises TicketError for what is no whole number (True and 2.0 are none)."""
    try:
        if isinstance(got, bool):
            raise TypeError
        return operator.index(got)  # type: ignore[arg-type]
    except TypeError:
        raise wrong(argument, got, "a whole number") from None


def _known(what: str, source: object, cls: type[InputSpec] | type[MotherSpec]) -> dict[str, Json]:
    names = [f.name for f in fields(cls)]
    if not isinstance(source, Mapping):
        raise wrong(what, source, f"a mapping with the keys {', '.join(names)}")
    strange = sorted(str(key) for key in source if key not in names)
    if strange:
        raise wrong(what, strange[0], f"only the keys {', '.join(names)}")
    return dict(source)


def _text(argument: str, got: object) -> None:
    if not isinstance(got, str) or not got.strip():
        raise wrong(argument, got, "a name")


def _density(argument: str, got: object) -> float | None:
    if got is None:
        return None
    number = not isinstance(got, bool) and isinstance(got, (int, float))
    if not number or not math.isfinite(got) or not 0 < got <= 1:  # type: ignore[arg-type, operator]
        raise wrong(argument, got, "a density, 0 < density <= 1, or None")
    return float(got)  # type: ignore[arg-type]


def _image_shape(got: object) -> tuple[int, int, int]:
    wanted = "three whole numbers of at least 1: channels, height, width"
    if isinstance(got, (str, bytes)) or not hasattr(got, "__iter__"):
        raise wrong("input.shape", got, wanted)
    sides = tuple(whole("input.shape", side) for side in got)
    if len(sides) != 3 or min(sides) < 1:
        raise wrong("input.shape", got, wanted)
    if math.prod(sides) > _MOST_NUMBERS:
        raise wrong("input.shape", got, f"at most {_MOST_NUMBERS:,} numbers per image")
    return (sides[0], sides[1], sides[2])
