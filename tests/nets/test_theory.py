"""The chains of the constructions, and their small form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ult_lightning.base import UltError
from ult_lightning.nets import Chain, build_frozen, build_mother, fold_chain, freeze, maskable
from ult_lightning.tickets import InputSpec, Mask, MotherSpec

NETS = {
    "univariate": {"chain": [7, 5, 6]},
    "polynomial": {"features": 3, "log": [6, 4, 5], "linear": 6, "exp": [5, 6]},
    "fourier": {"features": 4, "linear": 6, "fold": [5, 4, 5], "wave": [6, 5, 6], "gain": -0.2},
}


def mother_of(net: str, *, inputs: int = 2, seed: int = 0, reach: str = "unit"):
    fed = InputSpec((1, 1, inputs), range=reach)  # type: ignore[arg-type]
    return build_mother(MotherSpec(net, NETS[net], norm="none", bias="nonzero", init="uniform", seed=seed, input=fed))


def mask_randomly(body: Chain, density: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in maskable(body).values():
        parameter.data *= torch.rand(parameter.shape, generator=generator) < density


@pytest.mark.parametrize("net", NETS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), density=st.floats(0.05, 1.0), positive=st.booleans())
def test_the_small_form_is_the_same_function(net, seed, density, positive):
    body = mother_of(net, seed=seed).body.double()
    mask_randomly(body, density, seed)
    if positive:  # then whole layers are linear on inputs >= 0 and merge
        for name, parameter in maskable(body).items():
            if not name.startswith(("function.1", "exp.0", "fold.1", "wave.1")):
                parameter.data.abs_()
    x = torch.rand(50, 1, 1, 2, dtype=torch.float64)
    stages = fold_chain(body, nonnegative=True)
    small = body.compact(nonnegative=True).double()
    for place, tensor in enumerate(t for _, layers in stages for pair in layers for t in pair):
        small.values[place].data = tensor  # as it is before float32
    torch.testing.assert_close(small(x), body(x), rtol=1e-9, atol=1e-9)
    signed = 2 * x - 1
    loose = body.compact(nonnegative=False)
    torch.testing.assert_close(loose(signed.float()), body(signed).float(), rtol=1e-3, atol=1e-4)


def test_dead_units_go_and_linear_layers_merge():
    body = mother_of("univariate").body
    for parameter in maskable(body).values():
        parameter.data.zero_()
    first, second, third, last = body.function
    first.weight.data[0, 0], first.bias.data[1] = 0.5, 0.25  # a slope and a constant: linear on x >= 0
    first.weight.data[2, 0] = 1.0  # read by nobody
    second.weight.data[3, 0], second.weight.data[3, 1] = -2.0, 2.0  # the only knot
    third.weight.data[4, 3] = 1.5
    third.weight.data[1, 3] = 1.5  # read by nobody
    last.weight.data[0, 4] = 3.0
    ((pointwise, layers),) = fold_chain(body, nonnegative=True)
    assert pointwise
    assert [tuple(w.shape) for w, _ in layers] == [(1, 1), (1, 1)]
    assert layers[0][0].item() == -1.0
    assert layers[0][1].item() == 0.5
    assert layers[1][0].item() == 4.5 / body.feature_scale
    small = body.compact(nonnegative=True)
    assert small.units == 2
    x = torch.linspace(0, 1, 9).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(small(x), 4.5 * torch.relu(0.5 - x.reshape(-1, 1)))


def test_features_are_divided_by_all_scales():
    """By the scaling lemma: the same stream with and without fan-in scales gives the same features."""
    fed = InputSpec((1, 1, 3), range="unit")
    x = torch.rand(20, 1, 1, 3)
    found = []
    for init in ("uniform", "kaiming_uniform"):
        spec = MotherSpec("polynomial", NETS["polynomial"], norm="none", bias="nonzero", init=init, input=fed)
        body = build_mother(spec).body
        found.append(body(x))
    assert body.feature_scale != 1.0
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_colour_images_are_averaged_to_grey():
    spec = MotherSpec(
        "univariate", {"chain": [6, 6]}, norm="none", bias="nonzero", init="uniform",
        input=InputSpec((3, 32, 32), range="unit", adapter="pool7"),
    )  # fmt: skip
    network = freeze(build_mother(spec))
    images = torch.rand(4, 3, 32, 32)
    assert network.dim == 49
    cut = MotherSpec(
        "univariate", {"chain": [6, 6]}, norm="none", bias="nonzero", init="uniform",
        input=InputSpec((3, 32, 32), range="unit", adapter="crop28pool7"),
    )  # fmt: skip
    blocks = images[:, :, 2:30, 2:30].reshape(4, 3, 7, 4, 7, 4).mean((3, 5))
    padded = torch.nn.functional.interpolate(blocks, size=28, mode="nearest")
    padded = torch.nn.functional.pad(padded, (2, 2, 2, 2), value=9.0)  # the border is not looked at
    torch.testing.assert_close(
        freeze(build_mother(cut))(images), freeze(build_mother(cut))(padded), rtol=1e-4, atol=1e-5
    )
    grey = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(network(images), network(grey), rtol=1e-4, atol=1e-5)


def test_the_frozen_network_runs_the_small_form_and_prints_it():
    mother = mother_of("polynomial")
    mask_randomly(mother.body, 0.5, 1)
    network = freeze(mother)
    x = torch.rand(9, 1, 1, 2)
    torch.testing.assert_close(network(x), mother(x), rtol=1e-4, atol=1e-4)
    before = network.fingerprint()
    assert all(not p.requires_grad for p in network.parameters())
    next(iter(network.compact.parameters())).data += 1.0
    assert network.fingerprint() != before


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        ("univariate", {"chain": [5]}, r"net\.options\.chain: got \[5\], wanted two or three widths"),
        ("univariate", {"chain": [5, 0]}, r"net\.options\.chain: got 0, wanted a whole number at least 1"),
        ("polynomial", {"features": 0}, r"net\.options\.features: got 0, wanted a whole number at least 1"),
        ("fourier", {"gain": 0}, r"net\.options\.gain: got 0.0, wanted a finite number other than 0"),
        ("polynomial", {"fold": [3, 3]}, r"option of net\.options: got 'fold', wanted one of exp, features"),
    ],
)
def test_wrong_options_are_named(net, options, message):
    with pytest.raises(UltError, match=message):
        build_mother(MotherSpec(net, options, norm="none", bias="nonzero"))


def test_a_norm_is_refused():
    with pytest.raises(UltError, match=r"norm: got 'batch', wanted norm=none with net=polynomial"):
        build_mother(MotherSpec("polynomial"))


def test_a_ticket_over_a_chain_travels(tmp_path):
    from ult_lightning.nets import fingerprint
    from ult_lightning.tickets import Ticket

    mother = mother_of("fourier", seed=5)
    rng = np.random.default_rng(0)
    parts = {name: rng.random(tuple(p.shape)) < 0.5 for name, p in maskable(mother.body).items()}
    ticket = Ticket(
        spec=mother.spec, subnetwork=Mask(parts), statistics={}, fingerprint=fingerprint(mother.body), provenance={}
    )
    path = ticket.save(tmp_path / "a.ticket")
    x = torch.rand(5, 1, 1, 2)
    torch.testing.assert_close(Ticket.load(path).network()(x), build_frozen(ticket)(x), rtol=0, atol=0)
