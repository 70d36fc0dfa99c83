"""What a method finds: a mask and its extras, as a value, in the file, and in the description."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ult_lightning.tickets import Mask, Subnetwork, Ticket, TicketError, describe

Make = Callable[..., Ticket]

MASK = Mask({"w": [[1, 0], [1, 1]], "b": [1, 0]})
ONES = Mask({"w": np.ones((2, 2)), "b": np.ones(2)})
WEIGHT = np.float32([[0.5, -2], [-3, 4]])


def test_the_values_of_each_kind() -> None:
    signs, coat = Mask({"w": [[0, 1], [1, 0]], "b": [0, 0]}), Mask({"w": [[1, 0], [0, 0]], "b": [0, 0]})
    two = np.float32(2)
    wanted: list[tuple[Subnetwork, Any]] = [
        (Subnetwork(MASK), [[0.5, 0], [-3, 4]]),
        (Subnetwork(MASK, {"w": two}), [[2, 0], [-2, 2]]),
        (Subnetwork(MASK, {"b": two}), [[0.5, 0], [-3, 4]]),
        (Subnetwork(MASK, planes={"signs": signs}), [[-0.5, 0], [3, -4]]),
        (Subnetwork(MASK, {"w": two}, {"signs": signs}), [[-2, 0], [2, -2]]),
        (Subnetwork(MASK, planes={"coats_1": coat}), [[1, 0], [-3, 4]]),
        (Subnetwork(MASK, {"w": two}, {"coats_1": coat, "coats_2": coat}), [[6, 0], [-2, 2]]),
    ]
    for subnetwork, values in wanted:
        result = subnetwork.values("w", WEIGHT)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, np.float32(values), err_msg=repr(subnetwork))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.floats(0, 2.0**127, width=32), st.booleans())
def test_the_file_keeps_every_bit(make: Make, scale: float, signed: bool) -> None:
    ticket = make()
    planes = {"signs": ticket.mask} if signed else {}
    extra = Subnetwork(ticket.mask, {"a.bias": np.float32(scale)}, planes)
    full = dataclasses.replace(ticket, subnetwork=extra)
    again = Ticket.from_bytes(full.to_bytes())
    assert again.subnetwork == extra
    assert again == full != ticket
    assert again.to_bytes() == full.to_bytes()


def test_its_cost_is_in_the_description(make: Make) -> None:
    ticket = make()
    assert ticket.subnetwork.bits == {"mask": 1.0}
    assert "Subnetwork" not in describe(ticket)
    extra = Subnetwork(ticket.mask, {"a.bias": np.float32(1)}, {"signs": ticket.mask})
    total = ticket.mask.total
    assert extra.bits == {"mask": 1.0, "scales": 32 / total, "signs": 1.0}
    text = describe(dataclasses.replace(ticket, subnetwork=extra))
    assert re.search(rf"Subnetwork +mask 1 bit per parameter, scales {32 / total:.3g}, signs 1", text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"w": [1]},), "mask: got .*, wanted a Mask"),
        ((MASK, [1]), "scales: got .*, wanted a mapping by name"),
        ((MASK, {"v": np.float32(1)}), "scales: got 'v'"),
        ((MASK, {"w": np.float64(1)}), "scales of w: got 'float64 of shape .*', wanted one float32"),
        ((MASK, {"w": np.float32([1])}), "scales of w: got 'float32 of shape .*', wanted one float32"),
        ((MASK, {"w": np.float32(np.nan)}), "scales of w: got .*nan.*, wanted one float32"),
        ((MASK, {}, {"sings": MASK}), "planes: got 'sings', .*signs"),
        ((MASK, {}, {"coats_0": MASK}), "planes: got 'coats_0'"),
        ((MASK, {}, {"signs": Mask({"w": [1]})}), "planes of signs: got .*, wanted a Mask with the names"),
        ((MASK, {}, {"coats_1": ONES}), "planes of coats_1: got .*, wanted a part of the mask"),
    ],
)
def test_refusals(arguments: Any, message: str) -> None:
    with pytest.raises(TicketError, match=f"^{message}"):
        Subnetwork(*arguments)
