"""Exact selection of the k largest magnitudes: one histogram of the bit patterns, then a rank inside one bucket."""

from __future__ import annotations

import torch
from torch import Tensor

_SMALL = 8_192
_SHIFT = 16
_BUCKETS = 1 << 15


def top_k_mask(magnitudes: Tensor, k: int) -> Tensor:
    """Boolean mask, of the shape of ``magnitudes``, of its k largest entries; exactly k, whatever the memory format.

    Among equal values the earlier ones (in logical row-major order) are kept. ``magnitudes`` is finite and >= 0.
    Raises ``ValueError`` unless 0 <= k <= magnitudes.numel().
    """
    if not 0 <= k <= magnitudes.numel():
        raise ValueError(f"k: got {k}, wanted a count between 0 and {magnitudes.numel()}")
    if k in (0, magnitudes.numel()):
        return torch.full_like(magnitudes, k > 0, dtype=torch.bool)
    threshold = _kth_largest(magnitudes.reshape(-1), k)
    mask = magnitudes >= threshold
    surplus = int(mask.sum()) - k
    if surplus:  # ties at the threshold: drop the last ones
        flat = mask.reshape(-1).clone()
        ties = (magnitudes.reshape(-1) == threshold).nonzero()[:, 0]
        flat[ties[len(ties) - surplus :]] = False
        mask = flat.view(magnitudes.shape)
    return mask


def _kth_largest(flat: Tensor, k: int) -> Tensor:
    """The k-th largest entry of a vector of floats >= 0; the bit patterns of such floats are ordered as they are."""
    n = flat.numel()
    if n <= _SMALL or flat.dtype != torch.float32:
        return flat.kthvalue(n - k + 1).values
    bucket = flat.view(torch.int32) >> _SHIFT
    from_top = torch.bincount(bucket, minlength=_BUCKETS).flip(0).cumsum(0)
    place = int((from_top < k).sum())
    above = int(from_top[place - 1]) if place else 0
    band = flat[bucket == _BUCKETS - 1 - place]
    return band.kthvalue(band.numel() - (k - above) + 1).values
