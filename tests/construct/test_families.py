"""The families of tickets: their options, and that a ticket is constructed once."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import nn

from ult_lightning.base import Options, UltError, read_options
from ult_lightning.construct import (
    FAMILIES,
    CubeOptions,
    FourierOptions,
    NetworkOptions,
    PolynomialOptions,
    UnivariateOptions,
    construct_once,
    save_target,
)
from ult_lightning.tickets import Ticket, TicketStore

SMALL: dict[str, Options] = {
    "polynomial": PolynomialOptions(eps=2e-2),
    "fourier": FourierOptions(bound=1, eps=5e-2),
    "univariate": UnivariateOptions(function="square", eps=1e-2),
    "network": NetworkOptions(target="net.safetensors", block=15),
}


def once(family: str, options: Options | None = None, *, seed: int = 1, **more: bool) -> tuple[Ticket, bool]:
    store = TicketStore("store")
    return construct_once(family, options or SMALL[family], seed=seed, store=store, **more)


def save_net(bias: float = 0.1) -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.3], [0.2, 0.9]]))
        layer.bias.fill_(bias)
    save_target(layer, "net.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_net()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_constructs_once_from_options_that_travel_as_json(family: str) -> None:
    options = SMALL[family]
    assert set(SMALL) == set(FAMILIES)
    assert read_options(type(options), json.loads(json.dumps(options.given()))) == options
    assert FAMILIES.get(family).options().given() == {}
    ticket, reused = once(family)
    assert not reused
    assert ticket.provenance["certificate"]["sampled"] <= ticket.provenance["certificate"]["bound"]
    assert FAMILIES.get(family).explain(ticket, options)
    assert once(family) == (ticket, True)
    forced, reused = once(family, force=True)
    assert (forced.id, forced.mask, reused) == (ticket.id, ticket.mask, False)
    other, reused = once(family, seed=2)
    assert (other.id != ticket.id, reused) == (True, False)
    assert set(FAMILIES.get(family).files) <= {entry.name for entry in fields(options)}


def test_a_file_counts_by_its_contents() -> None:
    first, _ = once("network")
    Path("net.safetensors").rename("same.safetensors")
    same = NetworkOptions(target="same.safetensors", block=15)
    assert once("network", same) == (first, True)
    save_net(bias=0.2)
    second, reused = once("network")
    assert (second.id != first.id, reused) == (True, False)


def test_the_number_of_inputs_is_what_the_options_say() -> None:
    assert [
        PolynomialOptions(**given).dimension()
        for given in (
            {},
            {"inputs": 3},
            {"pool": 3},
            {"exponents": [[1, 0], [0, 2]]},
            {"exponents": [[1, 0]], "inputs": 3},
        )
    ] == [1, 3, 9, 2, 3]
    assert FourierOptions(pool=2, crop=28).input_spec().adapter == "crop28pool2"
    assert CubeOptions().input_spec() is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PolynomialOptions(pool=33), "pool: got 33, wanted a whole number at least 1 and at most 32."),
        (
            lambda: PolynomialOptions(pool=7, crop=5),
            "pool: got 7, wanted a whole number from 1 to 5, the side of the images.",
        ),
        (lambda: FourierOptions(crop=5), "crop: got 5, wanted a pool beside it; say pool=7 crop=28."),
        (lambda: FourierOptions(pool=2, inputs=3), "inputs: got 3, wanted null or 4, since pool=2."),
        (
            lambda: FourierOptions(fold=(200,)),
            "fold: got [200], wanted two or three widths, as in fold=[200,12,200]; three for style=two, two for style=direct.",
        ),
        (lambda: PolynomialOptions(pieces=(3,)), "pieces: got [3], wanted two numbers, [log,exp]."),
        (lambda: UnivariateOptions(pieces=0), "pieces: got 0, wanted a whole number at least 1."),
        (
            lambda: FAMILIES.get("univariate").construct(UnivariateOptions(), seed=0),
            "function: got None, wanted a name; for example function=sin.",
        ),
        (
            lambda: FAMILIES.get("network").construct(NetworkOptions(), seed=0),
            "target: got None, wanted a file; write it with ult_lightning.construct.save_target(module, path).",
        ),
    ],
)
def test_options_that_cannot_be_are_one_sentence(make, sentence):
    with pytest.raises(UltError) as error:
        make()
    assert str(error.value) == sentence
