"""Attention in a mother of your own: its projections are drawn, masked and stored like any weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ult_lightning.nets import build_mother, constants, fingerprint, maskable
from ult_lightning.tickets import Mask, MotherSpec, Ticket

SPEC = MotherSpec(net="module", norm="none", bias="nonzero", seed=5)


class Attention(nn.Module):
    """Four tokens of a pooled image through one attention layer."""

    def __init__(self, **sizes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(nn.functional.adaptive_avg_pool2d(x, 4).reshape(len(x), 4, 12))
        return self.attention(tokens, tokens, tokens, need_weights=False)[0].flatten(1)


def images() -> torch.Tensor:
    return torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)


def test_the_projections_are_drawn_from_streams_and_masked(tmp_path: Path) -> None:
    torch.manual_seed(0)
    body = build_mother(SPEC, Attention).body
    torch.manual_seed(1)
    assert fingerprint(body) == fingerprint(build_mother(SPEC, Attention).body)
    assert list(maskable(body))[2:] == [f"attention.{n}" for n in (
        "in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")]  # fmt: skip
    assert constants(body) == {}
    assert body.attention.in_proj_weight.std().item() == pytest.approx(0.5, rel=0.2)  # sqrt(2 / 8)
    mask = Mask({n: np.arange(p.numel()).reshape(p.shape) % 2 for n, p in maskable(body).items()})
    ticket = Ticket(SPEC, mask, {}, fingerprint(body), module=Attention)
    again = Ticket.load(ticket.save(tmp_path / "a.ticket"), module=Attention)
    network = again.network()
    weight = network.mother.body.attention.in_proj_weight
    assert bool((weight[:, 0::2] == 0).all())
    assert bool((weight[:, 1::2] != 0).all())
    assert not torch.equal(network(images()), build_mother(SPEC, Attention)(images()))


def test_projections_of_other_sizes_are_three_weights() -> None:
    names = list(maskable(nn.MultiheadAttention(8, 2, kdim=4, vdim=6)))
    assert names == ["q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "out_proj.weight",
                     "out_proj.bias"]  # fmt: skip


def test_a_file_of_format_1_that_holds_them_as_constants_stays_readable() -> None:
    """The features are those that version 0.1 gave."""
    ticket = Ticket.load(Path(__file__).parents[1] / "tickets" / "format_1_attention.ticket", module=Attention)
    assert "attention.in_proj_weight" in ticket.constants
    features = ticket.network()(images())
    torch.testing.assert_close(features[0, :4], torch.tensor([0.7447, 0.0669, 0.4572, -0.1637]), atol=1e-4, rtol=0)
    again = Ticket.from_bytes(ticket.to_bytes(), module=Attention)
    assert again == ticket
    assert torch.equal(again.network()(images()), features)
