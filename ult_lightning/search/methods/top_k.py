"""Exact selection of the k largest magnitudes: one histogram of the bit patterns, then a rank inside one bucket."""

from __future__ import annotations

import sys

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
    """What ``top_k_mask`` gives, for 0 < k <= n, without a value that the host waits for.

    The k-th largest bit pattern of float32 is found in two histograms, of its upper 15 and its lower 16 bits; other types are
    sorted.
    """
    flat = magnitudes.reshape(-1).contiguous()
    if flat.dtype != torch.float32:
        order = flat.argsort(descending=True, stable=True)
        return torch.zeros_like(flat, dtype=torch.bool).scatter_(0, order[:k], True).view(magnitudes.shape)
    pattern = flat.view(torch.int32)
    upper, lower = (pattern >> 16).long(), (pattern & 0xFFFF).long()
    wanted = torch.full((1,), k, device=flat.device)
    high, above = _bucket_of(upper, torch.ones_like(upper), wanted, _BUCKETS)
    low, above_low = _bucket_of(lower, (upper == high).long(), wanted - above, _LOW_BUCKETS)
    threshold = (high << 16) + low
    ties = pattern == threshold
    missing = wanted - above - above_low
    mask = (pattern > threshold) | (ties & (ties.cumsum(0) <= missing))
    return mask.view(magnitudes.shape)


def _bucket_of(values: Tensor, counted: Tensor, k: Tensor, buckets: int) -> tuple[Tensor, Tensor]:
    """The bucket of the k-th largest of the counted values (1,), and how many lie in higher buckets (1,)."""
    counts = torch.zeros(buckets, dtype=torch.int64, device=values.device).scatter_add_(0, values, counted)
    from_top = counts.flip(0).cumsum(0)
    place = (from_top < k).sum().view(1)
    above = torch.where(place > 0, from_top.gather(0, (place - 1).clamp(min=0)), 0)
    return buckets - 1 - place, above
