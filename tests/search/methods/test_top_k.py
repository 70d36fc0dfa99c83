"""Exact selection, against a sort."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.host_reads import HostReads
from ult_lightning.search.methods.top_k import top_k_mask, top_k_mask_on_device, top_k_masks, top_k_masks_on_device


def by_sorting(values: torch.Tensor, k: int) -> torch.Tensor:
    """The reference: a stable sort, earlier entries first among equals."""
    order = torch.argsort(values.reshape(-1), descending=True, stable=True)
    mask = torch.zeros(values.numel(), dtype=torch.bool)
    mask[order[:k]] = True
    return mask.view(values.shape)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30_000),
    st.integers(0, 2**31),
    st.floats(0, 1),
    st.sampled_from([None, 0, 1, 3]),
    st.sampled_from(["f4", "f8"]),
)
def test_agrees_with_a_stable_sort(n, seed, share, digits, dtype):
    values = torch.from_numpy(np.random.default_rng(seed).exponential(size=n).astype(dtype))
    if digits is not None:  # rounding makes ties
        values = (values * 10**digits).round() / 10**digits
    k = round(share * n)
    assert torch.equal(top_k_mask(values, k), by_sorting(values, k))
    if k:
        assert torch.equal(top_k_mask_on_device(values, k), by_sorting(values, k))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3_000), st.floats(0, 1)), min_size=1, max_size=6), st.integers(0, 2**31))
def test_several_at_once_agree_with_a_stable_sort_of_each(shapes, seed):
    generator = np.random.default_rng(seed)
    values = [torch.from_numpy(generator.exponential(size=n).astype(np.float32).round(2)) for n, _ in shapes]
    counts = [max(1, round(share * n)) for n, share in shapes]
    expected = [by_sorting(v, k) for v, k in zip(values, counts, strict=True)]
    for function in (top_k_masks, top_k_masks_on_device):
        for mask, wanted in zip(function(values, counts), expected, strict=True):
            assert torch.equal(mask, wanted)


def test_on_a_device_the_host_waits_for_nothing():
    values = torch.rand(20_000)
    with HostReads() as on_host:
        top_k_mask(values, 700)
    with HostReads() as on_device:
        mask = top_k_mask_on_device(values.view(100, 200), 700)
        top_k_masks_on_device([values, values[:300].view(3, 100)], [700, 20])
    assert on_host.count > 0
    assert on_device.count == 0
    assert torch.equal(mask.view(-1), by_sorting(values, 700))


@pytest.mark.parametrize("n", [10, 20_000])
def test_constant_values_give_the_exact_count(n):
    mask = top_k_mask(torch.ones(n), n // 2)
    assert int(mask.sum()) == n // 2
    assert bool(mask[: n // 2].all())


def test_zeros_and_extremes_are_ranked():
    values = torch.cat([torch.zeros(10_000), torch.full((3,), 3e38), torch.full((5,), 1e-40)])
    mask = top_k_mask(values, 8)
    assert bool(mask[10_000:].all())
    assert int(mask.sum()) == 8


def test_any_memory_format_gives_the_same_mask():
    values = torch.rand(8, 16, 9, 9).round(decimals=1)
    expected = top_k_mask(values, 500)
    assert torch.equal(top_k_mask(values.to(memory_format=torch.channels_last), 500), expected)
    assert torch.equal(top_k_mask(values.permute(3, 2, 1, 0), 500), by_sorting(values.permute(3, 2, 1, 0), 500))


def test_a_count_out_of_range_is_refused():
    with pytest.raises(ValueError, match="between 0 and 4"):
        top_k_mask(torch.ones(4), 5)
