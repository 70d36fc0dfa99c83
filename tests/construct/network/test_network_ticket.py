"""Networks into tickets: the ticket equals its target within a bound that nothing seen exceeds."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from torch import nn

from ult_lightning.base import UltError
from ult_lightning.construct._draft import Draft, Layer
from ult_lightning.construct.network._feedback import Feedback
from ult_lightning.construct.network._network_options import NetworkOptions
from ult_lightning.construct.network._network_ticket import network_ticket
from ult_lightning.construct.network._prune_layer import auxiliary, choose, drop_dead
from ult_lightning.construct.network._prune_network import prune_network
from ult_lightning.construct.network._target import outputs, read_target, save_target
from ult_lightning.tickets import InputSpec, Ticket

MODES = ["2L", "L+1"]


def mlp(*widths: int, seed: int = 0, density: float = 1.0) -> nn.Sequential:
    """A ReLU net with torch's own init, of whose weights a share is kept."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
            with torch.no_grad():
                layers[-2].weight *= torch.rand(after, before) < density
    return nn.Sequential(*layers[:-1])


def cnn(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 3, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Conv2d(3, 4, (3, 2), padding=(1, 0), stride=(1, 2)),
            nn.MaxPool2d(2, 1, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * 5 * 3, 5),
            nn.ReLU(),
            nn.Linear(5, 3),
        )
    return livelier(net)


def livelier(net: nn.Sequential) -> nn.Sequential:
    """Larger weights, so that outputs depend on the inputs, and on where in a map they are."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 3.0 if parameter.ndim > 1 else 1.0
    return net


def points(count: int, *shape: int, seed: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, *shape))).float()


def error(ticket: Ticket, target: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """Largest |feature - output| and how far the outputs, torch's own, are from their means."""
    with torch.no_grad():
        wanted = target(x)
        return (
            float((ticket.network()(x.reshape(-1, *ticket.spec.input.shape)) - wanted).abs().max()),
            float((wanted - wanted.mean(0)).abs().max()),
        )


@pytest.mark.parametrize("mode", MODES)
def test_the_features_are_the_outputs_of_an_mlp(mode):
    target = livelier(mlp(8, 12, 6, 3))
    ticket = network_ticket(target, mode=mode, calibration=points(100, 8))
    gap, size = error(ticket, target, points(500, 8, seed=6))
    assert size > 0.3
    assert gap < 0.04 * size
    assert ticket.spec.input == InputSpec((1, 1, 8), range="unit")
    assert ticket.provenance["made_by"] == "construct"
    assert ticket.provenance["method"] == "network"
    assert gap <= ticket.provenance["certificate"]["bound"]


@pytest.mark.parametrize("mode", MODES)
def test_the_features_are_the_outputs_of_a_cnn(mode):
    target = cnn()
    ticket = network_ticket(target, mode=mode, calibration=points(40, 1, 8, 8))
    gap, size = error(ticket, target, points(60, 1, 8, 8, seed=6))
    assert size > 0.1
    assert gap < 0.05 * size
    assert gap <= ticket.provenance["certificate"]["bound"]


def test_the_ticket_is_counted_on_its_mask_and_target():
    target = mlp(8, 12, 6, 3, density=0.4)
    ticket = network_ticket(target)
    count = sum(int((p != 0).sum()) for p in target.parameters())
    assert count < 8 * 12 + 12 * 6 + 6 * 3
    assert ticket.provenance["target_parameters"] == count
    assert ticket.provenance["kept_per_parameter"] == pytest.approx(ticket.mask.kept / count)
    hidden = [item["linear"] for item in ticket.spec.options["layers"] if item not in ("relu", "flatten")]
    assert hidden == [20 * 8 + 24, 12, 20 * 12 + 24, 6, 20 * 6 + 24, 3]


def test_one_more_layer_in_the_other_mode():
    ticket = network_ticket(mlp(8, 12, 6, 3), mode="L+1", block=10)
    hidden = [item["linear"] for item in ticket.spec.options["layers"] if item not in ("relu", "flatten")]
    assert hidden == [12 * 8 + 24, 10 * 12 + 24, 10 * 6 + 24, 3]


def test_the_same_settings_give_the_same_ticket(tmp_path):
    target = mlp(5, 6, 2)
    one, two, other = (network_ticket(target, block=8, seed=seed) for seed in (0, 0, 1))
    assert one.content_digest == two.content_digest
    assert one.id == two.id
    assert other.id != one.id
    assert Ticket.load(one.save(tmp_path / "net.ticket")) == one


def test_a_target_with_other_weights_has_another_id():
    one, two = (network_ticket(mlp(5, 6, 2, seed=seed), block=8) for seed in (0, 1))
    assert one.id != two.id


def test_masks_do_not_depend_on_the_scale_of_the_init():
    target = mlp(5, 8, 3)
    unit, scaled = (network_ticket(target, block=10, init=init) for init in ("uniform", "kaiming_uniform"))
    assert unit.mask == scaled.mask
    x = points(20, 1, 1, 5)
    torch.testing.assert_close(unit.network()(x), scaled.network()(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("init", ["kaiming_normal", "looks_linear", "burkholz_uniform"])
def test_other_inits_serve_too(init):
    target = mlp(6, 8, 3)
    gap, size = error(network_ticket(target, init=init), target, points(200, 6))
    assert gap < 0.08 * size


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    widths=st.lists(st.integers(2, 7), min_size=2, max_size=4),
    mode=st.sampled_from(MODES),
    block=st.integers(12, 20),
    eps=st.sampled_from([1e-1, 3e-2, 1e-2]),
    feedback=st.booleans(),
    init=st.sampled_from(["uniform", "kaiming_normal"]),
)
def test_no_input_shows_an_error_above_the_bound(seed, widths, mode, block, eps, feedback, init):
    target = mlp(*widths, seed=seed)
    ticket = network_ticket(
        target, mode=mode, block=block, eps=eps, seed=seed, feedback=feedback, init=init, low_noise=False
    )
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=widths[0])))
    gap, _ = error(ticket, target, torch.cat([corners, points(200, widths[0], seed=seed)]))
    certificate = ticket.provenance["certificate"]
    assert max(gap, certificate["sampled"]) <= certificate["bound"]


def test_the_bound_of_one_layer_is_its_error_at_the_worst_corner():
    target = mlp(6, 4)
    ticket = network_ticket(target, block=6, eps=0.3, feedback=False)
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)))
    gap, size = error(ticket, target, corners)
    bound = ticket.provenance["certificate"]["bound"]
    assert gap > 1e-3 * size
    assert gap - 1e-5 <= bound <= gap + 1e-4 * size


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_covers_all_of_a_fine_grid(seed):
    """Coarse weights and one narrow path: errors of either sign come close to the bound."""
    target = mlp(2, 1, 1, 1, seed=seed)
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.abs_()
        target[4].weight *= (-1) ** seed
    ticket = network_ticket(target, block=5, eps=0.4, seed=seed, feedback=False)
    grid = torch.cartesian_prod(torch.linspace(0, 1, 21), torch.linspace(0, 1, 21))
    gap, _ = error(ticket, target, grid)
    assert gap > 1e-3
    assert gap - 1e-6 <= ticket.provenance["certificate"]["bound"] < 20 * gap


@pytest.mark.parametrize("mode", MODES)
def test_the_effective_layers_are_the_masked_ones(mode):
    steps = read_target(cnn())
    target = network_ticket(cnn(), mode=mode, block=15, input_shape=(1, 8, 8))
    draft = Draft(target.spec)
    x = points(6, 1, 8, 8).double()
    options = NetworkOptions(mode=mode, block=15, feedback=False, low_noise=False)
    effective, _ = prune_network(steps, draft.layers, options, x)
    h = x
    layers = iter(effective)
    for step in steps:
        if step.weighted:
            layer = next(layers)
            h = step.apply(h, torch.from_numpy(layer.weight), torch.from_numpy(layer.bias))
        else:
            h = step.apply(h)
    gain = draft.body.gain
    with torch.no_grad():
        features = draft.masked_body().double()(x) * gain
    torch.testing.assert_close(h.flatten(1), features, rtol=1e-5, atol=1e-5)
    wrong = outputs(steps, x)
    assert float((features - wrong).abs().max()) > 1e-4  # it is the ticket that they are, not the target


def test_auxiliary_rows_pass_one_positive_signal_on():
    rng = np.random.default_rng(0)
    u, v = rng.uniform(-1, 1, (50, 4)), rng.uniform(-1, 1, 50)
    layer = Layer("a", u, v, np.zeros(u.shape, bool), np.zeros(50, bool))
    source = auxiliary(layer, 4, 10, 10)
    weights, biases = layer.masked()
    assert (weights >= 0).all()
    assert (biases >= 0).all()
    assert (layer.weight_mask.sum(1) + layer.bias_mask <= 1).all()
    assert all(8 <= len(c) <= 10 for c in source.channels)
    for i, (channels, factors) in enumerate(zip(source.channels, source.factors, strict=True)):
        np.testing.assert_array_equal(weights[channels, i], factors)
        assert (factors > 0).all()
    assert set(source.constant_channels) == set(np.argsort(-v)[:10])


def test_feedback_moves_the_rest_to_the_least_squares_solution():
    rng = np.random.default_rng(1)
    mixing = rng.random((5, 5))
    h = torch.from_numpy(rng.random((400, 5)) @ mixing)[:, :, None, None]
    net = mlp(5, 3)
    with torch.no_grad():
        net[0].weight[1, 2] = 0.0
    (step,) = read_target(net)
    feedback = Feedback(step, h, h)
    working = feedback.start[:, None].copy()
    np.testing.assert_allclose(working[:, 0], step.weight[:, :, 0, 0])
    move = np.array([[0.1], [-0.2], [0.3]])
    for column, scale in ((0, 1.0), (1, -0.5)):
        working[:, :, column] += scale * move
        feedback.hand_on(working, column, -scale * move)
    x = h[:, :, 0, 0].numpy()
    x = x - x.mean(0)
    for unit in range(3):
        rest = [c for c in (2, 3, 4) if step.weight[unit, c, 0, 0] != 0]
        fixed = working[unit, 0, :2] - step.weight[unit, :2, 0, 0]
        covariance = x.T @ x / len(x)
        damped = covariance + 0.01 * np.mean(np.diag(covariance)) * np.eye(5)
        least = -np.linalg.solve(damped[np.ix_(rest, rest)], damped[np.ix_(rest, [0, 1])] @ fixed)
        np.testing.assert_allclose(working[unit, 0, rest] - step.weight[unit, rest, 0, 0], least, atol=1e-10)
    assert working[1, 0, 2] == 0.0


def test_feedback_lowers_the_error():
    target, x, far = mlp(16, 24, 8, seed=3), points(300, 16), points(300, 16, seed=9)
    gaps = {
        on: np.median(
            [
                error(network_ticket(target, block=12, eps=3e-2, seed=s, calibration=x, feedback=on), target, far)[0]
                for s in range(5)
            ]
        )
        for on in (True, False)
    }
    assert gaps[True] < 0.7 * gaps[False]


def test_low_noise_takes_smaller_terms():
    rng = np.random.default_rng(2)
    values, targets = rng.uniform(-1, 1, (40, 20)), rng.uniform(-0.5, 0.5, 40)
    squares = []
    for noise in (True, False):
        chosen, errors = choose(values, targets, 3e-2, noise=noise)
        assert (errors <= 3e-2).all()
        squares.append(((values * chosen) ** 2).sum())
    assert squares[0] < 0.8 * squares[1]


@pytest.mark.parametrize("mode", MODES)
def test_dead_units_keep_nothing(mode):
    target = mlp(6, 8, 4, 2, density=0.3)
    with torch.no_grad():
        target[0].bias[0] = -10.0
        target[0].weight[0] = 0.0
        target[4].weight[:, 1] = 0.0  # nothing reads this unit
    draft = Draft(network_ticket(target, mode=mode, block=12).spec)
    mask = network_ticket(target, mode=mode, block=12).mask
    layers = [(mask[f"{layer.name}.weight"], mask[f"{layer.name}.bias"]) for layer in draft.layers]
    assert len(layers) >= 4
    for (before, bias), (after, _) in itertools.pairwise(layers):
        fed = before.any(1) | bias
        assert np.array_equal(fed, after.any(0) & fed)
        assert not (after.any(0) & ~fed).any()
    assert (~layers[-2][0].any(1)).any()


def test_dropping_dead_units_changes_nothing():
    rng = np.random.default_rng(4)
    sizes = [5, 9, 7, 3]
    layers = [
        Layer("x", rng.normal(size=(o, i)), rng.normal(size=o), rng.random((o, i)) < 0.2, rng.random(o) < 0.3)
        for i, o in itertools.pairwise(sizes)
    ]

    def run(x: np.ndarray) -> np.ndarray:
        for k, layer in enumerate(layers):
            u, v = layer.masked()
            x = x @ u.T + v
            x = np.maximum(x, 0) if k < 2 else x
        return x

    x = rng.random((50, 5))
    before, kept = run(x), sum(layer.kept for layer in layers)
    drop_dead(layers)
    np.testing.assert_allclose(run(x), before, atol=1e-12)
    assert sum(layer.kept for layer in layers) < kept


def test_a_saved_target_is_the_same_target(tmp_path):
    net = cnn()
    path = save_target(net, tmp_path / "net.safetensors")
    x = points(4, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(outputs(read_target(path), x), net.double()(x.double()))
    small = mlp(5, 6, 2)
    save_target(small, tmp_path / "small.safetensors")
    one, two = (network_ticket(t, block=8) for t in (small, tmp_path / "small.safetensors"))
    assert one.id == two.id


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)], "target layer 1: got 'Sigmoid'.*Linear, Conv2d, ReLU"),
        ([nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()], "target layer 1: got 'BatchNorm1d'"),
        ([nn.Linear(3, 4), nn.Linear(4, 2)], r"target layer 1 \(Linear\): got 'no ReLU before it'"),
        ([nn.ReLU()], "at least one Linear or Conv2d"),
        ([nn.Conv2d(1, 2, 3, groups=1, dilation=2)], "target layer 0.*dilation=1"),
        ([nn.Conv2d(1, 2, 3, padding=2)], "target layer 0.*padding below half the kernel"),
        ([nn.Conv2d(1, 2, 2, padding="same")], "target layer 0.*an odd kernel"),
        ([nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)], "target layer 2.*ceil_mode"),
        ([nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(2)], "target layer 2.*dimension 1"),
        ([nn.Conv2d(1, 2, 3)], "input_shape: got None"),
    ],
)
def test_a_target_that_cannot_be_is_one_sentence(layers, message):
    with pytest.raises(UltError, match=message) as caught:
        network_ticket(nn.Sequential(*layers))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "L2"}, "mode: got 'L2', wanted one of 2L, L"),
        ({"block": 1}, "block: got 1"),
        ({"block": 20.5}, "block: got 20.5"),
        ({"eps": 0}, "eps: got 0"),
        ({"init": "unifrom"}, "init: got 'unifrom'.*uniform"),
        ({"calibration": [[0.5, 1.5, 0.0]]}, r"calibration: got 1.5, wanted values in \[0, 1\]"),
        ({"calibration": [[0.5, float("nan"), 0.0]]}, "calibration: got nan"),
        ({"calibration": [0.5]}, "calibration: got"),
        ({"calibration": [[0.5, 0.5]]}, r"calibration: got \(1, 2\)"),
        ({"input_shape": (1, 1, 4)}, r"input_shape: got \(1, 1, 4\), wanted a shape on which the target runs"),
        ({"input_shape": (3,)}, r"input_shape: got \(3,\)"),
        ({"block": 3, "eps": 1e-6}, "block: got 3.*more than half"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(arguments, message):
    with pytest.raises(UltError, match=message) as caught:
        network_ticket(mlp(3, 4, 2), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers, arrays: layers.pop(), "no ReLU|at least one|weight"),
        (
            lambda layers, arrays: arrays.pop("0.weight"),
            r"target layer 0: got None, wanted a weight of shape \(4, inputs\)",
        ),
        (lambda layers, arrays: arrays.update({"0.bias": np.zeros(3)}), r"target layer 0: got \(3,\), wanted a bias"),
        (lambda layers, arrays: arrays.update({"0.weight": np.full((4, 3), np.nan)}), "finite"),
        (lambda layers, arrays: arrays.update({"0.weight": np.zeros((4, 3))}), "only zeros"),
        (lambda layers, arrays: layers.insert(0, {"conv": 2, "padding": 2}), "target layer 0.*padding below half"),
        (lambda layers, arrays: layers.insert(1, "tanh"), "target layer 1: got 'tanh'"),
    ],
)
def test_a_wrong_file_names_the_layer(tmp_path, change, message):
    layers = [{"linear": 4}, "relu", {"linear": 2}]
    arrays = {"0.weight": np.ones((4, 3)), "0.bias": np.ones(4), "2.weight": np.ones((2, 4)), "2.bias": np.ones(2)}
    change(layers, arrays)
    if message.startswith("no ReLU"):
        layers = []
    save_file(arrays, tmp_path / "t.safetensors", metadata={"layers": json.dumps(layers)})
    with pytest.raises(UltError, match=message):
        network_ticket(tmp_path / "t.safetensors")


def test_what_is_no_target_file_is_said(tmp_path):
    with pytest.raises(UltError, match="wanted a file that exists"):
        network_ticket(tmp_path / "none")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(UltError, match="wanted a safetensors file; write it with"):
        network_ticket(tmp_path / "text")
    save_file({"a": np.ones(2)}, tmp_path / "bare")
    with pytest.raises(UltError, match='lists its "layers"'):
        network_ticket(tmp_path / "bare")
    with pytest.raises(UltError, match="target: got 'int'"):
        network_ticket(3)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """LeNet-300-100 on scikit-learn's digits, magnitude-pruned to 10 % and tuned; training and test inputs."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x = torch.from_numpy((images[order] / 16).astype(np.float32))
    y = torch.from_numpy(labels[order])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = mlp(64, 300, 100, 10)
        fit(net, x[:1400], y[:1400], torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-3), 60)
        for k, share in ((0, 0.1), (2, 0.1), (4, 0.5)):
            weight = net[k].weight
            keep = (weight.abs() > weight.abs().flatten().quantile(1 - share)).float()
            weight.data *= keep
            weight.register_hook(lambda grad, keep=keep: grad * keep)
        fit(net, x[:1400], y[:1400], torch.optim.Adam(net.parameters(), 1e-3), 40)
    with torch.no_grad():
        assert float((net(x[1400:]).argmax(1) == y[1400:]).float().mean()) > 0.97
    return net, x[:1400], x[1400:]


def fit(net: nn.Module, x: torch.Tensor, y: torch.Tensor, optimizer: torch.optim.Optimizer, epochs: int) -> None:
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "kept", "relative"), [("2L", 3.0, 5e-3), ("L+1", 41.0, 8e-3)])
def test_lenet_takes_few_parameters(digits, mode, kept, relative):
    """Medians over 5 mothers; the error is seen on inputs that the feedback has not."""
    target, train, test = digits
    results = []
    for seed in range(5):
        ticket = network_ticket(target, mode=mode, seed=seed, calibration=train)
        gap, _ = error(ticket, target, test)
        with torch.no_grad():
            size = float(target(test).abs().max())
        results.append((ticket.provenance["kept_per_parameter"], gap / size))
        assert gap <= ticket.provenance["certificate"]["bound"]
    medians = np.median(results, axis=0)
    assert medians[0] <= kept
    assert medians[1] <= relative
