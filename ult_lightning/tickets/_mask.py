"""Which parameters of a mother are kept: one bit each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.tickets._mother_spec import wrong

Bits = NDArray[np.bool_]
Packed = NDArray[np.uint8]


class Mask:
    """0/1 per maskable parameter, by parameter name, in the mother's fixed order.

    `parts`: name to array of the parameter's shape, with nothing but 0 and 1 in it (bool, whole or real numbers,
    anything that NumPy reads; copied). Parameters are in the order of `parts`.

    Raises TicketError for an empty mask, an empty parameter, and any value besides 0 and 1.

    >>> mask = Mask({"conv.weight": np.eye(3), "fc.weight": np.ones((1, 2))})
    >>> mask.kept, mask.total, round(mask.density, 3)
    (5, 11, 0.455)
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: Mapping[str, Any]) -> None:
        if not isinstance(parts, Mapping) or not parts:
            raise wrong("mask", parts, "a mapping of at least one parameter name to its 0/1 array")
        self._parts: dict[str, Bits] = {name: _bits(name, part) for name, part in parts.items()}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._parts)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: part.shape for name, part in self._parts.items()}

    @property
    def total(self) -> int:
        """How many parameters can be masked."""
        return sum(part.size for part in self._parts.values())

    @property
    def kept(self) -> int:
        """How many parameters are kept."""
        return sum(int(np.count_nonzero(part)) for part in self._parts.values())

    @property
    def density(self) -> float:
        """The share of parameters that is kept, over the whole mask."""
        return self.kept / self.total

    @property
    def densities(self) -> dict[str, float]:
        """The share that is kept, by parameter."""
        return {name: int(np.count_nonzero(part)) / part.size for name, part in self._parts.items()}

    def packed(self) -> Packed:
        """One bit per parameter, (ceil(total / 8),) uint8.

        All parameters flattened in C order and joined in order; the first one is the highest bit of the first byte, and
        the unused low bits of the last byte are 0.
        """
        return np.packbits(np.concatenate([part.ravel() for part in self._parts.values()]))

    @classmethod
    def unpack(cls, packed: Packed, shapes: Mapping[str, Sequence[int]]) -> Mask:
        """The mask whose `packed()` and `shapes` these are.

        Raises TicketError where the number of bytes does not fit the shapes, or an unused bit is set.
        """
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        total = sum(sizes.values())
        wanted = (total + 7) // 8
        if packed.dtype != np.uint8 or packed.shape != (wanted,):
            got = f"{packed.dtype} of shape {packed.shape}"
            raise wrong("mask", got, f"{wanted} bytes for the {total} parameters of its shapes")
        bits = np.unpackbits(packed)
        if bits[total:].any():
            raise wrong("mask", "a set bit", f"zeros after the last of its {total} parameters")
        ends = np.cumsum(list(sizes.values()))
        parts = np.split(bits[:total].view(np.bool_), ends[:-1])
        return cls({name: part.reshape(tuple(shapes[name])) for name, part in zip(shapes, parts, strict=True)})

    def __getitem__(self, name: str) -> Bits:
        """The read-only bool array of one parameter; raises KeyError for a name that is not there."""
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        same = self.names == other.names and self.shapes == other.shapes
        return same and all(np.array_equal(part, other[name]) for name, part in self._parts.items())

    def __hash__(self) -> int:
        return hash((self.names, self.packed().tobytes()))

    def __repr__(self) -> str:
        return f"Mask({len(self)} tensors, {self.kept:,} of {self.total:,} kept, density {self.density:.4g})"


def _bits(name: object, part: Any) -> Bits:
    if not isinstance(name, str) or not name:
        raise wrong("mask", name, "parameter names as keys")
    try:
        array = np.asarray(part)
    except Exception as cause:  # whatever the user's own array type raises when NumPy reads it
        raise wrong(f"mask of {name}", type(part).__name__, "an array of 0 and 1") from cause
    if array.dtype.kind not in "biuf":
        raise wrong(f"mask of {name}", f"dtype {array.dtype}", "an array of 0 and 1")
    if array.size == 0:
        raise wrong(f"mask of {name}", array.shape, "a shape with at least one parameter")
    strange = (array != 0) & (array != 1)
    if strange.any():
        other = array[strange].flat[0]
        raise wrong(f"mask of {name}", other.item(), "nothing but 0 and 1")
    bits = np.array(array, dtype=np.bool_, order="C")
    bits.setflags(write=False)
    return bits
