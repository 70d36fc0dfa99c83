"""Exact selection of the k largest magnitudes: one histogram of the bit patterns, then a rank inside one bucket."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

_SMALL = 8_192
_BUCKETS = 1 << 15
_LOW_BUCKETS = 1 << 16
_UPPER_HALF = 1 if sys.byteorder == "little" else 0


def top_k_mask(magnitudes: Tensor, k: int) -> Tensor:
    """Boolean mask, of the shape of ``magnitudes``, of its k largest entries; exactly k, whatever the memory format.

    Among equal values the earlier ones (in logical row-major order) are kept. ``magnitudes`` is finite and >= 0.
    Raises ``ValueError`` unless 0 <= k <= magnitudes.numel().
    """
    if not 0 <= k <= magnitudes.numel():
        raise ValueError(f"k: got {k}, wanted a count between 0 and {magnitudes.numel()}")
    if k in (0, magnitudes.numel()):
        return torch.full_like(magnitudes, k > 0, dtype=torch.bool)
    if magnitudes.device.type != "cpu":
        return top_k_mask_on_device(magnitudes, k)
    threshold, reached = _kth_largest(magnitudes.reshape(-1), k)
    mask = magnitudes >= threshold
    surplus = reached - k
    if surplus:  # ties at the threshold: drop the last ones
        flat = mask.reshape(-1).clone()
        ties = (magnitudes.reshape(-1) == threshold).nonzero()[:, 0]
        flat[ties[len(ties) - surplus :]] = False
        mask = flat.view(magnitudes.shape)
    return mask


def top_k_masks(magnitudes: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
    """``top_k_mask`` of each tensor with its count; several of one device are done together."""
    some = [i for i, (m, k) in enumerate(zip(magnitudes, counts, strict=True)) if 0 < k < m.numel()]
    if any(magnitudes[i].device.type == "cpu" or magnitudes[i].dtype != torch.float32 for i in some) or not some:
        return [top_k_mask(m, k) for m, k in zip(magnitudes, counts, strict=True)]
    masks = [m if i in some else top_k_mask(m, k) for i, (m, k) in enumerate(zip(magnitudes, counts, strict=True))]
    for i, mask in zip(
        some, top_k_masks_on_device([magnitudes[i] for i in some], [counts[i] for i in some]), strict=True
    ):
        masks[i] = mask
    return masks


def _kth_largest(flat: Tensor, k: int) -> tuple[Tensor, int]:
    """The k-th largest entry of a vector of floats >= 0, and how many entries are at least as large.

    The bit patterns of such floats are ordered as the floats are.
    """
    n, above = flat.numel(), 0
    band = flat
    if n > _SMALL and flat.dtype == torch.float32:
        bucket = flat.view(torch.int16)[_UPPER_HALF::2].contiguous()
        from_top = torch.bincount(bucket, minlength=_BUCKETS).flip(0).cumsum(0)
        place = int((from_top < k).sum())
        above = int(from_top[place - 1]) if place else 0
        band = flat[bucket == _BUCKETS - 1 - place]
    threshold = band.kthvalue(band.numel() - (k - above) + 1).values
    return threshold, above + int((band >= threshold).sum())


def top_k_mask_on_device(magnitudes: Tensor, k: int) -> Tensor:
    """What ``top_k_mask`` gives, for 0 < k <= n, without a value that the host waits for."""
    if magnitudes.dtype == torch.float32:
        return top_k_masks_on_device([magnitudes], [k])[0]
    order = magnitudes.reshape(-1).argsort(descending=True, stable=True)
    flat = torch.zeros(len(order), dtype=torch.bool, device=magnitudes.device)
    return flat.scatter_(0, order[:k], True).view(magnitudes.shape)


def top_k_masks_on_device(magnitudes: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
    """What ``top_k_mask`` gives for each of several float32 tensors of one device and its count 0 < k <= n, in few launches.

    The k-th largest bit pattern of each is found in two histograms, of its upper 15 and its lower 16 bits; the host waits for
    no value.
    """
    device = magnitudes[0].device
    sizes = [m.numel() for m in magnitudes]
    owner = torch.cat([torch.full((n,), i, device=device) for i, n in enumerate(sizes)])
    wanted = torch.cat([torch.full((1, 1), k, device=device) for k in counts])
    pattern = torch.cat([m.reshape(-1) for m in magnitudes]).view(torch.int32)
    upper = pattern >> 16
    high, above = _buckets_of(owner, upper, torch.ones_like(upper), wanted, _BUCKETS)
    in_bucket = (upper == high.view(-1)[owner]).int()
    low, above_low = _buckets_of(owner, pattern & 0xFFFF, in_bucket, wanted - above, _LOW_BUCKETS)
    threshold = ((high << 16) + low).view(-1)[owner]
    ties = pattern == threshold
    rank = ties.cumsum(0)  # over all tensors: what lies before a tensor counts as its own missing ones
    before = torch.stack([torch.zeros_like(rank[0]), *(rank[end - 1] for end in accumulate(sizes[:-1]))])
    missing = (wanted - above - above_low).view(-1) + before
    mask = (pattern > threshold) | (ties & (rank <= missing[owner]))
    return [part.view(m.shape) for part, m in zip(torch.split(mask, sizes), magnitudes, strict=True)]


def _buckets_of(owner: Tensor, values: Tensor, counted: Tensor, k: Tensor, buckets: int) -> tuple[Tensor, Tensor]:
    """For each owner (of n), the bucket (n, 1) of its k-th largest (n, 1) counted value; how many lie in higher ones (n, 1)."""
    table = torch.zeros(len(k) * buckets, dtype=torch.int32, device=values.device)
    table.scatter_add_(0, owner * buckets + values, counted)
    from_top = table.view(len(k), buckets).flip(1).cumsum(1)
    place = (from_top < k).sum(1, keepdim=True)
    above = torch.where(place > 0, from_top.gather(1, (place - 1).clamp(min=0)), 0)
    return buckets - 1 - place, above
