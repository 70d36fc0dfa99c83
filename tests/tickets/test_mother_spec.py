from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.base import UltError, canonical_json
from ult_lightning.tickets import InputSpec, MotherSpec, TicketError

specs = st.builds(
    MotherSpec,
    net=st.sampled_from(["conv4", "torchvision", "ä net"]),
    options=st.dictionaries(st.text(max_size=4), st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)),
    norm=st.sampled_from(["batch", "layer", "none"]),
    init=st.sampled_from(["signed_constant", "orthogonal"]),
    scale_fan=st.none() | st.floats(0.001, 1),
    bias=st.sampled_from(["none", "zeros", "nonzero"]),
    seed=st.integers(0, 2**63 - 1),
    input=st.builds(
        InputSpec,
        shape=st.tuples(st.integers(1, 4), st.integers(7, 64), st.integers(7, 64)),
        range=st.sampled_from(["standardized", "unit"]),
        adapter=st.sampled_from(["none", "pool7", "pool1", "crop7pool5"]),
    ),
)


@given(spec=specs)
def test_dictionaries_come_back(spec: MotherSpec) -> None:
    again = MotherSpec.from_dict(spec.to_dict())
    assert again == spec
    assert hash(again) == hash(spec)
    assert canonical_json(again.to_dict()) == canonical_json(spec.to_dict())


def test_the_defaults() -> None:
    assert MotherSpec.from_dict({"net": "conv4"}).to_dict() == {
        "net": "conv4",
        "options": {},
        "norm": "batch",
        "init": "signed_constant",
        "scale_fan": None,
        "bias": "none",
        "seed": 0,
        "input": {"shape": [3, 32, 32], "range": "standardized", "adapter": "none"},
    }


def test_every_field_tells_two_specs_apart() -> None:
    spec = MotherSpec("conv4")
    others = {"net": "conv2", "options": {"width": 2}, "norm": "none", "init": "orthogonal", "scale_fan": 0.5,
              "bias": "zeros", "seed": 1, "input": InputSpec(range="unit")}  # fmt: skip
    assert set(others) == {f.name for f in dataclasses.fields(MotherSpec)}
    for name, value in others.items():
        other = dataclasses.replace(spec, **{name: value})
        assert other != spec
        assert canonical_json(other.to_dict()) != canonical_json(spec.to_dict())


def test_it_is_a_copy() -> None:
    options = {"widths": [1, 2]}
    spec = MotherSpec("conv4", options)
    options["widths"].append(3)
    spec.to_dict()["options"]["widths"].append(4)
    assert spec.options == {"widths": [1, 2]}


def test_numpy_numbers_and_tuples_are_taken() -> None:
    spec = MotherSpec("conv4", {"widths": (1, 2)}, seed=np.int64(5), scale_fan=1)
    assert spec.to_dict()["seed"] == 5
    assert spec.options == {"widths": [1, 2]}
    assert isinstance(spec.seed, int)
    assert isinstance(spec.scale_fan, float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"net": ""}, "net: got '', wanted a name."),
        ({"net": None}, "net: got None, wanted a name."),
        ({"options": [1]}, r"options: got \[1\], wanted a mapping of JSON values."),
        ({"options": {"f": float("nan")}}, "options: got .*, wanted a mapping of JSON values; JSON refuses it, Out of range float"),
        ({"options": {"f": print}}, "options: got .*, wanted a mapping of JSON values; JSON refuses it, .*not JSON"),
        ({"norm": "group"}, "norm: got 'group', wanted one of batch, layer, none."),
        ({"init": 3}, "init: got 3, wanted a name."),
        ({"bias": "some"}, "bias: got 'some', wanted one of none, zeros, nonzero."),
        ({"scale_fan": 0}, "scale_fan: got 0, wanted a density, 0 < density <= 1, or None."),
        ({"scale_fan": 1.5}, "scale_fan: got 1.5, wanted a density"),
        ({"scale_fan": True}, "scale_fan: got True, wanted a density"),
        ({"scale_fan": float("nan")}, "scale_fan: got nan, wanted a density"),
        ({"scale_fan": "0.5"}, "scale_fan: got '0.5', wanted a density"),
        ({"seed": -1}, r"seed: got -1, wanted a whole number from 0 to 2\*\*63 - 1."),
        ({"seed": 2**63}, "seed: got 9223372036854775808, wanted a whole number from 0"),
        ({"seed": 1.0}, "seed: got 1.0, wanted a whole number."),
        ({"seed": True}, "seed: got True, wanted a whole number."),
        ({"input": {"range": "unit"}}, "input: got .*, wanted an InputSpec."),
    ],
)  # fmt: skip
def test_refusals(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TicketError, match=f"^{message}"):
        MotherSpec(**{"net": "conv4", **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (32, 32)}, "input.shape: got .32, 32., wanted three whole numbers of at least 1"),
        ({"shape": (3, 0, 32)}, "input.shape: got .3, 0, 32., wanted three whole numbers"),
        ({"shape": "333"}, "input.shape: got '333', wanted three whole numbers"),
        ({"shape": 3}, "input.shape: got 3, wanted three whole numbers"),
        ({"shape": (3, 32.0, 32)}, "input.shape: got 32.0, wanted a whole number"),
        ({"range": "raw"}, "input.range: got 'raw', wanted one of standardized, unit."),
        ({"adapter": "pool"}, "input.adapter: got 'pool', wanted 'none', 'pool<H>' or 'crop<S>pool<H>', as in 'pool7'."),
        ({"adapter": "pool0"}, "input.adapter: got 'pool0', wanted 'none', 'pool<H>'"),
        ({"adapter": None}, "input.adapter: got None, wanted 'none', 'pool<H>'"),
        ({"adapter": "crop28"}, "input.adapter: got 'crop28', wanted 'none', 'pool<H>'"),
        ({"adapter": "crop33pool7"}, "input.adapter: got 'crop33pool7', wanted a crop of at most 32."),
        ({"adapter": "crop6pool7"}, "input.adapter: got 'crop6pool7', wanted a pool of at most 6; pooling never enlarges."),
        ({"adapter": "pool33"}, "input.adapter: got 'pool33', wanted a pool of at most 32; pooling never enlarges."),
    ],
)  # fmt: skip
def test_refused_inputs(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TicketError, match=f"^{message}"):
        InputSpec(**arguments)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, r"spec: got \[\], wanted the key 'net' among its keys."),
        ({"net": "conv4", "sead": 1}, "spec: got 'sead', wanted only the keys net, options, norm, init, scale_fan"),
        (["conv4"], r"spec: got \['conv4'\], wanted a mapping with the keys net"),
        ({"net": "conv4", "input": {"colour": 1}}, "input: got 'colour', wanted only the keys shape, range, adapter"),
        ({"net": "conv4", "input": None}, "input: got None, wanted a mapping with the keys shape"),
        ({"net": "conv4", 3: 4}, "spec: got '3', wanted only the keys"),
    ],
)  # fmt: skip
def test_refused_dictionaries(source: object, message: str) -> None:
    with pytest.raises(TicketError, match=f"^{message}"):
        MotherSpec.from_dict(source)  # type: ignore[arg-type]


def test_the_error_is_one_that_users_see() -> None:
    assert issubclass(TicketError, UltError)
