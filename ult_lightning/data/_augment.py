"""From stored pixels to what a network reads: pure functions on batches, on any device, without loops."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Triple = tuple[float, float, float]
Range = Literal["standardized", "unit"]

PAD = 4


def standardize(images: Tensor, mean: Triple, std: Triple) -> Tensor:
    """(images / 255 - mean) / std as one multiply-add per channel.

    `images` (b, c, h, w) uint8 with c 1 or 3, `mean` and `std` on the scale [0, 1]; the result is float32
    (b, 3, h, w), contiguous, grey replicated.
    """
    scale = (1 / (255 * std[0]), 1 / (255 * std[1]), 1 / (255 * std[2]))
    shift = (-mean[0] / std[0], -mean[1] / std[1], -mean[2] / std[2])
    return _scaled(images, scale, shift)


def unit(images: Tensor) -> Tensor:
    """The images / 255 as float32 (b, 3, h, w), contiguous, grey replicated."""
    return _scaled(images, (1 / 255,) * 3, (0.0,) * 3)


def crop_and_flip(images: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """A window of each image, mirrored where `flip` says so.

    `images` (b, c, h, w) of any dtype are padded by 4 zeros on each side (black pixels: the padding comes before
    any normalisation); `top` and `left` (b,) int64 in 0..8 place the window of the old size; `flip` (b,) bool.
    """
    b, _, h, w = images.shape
    padded = functional.pad(images, (PAD,) * 4)
    windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # (b, c, 9, 9, h, w), a view
    cropped = windows[torch.arange(b, device=images.device), :, top, left]  # (b, c, h, w)
    return torch.where(flip[:, None, None, None], cropped.flip(3), cropped)


def augment(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Random crop (padded by 4) and horizontal flip of each image, in the shape and dtype of `images`.

    `generator` lives on the CPU, so that all devices see the same draws.
    """
    b = images.shape[0]
    places = torch.randint(2 * PAD + 1, (2, b), generator=generator)
    flip = torch.randint(2, (b,), generator=generator).bool()
    top, left = places.to(images.device)
    return crop_and_flip(images, top, left, flip.to(images.device))


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
