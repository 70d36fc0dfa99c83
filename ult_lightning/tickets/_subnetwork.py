"""What a method finds in a mother: a mask, and the named extras that some methods need beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import unknown
from ult_lightning.tickets._mask import Mask
from ult_lightning.tickets._mother_spec import TicketError, wrong

Floats = NDArray[np.float32]

SIGNS = "signs"
_PLANES = (SIGNS, "coats_1")
_COATS = re.compile(r"coats_[1-9][0-9]*")


@dataclass(frozen=True, eq=False)
class Subnetwork:
    """A mask over the parameters of a mother, and extras that change what a kept parameter is.

    Parameter `p` with the mother's value w and the mask m in {0, 1} becomes

    - `m * w` without extras;
    - `m * scales[p] * sign(w)` where `scales` has p: binary weights with one float32 scale per layer (biprop,
      Diffenderfer & Kailkhura 2021);
    - with the plane "signs", `sign(w)` and the sign of w are those of the plane: 1 for plus, 0 for minus;
    - with the planes "coats_1", "coats_2", ..., all of it times `m + coats_1 + coats_2 + ...` instead of m
      (multicoated supermasks, Okoshi et al. 2022); a coat is a part of the mask.

    `scales`: parameter name to a float32 scalar, shape (), finite and at least 0. `planes`: name to a `Mask` of the
    same names and shapes as `mask`. Arrays are copied and read-only.

    Raises TicketError for extras that do not fit the mask, and for a plane of another name.
    """

    mask: Mask
    scales: dict[str, Floats] = field(default_factory=dict)
    planes: dict[str, Mask] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.mask, Mask):
            raise wrong("mask", self.mask, "a Mask")
        for extra in ("scales", "planes"):
            if not isinstance(getattr(self, extra), Mapping):
                raise wrong(extra, getattr(self, extra), "a mapping by name")
        object.__setattr__(self, "scales", {n: self._scale(n, s) for n, s in sorted(self.scales.items())})
        for name, plane in self.planes.items():
            if name not in _PLANES and not _COATS.fullmatch(str(name)):
                raise unknown("planes", str(name), _PLANES, error=TicketError)
            if not isinstance(plane, Mask) or plane.shapes != self.mask.shapes:
                raise wrong(f"planes of {name}", plane, "a Mask with the names and shapes of the mask")
            if name != SIGNS and any((plane[p] & ~self.mask[p]).any() for p in self.mask):
                raise wrong(f"planes of {name}", "an entry outside of the mask", "a part of the mask")
        object.__setattr__(self, "planes", dict(sorted(self.planes.items())))

    def _scale(self, name: str, scale: object) -> Floats:
        value = np.asarray(scale)
        if name not in self.mask:
            raise unknown("scales", str(name), self.mask.names, error=TicketError)
        if value.shape != () or value.dtype != np.float32 or not 0 <= value < np.inf:
            got = f"{value.dtype} of shape {value.shape}" if value.shape or value.dtype != np.float32 else value
            raise wrong(f"scales of {name}", got, "one float32 number, finite and at least 0")
        copied: Floats = np.array(value, dtype=np.float32)
        copied.setflags(write=False)
        return copied

    @property
    def bits(self) -> dict[str, float]:
        """The cost of each part in bits per maskable parameter: mask 1, a plane 1, a scale 32 bits per layer."""
        scales = {"scales": 32 * len(self.scales) / self.mask.total} if self.scales else {}
        return {"mask": 1.0, **scales, **dict.fromkeys(self.planes, 1.0)}

    def values(self, name: str, weight: Floats) -> Floats:
        """The values of parameter `name` in the subnetwork, from the mother's `weight`, float32 of the same shape."""
        scaled = name in self.scales
        if SIGNS in self.planes:
            magnitude = np.float32(1) if scaled else np.abs(weight)
            weight = np.where(self.planes[SIGNS][name], magnitude, -magnitude)
        elif scaled:
            weight = np.sign(weight)
        layers = np.ones(weight.shape, dtype=np.float32)
        for plane, coat in self.planes.items():
            layers += coat[name] if plane != SIGNS else 0
        scale = self.scales.get(name, np.float32(1))
        result: Floats = np.where(self.mask[name], weight * layers * scale, np.float32(0)).astype(np.float32)
        return result

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Subnetwork):
            return NotImplemented
        return (self.mask, self.scales, self.planes) == (other.mask, other.scales, other.planes)

    def __hash__(self) -> int:
        return hash((self.mask, tuple(self.scales.items()), tuple(self.planes.items())))

    def __repr__(self) -> str:
        extras = [f"{len(self.scales)} scales"] * bool(self.scales) + [f"plane {name}" for name in self.planes]
        return f"Subnetwork({', '.join([repr(self.mask), *extras])})"
