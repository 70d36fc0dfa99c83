"""The masking parametrization, against the algorithm written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ult_lightning.nets import build_mother, maskable
from ult_lightning.search.methods.edge_popup import EdgePopup
from ult_lightning.tickets import MotherSpec


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4)).requires_grad_(False)


def half(body: nn.Module) -> dict[str, int]:
    return {n: p.numel() // 2 for n, p in maskable(body).items()}


def learner(body: nn.Module, kept: dict[str, int], seed: int = 0, **options: object) -> EdgePopup:
    return EdgePopup(body, kept, EdgePopup.OPTIONS(**options), seed=seed)


def test_the_forward_is_the_dense_weight_times_the_mask():
    body, x = linear(), torch.randn(5, 12)
    weights = {n: p.clone() for n, p in maskable(body).items()}
    masked = learner(body, half(body))
    mask = {n: torch.from_numpy(masked.subnetwork().mask[n].copy()) for n in masked.subnetwork().mask.names}
    hidden = torch.relu(x @ (weights["0.weight"] * mask["0.weight"]).T + weights["0.bias"] * mask["0.bias"])
    expected = hidden @ (weights["2.weight"] * mask["2.weight"]).T + weights["2.bias"] * mask["2.bias"]
    torch.testing.assert_close(body(x), expected)


def test_the_gradient_is_straight_through_with_the_sign_of_the_score():
    body, x = linear(), torch.randn(5, 12)
    masked = learner(body, half(body))
    body(x).pow(2).sum().backward()
    subset = masked.layers["2.weight"]
    weight = body[2].parametrizations.weight.original
    free = (weight * subset.mask).clone().requires_grad_()
    bias = body[2].bias.detach()
    nn.functional.linear(torch.relu(body[0](x)).detach(), free, bias).pow(2).sum().backward()
    torch.testing.assert_close(subset.scores.grad, free.grad * weight * subset.scores.detach().sign())


def test_only_scores_have_gradients():
    body = linear()
    masked = learner(body, half(body))
    body(torch.randn(5, 12)).sum().backward()
    assert all(s.grad is not None and bool(s.grad.abs().sum() > 0) for s in masked.parameters())
    trainable = [n for n, p in body.named_parameters() if p.requires_grad]
    assert trainable
    assert all(n.endswith("scores") for n in trainable)


def test_bias_scores_start_away_from_zero_and_at_the_scale_of_their_layer():
    body = linear()
    masked = learner(body, half(body))
    for name, subset in masked.layers.items():
        fan = 12 if name.startswith("0") else 8
        assert 0.5 / math.sqrt(fan) < float(subset.scores.detach().abs().max()) <= 1 / math.sqrt(fan)
        assert 0.25 / math.sqrt(fan) < float(subset.scores.detach().abs().mean()) < 0.75 / math.sqrt(fan)


def test_per_layer_counts_are_exact_in_any_memory_format():
    mother = build_mother(MotherSpec("conv2"))
    body = mother.body.to(memory_format=torch.channels_last)
    kept = {n: round(0.3 * p.numel()) for n, p in maskable(body).items()}
    masked = learner(body, kept, seed=1)
    for subset in masked.layers.values():
        subset.to(memory_format=torch.channels_last)
    masked.before_step(0)
    mask = masked.subnetwork().mask
    assert {n: int(mask[n].sum()) for n in mask.names} == kept


def test_pooled_ranks_weights_and_biases_apart_and_keeps_the_totals():
    mother = build_mother(MotherSpec("lenet_300_100", norm="none", bias="nonzero"))
    kept = {n: round(0.01 * p.numel()) for n, p in maskable(mother.body).items()}
    mask = learner(mother.body, kept, scope="global").subnetwork().mask
    for leaf in ("weight", "bias"):
        names = [n for n in mask.names if n.endswith(leaf)]
        assert sum(int(mask[n].sum()) for n in names) == sum(kept[n] for n in names)
    assert mask.densities["1.weight"] == pytest.approx(0.01, abs=0.003)  # untrained scores rank alike in all layers
    assert mask.densities["4.weight"] == pytest.approx(0.01, abs=0.003)


def test_the_masked_weight_is_computed_once_inside_the_cache():
    body = linear()
    masked = learner(body, half(body))
    calls = []
    masked.layers["0.weight"].register_forward_hook(lambda *_: calls.append(1))
    with parametrize.cached():
        body(torch.randn(2, 12))
        body(torch.randn(2, 12))
    assert len(calls) == 1
