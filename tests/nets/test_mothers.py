"""The contract of every net, frozen networks, and statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ult_lightning.base import UltError
from ult_lightning.nets import (
    NETS,
    FrozenNetwork,
    build_mother,
    constants,
    estimate_statistics,
    fingerprint,
    freeze,
    maskable,
    statistics,
)
from ult_lightning.tickets import Mask, MotherSpec, Ticket, TicketError

OPTIONS = {
    "torchvision": {"name": "mobilenet_v3_small"},
    "stack": {"layers": ["flatten", {"linear": 8}, "relu", {"linear": 5}]},
    "univariate": {"chain": [8, 8]},
    "fourier": {"features": 6, "fold": [8, 4, 8]},
}
DIMS = {"conv": 2048, "conv2": 1024, "conv4": 2048, "conv6": 4096, "conv8": 2048, "lenet_300_100": 100,
        "resnet18": 8192, "torchvision": 576, "stack": 5, "univariate": 1024, "polynomial": 4, "fourier": 6}  # fmt: skip
WITHOUT_NORM = {"univariate", "polynomial", "fourier"}


def mother(net: str, **spec: object):
    return build_mother(MotherSpec(net, options=OPTIONS.get(net, {}), **spec))  # type: ignore[arg-type]


def ticket_of(built, density: float = 0.5, seed: int = 0) -> Ticket:
    rng = np.random.default_rng(seed)
    mask = Mask({n: rng.random(tuple(p.shape)) < density for n, p in maskable(built.body).items()})
    stats = {n: t.numpy().copy() for n, t in statistics(built.body).items()}
    fixed = {n: p.detach().numpy().copy() for n, p in constants(built.body).items()}
    return Ticket(built.spec, mask, stats, fingerprint(built.body), constants=fixed)


def test_the_dimensions_listed_here_are_those_of_every_net():
    assert set(DIMS) == set(NETS.names())


@pytest.mark.parametrize("net", sorted(DIMS))
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_every_net_maps_images_to_features_with_every_norm(net, norm):
    if net in WITHOUT_NORM and norm != "none":
        with pytest.raises(UltError, match=f"wanted norm=none with net={net}"):
            mother(net, norm=norm)
        return
    built = mother(net, norm=norm)
    assert built.dim() == DIMS[net]
    assert not any(p.requires_grad for p in built.parameters())
    assert bool(statistics(built.body)) == (norm == "batch")
    assert torch.isfinite(freeze(built)(torch.randn(2, 3, 32, 32))).all()
    assert fingerprint(built.body) == fingerprint(mother(net, norm=norm).body)
    assert fingerprint(built.body) != fingerprint(mother(net, norm=norm, seed=1).body)


def test_fc_trunks_and_width():
    assert build_mother(MotherSpec("conv4", options={"trunk": "fc"})).dim() == 256
    assert build_mother(MotherSpec("conv4", options={"width": 0.25})).dim() == 512
    vision = {"name": "mobilenet_v3_small", "trunk": "fc"}
    assert build_mother(MotherSpec("torchvision", options=vision)).dim() == 1024


def test_maps_are_never_upsampled():
    assert build_mother(MotherSpec("conv8")).dim() == 512 * 2 * 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (MotherSpec("cnov4"), "net: got 'cnov4'.*conv4"),
        (MotherSpec("conv4", init="kaimng_normal"), "init: got 'kaimng_normal'.*kaiming_normal"),
        (MotherSpec("conv4", options={"widht": 2}), "option of net.options: got 'widht'.*did you mean width"),
        (MotherSpec("conv4", options={"width": 0}), "net.options.width: got 0"),
        (MotherSpec("conv4", options={"trunk": "mlp"}), "net.options.trunk: got 'mlp'"),
        (MotherSpec("conv", options={"channels": ["M"] * 6 + [3]}), "max-pools that fit"),
        (MotherSpec("conv", options={"channels": []}), "net.options.channels"),
        (MotherSpec("conv", options={"channels": ["M", "x"]}), "net.options.channels: got 'x'"),
        (MotherSpec("conv", options={"channels": ["M"]}), "at least one channel count beside M"),
        (MotherSpec("resnet18", options={"width": 2}), "net.options.width: got 2, wanted no options here"),
        (MotherSpec("torchvision"), "net.options.name: got None"),
        (MotherSpec("torchvision", options={"name": "mobilnet_v2"}), "mobilenet_v2"),
        (MotherSpec("torchvision", options={"name": "alexnet"}), "runs on inputs of 3x32x32"),
        (MotherSpec("torchvision", options={"name": "vit_b_16"}), "runs on inputs of 3x32x32"),
        (MotherSpec("module"), "pass module=your_factory"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(spec, message):
    with pytest.raises(UltError, match=message) as found:
        build_mother(spec)
    assert "\n" not in str(found.value)


def test_a_frozen_network_cannot_be_trained():
    network = ticket_of(mother("conv2")).network()
    assert isinstance(network, FrozenNetwork)
    before = network.fingerprint()
    network.train()
    assert not any(m.training for m in network.modules())
    assert not any(p.requires_grad for p in network.parameters())
    network(torch.randn(64, 3, 32, 32))
    assert network.fingerprint() == before


def test_a_ticket_network_is_the_mother_times_the_mask():
    built = mother("conv2", norm="none")
    ticket = ticket_of(built)
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        for name, p in maskable(built.body).items():
            p.mul_(torch.from_numpy(np.array(ticket.mask[name])))
        expected = built(x)
    torch.testing.assert_close(ticket.network()(x), expected)


def test_embedded_weights_do_not_need_the_seed(tmp_path, monkeypatch):
    """Where streams draw nothing, the archive gives the same features, and the plain file is refused."""
    ticket = ticket_of(mother("conv2"))
    plain, whole = ticket.save(tmp_path / "a.ticket"), ticket.save(tmp_path / "b.ticket", weights=True)
    x = torch.randn(2, 3, 32, 32)
    wanted = Ticket.load(plain).network()(x)
    monkeypatch.setattr("ult_lightning.nets._mother.draw_parameters", lambda *_: None)
    assert torch.equal(Ticket.load(whole).network()(x), wanted)
    with pytest.raises(TicketError, match="the mother drawn here has the fingerprint"):
        Ticket.load(plain)


def test_another_input_size_is_one_sentence():
    with pytest.raises(UltError, match=r"images: got \(2, 3, 28, 28\).*\(b, 3, 32, 32\)"):
        ticket_of(mother("conv2")).network()(torch.zeros(2, 3, 28, 28))


class Own(nn.Module):
    """A module of a user's own, with an affine norm and a parameter that is no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.gain = nn.Parameter(torch.rand(8, 1, 1))
        self.fc = nn.Linear(8 * 8 * 8, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc((torch.relu(self.norm(self.conv(x))) * self.gain).flatten(1))


def test_a_module_of_your_own_becomes_a_ticket_and_comes_back(tmp_path):
    built = build_mother(MotherSpec("module"), Own)
    assert set(maskable(built.body)) == {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
    assert set(constants(built.body)) == {"norm.weight", "norm.bias", "gain"}
    path = ticket_of(built).save(tmp_path / "own.ticket")
    x = torch.randn(2, 3, 32, 32)
    again = Ticket.load(path, module=Own)
    assert torch.equal(again.network()(x), ticket_of(built).network(module=Own)(x))
    with pytest.raises(TicketError, match="module=your_factory"):
        Ticket.load(path)


def test_estimated_statistics_are_the_mean_over_the_batches():
    built = mother("conv2")
    batches = [torch.randn(16, 3, 32, 32) * 2 + 1 for _ in range(3)]
    estimate_statistics(built, batches)
    maps = [built.body[0](x) for x in batches]
    mean, variance = (torch.stack([f(m, (0, 2, 3)) for m in maps]).mean(0) for f in (torch.mean, torch.var))
    torch.testing.assert_close(statistics(built.body)["1.running_mean"], mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(statistics(built.body)["1.running_var"], variance, rtol=1e-4, atol=1e-5)
    assert not any(m.training for m in freeze(built).modules())


def test_statistics_need_a_batch():
    with pytest.raises(UltError, match="at least one batch"):
        estimate_statistics(mother("conv2"), [])


def test_layer_norms_of_torchvision_lose_their_parameters_or_go():
    def convnext(norm: str):
        return build_mother(MotherSpec("torchvision", options={"name": "convnext_tiny"}, norm=norm)).body

    norms = [m for m in convnext("layer").modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) > 10
    assert not [p for m in norms for p in m.parameters()]
    assert not [m for m in convnext("none").modules() if isinstance(m, nn.LayerNorm)]
    with pytest.raises(UltError, match="norm: got 'batch', wanted layer or none, since the norms of convnext_tiny are"):
        convnext("batch")
