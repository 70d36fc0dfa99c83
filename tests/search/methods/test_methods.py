"""Each method against its algorithm written out, and the contract of all of them."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ult_lightning import find_ticket, load_task
from ult_lightning.base import Options
from ult_lightning.nets import Mother, build_mother, fingerprint, freeze, maskable
from ult_lightning.search import METHODS, Learner, Scorer, SearchSettings, kept_counts
from ult_lightning.search.methods.biprop import Biprop
from ult_lightning.search.methods.snip import Snip
from ult_lightning.search.methods.synflow import SynFlow
from ult_lightning.tickets import MotherSpec, Subnetwork, Ticket

PLAIN = MotherSpec("conv2", options={"width": 0.125}, norm="none", bias="nonzero", init="kaiming_normal")


def settings(method: str, density: float = 0.3, **options: Any) -> SearchSettings:
    return SearchSettings(
        method=method, method_options=options, density=density, trainer={"max_steps": 3}, batch_size=32
    )


def counts(mother: Mother, chosen: SearchSettings) -> dict[str, int]:
    return kept_counts({n: tuple(p.shape) for n, p in maskable(mother.body).items()}, chosen)


def test_there_are_learners_and_scorers_each_with_options_and_a_paper() -> None:
    kinds = {name: METHODS.get(name) for name in METHODS}
    assert sum(issubclass(kind, Learner) for kind in kinds.values()) >= 2
    assert sum(issubclass(kind, Scorer) for kind in kinds.values()) >= 2
    for name, kind in kinds.items():
        assert issubclass(kind.OPTIONS, Options), name
        assert re.search(r"\(\w+ (et al\.|& \w+) 20\d\d, \"", str(inspect.getmodule(kind).__doc__)), name
        assert kind.__doc__, name


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_keeps_the_counts_survives_the_file_and_leaves_the_mother(method, scope, tmp_path) -> None:
    task = load_task({"name": "digits", "train_limit": 200}, seed=0)
    chosen = replace(settings(method, scope=scope), trainer={"max_steps": 60})  # layers drift apart slowly
    ticket = find_ticket([task], PLAIN, chosen, progress=False)
    body = build_mother(PLAIN).body
    wanted = kept_counts({n: tuple(p.shape) for n, p in maskable(body).items()}, chosen)
    got = {name: int(ticket.mask[name].sum()) for name in ticket.mask}
    assert (got == wanted) == (scope == "layer")
    for leaf in ("weight", "bias"):
        assert sum(n for name, n in got.items() if name.endswith(leaf)) == sum(
            n for name, n in wanted.items() if name.endswith(leaf)
        )
    assert ticket.fingerprint == fingerprint(body)
    again = Ticket.load(ticket.save(tmp_path / "a.ticket"))
    assert again == ticket
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(again.network()(x), freeze(build_mother(PLAIN), ticket.subnetwork)(x))
    assert find_ticket([task], PLAIN, chosen, progress=False).content_digest == ticket.content_digest


def test_biprop_computes_with_the_mean_magnitude_of_what_is_kept() -> None:
    mother = build_mother(PLAIN)
    weights = {n: p.detach().clone() for n, p in maskable(mother.body).items()}
    learner = Biprop(mother.body, counts(mother, settings("biprop")), Biprop.OPTIONS(), seed=0)
    for name, layer in learner.layers.items():
        prefix, _, leaf = name.rpartition(".")
        value = getattr(mother.body.get_submodule(prefix), leaf).detach()
        mask, weight = layer.mask, weights[name]
        if name.endswith("weight"):
            weight = weight.sign() * weight[mask].abs().mean()
        torch.testing.assert_close(value, weight * mask)
        frozen = torch.from_numpy(learner.subnetwork().values(name, weights[name].numpy()))
        assert torch.equal(frozen, value), name


def test_biprop_passes_the_gradient_of_the_real_weights() -> None:
    """d loss / d score = g * w * sign(score), whatever the binary weights are."""
    body = nn.Sequential(nn.Linear(6, 4, bias=False)).requires_grad_(False)
    weight = body[0].weight.detach().clone()
    learner = Biprop(body, {"0.weight": 9}, Biprop.OPTIONS(), seed=0)
    x = torch.randn(5, 6)
    body(x).square().sum().backward()
    value = body[0].weight.detach().clone().requires_grad_()
    F.linear(x, value).square().sum().backward()
    scores = learner.layers["0.weight"].scores
    torch.testing.assert_close(scores.grad, value.grad * weight * scores.detach().sign())


def test_a_collapsed_layer_of_biprop_has_the_scale_zero_and_no_nan() -> None:
    mother = build_mother(PLAIN)
    learner = Biprop(
        mother.body, counts(mother, settings("biprop", 0.02, scope="global")), Biprop.OPTIONS(scope="global"), seed=0
    )
    learner.layers["0.weight"].scores.data.mul_(1e-6)
    learner.before_step(0)
    assert not bool(learner.layers["0.weight"].mask.any())
    assert float(learner.subnetwork().scales["0.weight"]) == 0.0
    assert bool(torch.isfinite(mother(torch.randn(2, 3, 32, 32))).all())


def test_snip_ranks_by_gradient_times_weight_over_the_whole_network() -> None:
    mother = build_mother(PLAIN)
    x, y = torch.randn(16, 3, 32, 32), torch.arange(16) % 4

    def loss(network: Mother, batch: Any) -> torch.Tensor:
        return F.cross_entropy(network(batch[0])[:, :4], batch[1])

    chosen = settings("snip")
    found = Snip(Snip.OPTIONS(), seed=0).subnetwork(mother, counts(mother, chosen), batches=[(x, y)], loss=loss)
    twin = build_mother(PLAIN).requires_grad_(True)
    loss(twin, (x, y)).backward()
    scores = {n: (p.grad * p).abs().detach() for n, p in maskable(twin.body).items()}
    for leaf in ("weight", "bias"):
        names = [n for n in scores if n.endswith(leaf)]
        ranks = torch.cat([scores[n].flatten() for n in names])
        kept = sum(int(found.mask[n].sum()) for n in names)
        least = ranks.sort(descending=True).values[kept - 1]
        for n in names:
            assert np.array_equal(found.mask[n], (scores[n] >= least).numpy())
    assert not any(p.requires_grad for p in mother.parameters())


def test_snip_adds_the_gradients_of_its_batches_and_leaves_norms_alone() -> None:
    mother = build_mother(replace(PLAIN, norm="batch", bias="none"))
    before = {n: b.clone() for n, b in mother.named_buffers()}
    batches = [(torch.randn(8, 3, 32, 32), torch.arange(8) % 4) for _ in range(2)]

    def loss(network: Mother, batch: Any) -> torch.Tensor:
        return F.cross_entropy(network(batch[0])[:, :4], batch[1])

    kept = counts(mother, settings("snip"))
    both = Snip(Snip.OPTIONS(batches=2), seed=0).subnetwork(mother, kept, batches=batches, loss=loss)
    twin = build_mother(mother.spec).requires_grad_(True).train()
    sum(loss(twin, batch) for batch in batches).backward()
    scores = {n: (p.grad * p).abs().detach() for n, p in maskable(twin.body).items()}
    least = torch.cat([s.flatten() for s in scores.values()]).sort(descending=True).values
    for name, score in scores.items():
        clear = (score / least[sum(kept.values()) - 1] - 1).abs() > 1e-3  # the order of sums decides near the threshold
        wanted = score >= least[sum(kept.values()) - 1]
        assert np.array_equal(both.mask[name][clear.numpy()], wanted[clear].numpy()), name
    assert all(torch.equal(b, before[n]) for n, b in mother.named_buffers())


def synflow_by_hand(mother: Mother, total: int, rounds: int) -> dict[str, torch.Tensor]:
    """Algorithm 1 on a net of linear layers: each weight's saliency is the sum of the products of all paths through it."""
    weights = [mother.body[1].weight.double().abs(), mother.body[3].weight.double().abs()]
    size = sum(w.numel() for w in weights)
    masks = [torch.ones_like(w, dtype=torch.bool) for w in weights]
    for k in range(1, rounds + 1):
        a, b = (w * m for w, m in zip(weights, masks, strict=True))
        into, out = a.sum(1), b.sum(0)
        scores = [a * out[:, None], b * into[None, :]]
        ranks = torch.cat([s.flatten() for s in scores])
        kept = round(size * (total / size) ** (k / rounds)) if k < rounds else total
        order = torch.argsort(ranks, descending=True, stable=True)[:kept]
        flat = torch.zeros(size, dtype=torch.bool)
        flat[order] = True
        masks = [m.view(w.shape) for m, w in zip(flat.split([w.numel() for w in weights]), weights, strict=True)]
    return {"1.weight": masks[0], "3.weight": masks[1]}


def test_synflow_is_its_algorithm_and_keeps_every_layer_where_one_round_does_not() -> None:
    spec = MotherSpec("stack", options={"layers": ["flatten", {"linear": 12}, "relu", {"linear": 8}]}, norm="none",
                      init="kaiming_normal")  # fmt: skip
    mother = build_mother(spec)
    kept = {"1.weight": 250, "3.weight": 6}
    found = SynFlow(SynFlow.OPTIONS(rounds=20), seed=0).subnetwork(mother, kept)
    wanted = synflow_by_hand(mother, 256, 20)
    for name, mask in wanted.items():
        assert np.array_equal(found.mask[name], mask.numpy()), name
    assert all(d > 0 for d in found.mask.densities.values())


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_synflow_reads_no_data_and_is_finite_in_deep_nets(norm: str) -> None:
    spec = MotherSpec("conv", options={"channels": [6] * 14}, norm=norm, init="signed_constant")
    mother = build_mother(spec)
    kept = counts(mother, settings("synflow", 0.05))
    many, one = (SynFlow(SynFlow.OPTIONS(rounds=n), seed=0).subnetwork(mother, kept) for n in (100, 1))
    assert not SynFlow.reads_data
    assert isinstance(many, Subnetwork)
    assert all(d > 0 for d in many.mask.densities.values())
    assert not all(d > 0 for d in one.mask.densities.values()), "one round collapses layers"
    assert mother.body[0].weight.dtype == torch.float32
