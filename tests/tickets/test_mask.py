from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ult_lightning.tickets import Mask, TicketError

masks = st.dictionaries(
    st.text(min_size=1, max_size=3),
    arrays(np.bool_, array_shapes(min_dims=0, max_dims=4, max_side=5)),
    min_size=1,
    max_size=4,
)


@given(parts=masks)
def test_bits_come_back(parts: dict[str, np.ndarray]) -> None:
    mask = Mask(parts)
    packed = mask.packed()
    assert packed.dtype == np.uint8
    assert packed.shape == ((mask.total + 7) // 8,)
    again = Mask.unpack(packed, mask.shapes)
    assert again == mask
    assert hash(again) == hash(mask)
    assert again.names == tuple(parts)
    for name, part in parts.items():
        assert np.array_equal(again[name], part)


@given(parts=masks)
def test_counts_agree_with_a_loop(parts: dict[str, np.ndarray]) -> None:
    mask = Mask(parts)
    bits = [bool(bit) for part in parts.values() for bit in part.flat]
    assert mask.total == len(bits)
    assert mask.kept == sum(bits)
    assert mask.density == sum(bits) / len(bits)
    assert mask.densities == {name: float(np.mean(part)) for name, part in parts.items()}
    assert bytes(mask.packed()) == _packed_slowly(bits)


def _packed_slowly(bits: list[bool]) -> bytes:
    padded = bits + [False] * (-len(bits) % 8)
    return bytes(int("".join("01"[bit] for bit in padded[i : i + 8]), 2) for i in range(0, len(padded), 8))


def test_the_order_of_bits_is_fixed() -> None:
    mask = Mask({"z": [[1, 0], [0, 1]], "a": [1, 1, 1, 1, 0, 1]})
    assert mask.packed().tolist() == [0b10011111, 0b01000000]


def test_parts_are_read_only_copies() -> None:
    source = np.zeros((2, 3))
    mask = Mask({"w": source})
    source[:] = 1
    assert mask.kept == 0
    with pytest.raises(ValueError, match=r"read-only"):
        mask["w"][0, 0] = True


def test_any_memory_order_is_the_same_mask() -> None:
    part = np.arange(24).reshape(2, 3, 4) % 2 == 0
    turned = np.asfortranarray(part)
    assert not turned.flags.c_contiguous
    assert Mask({"w": turned}) == Mask({"w": part})
    assert Mask({"w": turned})["w"].flags.c_contiguous
    assert bytes(Mask({"w": turned}).packed()) == bytes(Mask({"w": part}).packed())


@pytest.mark.parametrize("kind", [bool, int, float, "f4", "u1"])
def test_kinds_of_numbers(kind: object) -> None:
    assert Mask({"w": np.array([1, 0, 1], dtype=kind)}) == Mask({"w": [True, False, True]})


def test_masks_differ_by_bits_names_shapes_and_order() -> None:
    mask = Mask({"a": [1, 0], "b": [1]})
    assert mask == Mask({"a": [1, 0], "b": [1]})
    for other in ({"a": [1, 1], "b": [1]}, {"a": [1, 0], "c": [1]}, {"a": [[1, 0]], "b": [1]}, {"b": [1], "a": [1, 0]}):
        assert mask != Mask(other)
    assert mask != "mask"


def test_it_reads_like_a_mapping() -> None:
    mask = Mask({"a": [1, 0], "b": [[1]]})
    assert list(mask) == ["a", "b"]
    assert len(mask) == 2
    assert "a" in mask
    assert "c" not in mask
    assert mask.shapes == {"a": (2,), "b": (1, 1)}
    assert repr(mask) == "Mask(2 tensors, 2 of 3 kept, density 0.6667)"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "mask: got {}, wanted a mapping of at least one parameter name to its 0/1 array."),
        ([1, 0], r"mask: got \[1, 0\], wanted a mapping"),
        ({"": [1]}, "mask: got '', wanted parameter names as keys."),
        ({3: [1]}, "mask: got 3, wanted parameter names as keys."),
        ({"w": [1, 2]}, "mask of w: got 2, wanted nothing but 0 and 1."),
        ({"w": [0.5]}, "mask of w: got 0.5, wanted nothing but 0 and 1."),
        ({"w": [-1, 0]}, "mask of w: got -1, wanted nothing but 0 and 1."),
        ({"w": [1, float("nan")]}, "mask of w: got nan, wanted nothing but 0 and 1."),
        ({"w": ["1"]}, "mask of w: got 'dtype <U1', wanted an array of 0 and 1."),
        ({"w": [[1], [1, 0]]}, "mask of w: got 'list', wanted an array of 0 and 1."),
        ({"w": np.zeros((3, 0))}, r"mask of w: got \(3, 0\), wanted a shape with at least one parameter."),
    ],
)
def test_refusals(parts: object, message: str) -> None:
    with pytest.raises(TicketError, match=f"^{message}"):
        Mask(parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (np.zeros(1, np.uint8), r"mask: got 'uint8 of shape \(1,\)', wanted 2 bytes for the 9 parameters"),
        (np.zeros(3, np.uint8), "mask: got 'uint8 of shape"),
        (np.zeros(2, np.int8), "mask: got 'int8 of shape"),
        (np.zeros((1, 2), np.uint8), r"mask: got 'uint8 of shape \(1, 2\)'"),
        (np.array([0, 1], np.uint8), "mask: got 'a set bit', wanted zeros after the last of its 9 parameters."),
        (np.array([0, 64], np.uint8), "mask: got 'a set bit'"),
    ],
)
def test_refused_bits(packed: np.ndarray, message: str) -> None:
    assert Mask.unpack(np.array([0, 128], np.uint8), {"w": (3, 3)})["w"][2, 2]
    with pytest.raises(TicketError, match=f"^{message}"):
        Mask.unpack(packed, {"w": (3, 3)})
