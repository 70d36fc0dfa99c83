"""From stored pixels to what a network reads: pure functions on batches, on any device, without loops."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ult_lightning.base import unknown
from ult_lightning.data._data_error import DataError, data_fault

Triple = tuple[float, float, float]
Range = Literal["standardized", "unit"]

PAD = 4
_SMALLEST_STD = 1 / 255

POLICIES = ("none", "shift", "crop_flip")
"""What may happen to training images; only "crop_flip" mirrors them."""


def standardize(images: Tensor, mean: Triple, std: Triple) -> Tensor:
    """(images / 255 - mean) / std as one multiply-add per channel.

    `images` (b, c, h, w) uint8 with c 1 or 3, `mean` and `std` on the scale [0, 1]; the result is float32 (b, 3, h, w),
    contiguous, grey replicated.
    """
    scale = (1 / (255 * std[0]), 1 / (255 * std[1]), 1 / (255 * std[2]))
    shift = (-mean[0] / std[0], -mean[1] / std[1], -mean[2] / std[2])
    return _scaled(images, scale, shift)


def unit(images: Tensor) -> Tensor:
    """The images / 255 as float32 (b, 3, h, w), contiguous, grey replicated."""
    return _scaled(images, (1 / 255,) * 3, (0.0,) * 3)


def statistics(images: Tensor) -> tuple[Triple, Triple]:
    """Mean and standard deviation per channel of uint8 images (n, c, h, w), on the scale [0, 1].

    Neither device nor thread count changes a bit of the result: sums over a row are whole numbers below 2^24, exact in
    float32, and the rest is added in float64. Grey counts as three equal channels; a std below 1/255 (blank images) is
    given as 1/255.
    """
    count = images.shape[0] * images.shape[2] * images.shape[3]
    total = squares = torch.zeros(images.shape[1], dtype=torch.float64, device=images.device)
    for chunk in torch.split(images, 256):
        levels = chunk.float()
        total = total + levels.sum(dim=3).double().sum(dim=(0, 2))
        squares = squares + levels.square_().sum(dim=3).double().sum(dim=(0, 2))
    mean, std = [], []
    for first, second in zip(map(int, total.tolist()), map(int, squares.tolist()), strict=True):
        mean.append(first / count / 255)
        variance = (second * count - first * first) / (count * count)
        std.append(max(variance**0.5 / 255, _SMALLEST_STD))
    if len(mean) == 1:
        mean, std = mean * 3, std * 3
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def crop_and_flip(images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """A window of each image, mirrored where `flip` says so.

    `images` (b, c, h, w) of any dtype are padded by 4 zeros on each side (black pixels: the padding comes before any
    normalisation); `top` and `left` (b,) int64 in 0..8 place the window of the old size; `flip` (b,) bool.
    """
    b, _, h, w = images.shape
    padded = functional.pad(images, (PAD,) * 4)
    windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # (b, c, 9, 9, h, w), a view
    cropped = windows[torch.arange(b, device=images.device), :, top, left]  # (b, c, h, w)
    return torch.where(flip[:, None, None, None], cropped.flip(3), cropped)


def checked_policy(policy: object) -> str:
    """The policy itself; raises DataError for what is none, with the nearest names."""
    if not isinstance(policy, str):
        raise data_fault("augment", policy, f"one of {', '.join(sorted(POLICIES))}")
    if policy not in POLICIES:
        raise unknown("augment", policy, POLICIES, error=DataError)
    return policy


def augment(images: Tensor, policy: str, *, generator: torch.Generator, rows: slice = slice(None)) -> Tensor:
    """Images (b, c, h, w) under a policy, in their shape and dtype: "none", "shift" (random crop, padded by 4), or
    "crop_flip" (the same, and mirrored at random).

    `generator` lives on the CPU, so that all devices see the same draws. Draws are made for all b images; `rows` are
    those of the result.

    Raises DataError: another policy.
    """
    if checked_policy(policy) == "none":
        return images[rows]
    b = images.shape[0]
    top, left = torch.randint(2 * PAD + 1, (2, b), generator=generator)
    flip = torch.zeros(b, dtype=torch.int64)
    if policy == "crop_flip":
        flip = torch.randint(2, (b,), generator=generator)
    draws = torch.stack([top, left, flip])[:, rows]
    if images.is_cuda:  # from pinned memory the host need not wait for the copy
        draws = draws.pin_memory().to(images.device, non_blocking=True)
    top, left, flip = draws
    return crop_and_flip(images[rows], top, left, flip.bool())


def _scaled(images: Tensor, scale: Triple, shift: Triple) -> Tensor:
    grey = images.shape[1] == 1
    if grey and len(set(scale)) == 1 and len(set(shift)) == 1:
        values = images.to(torch.float32).mul_(scale[0]).add_(shift[0])
        return values.expand(-1, 3, -1, -1).contiguous()
    floats = images.to(torch.float32)
    if grey:
        floats = floats.expand(-1, 3, -1, -1).contiguous()
    return floats.mul_(_channels(scale, images.device)).add_(_channels(shift, images.device))


@lru_cache(maxsize=256)
def _channels(values: Triple, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(1, 3, 1, 1)
