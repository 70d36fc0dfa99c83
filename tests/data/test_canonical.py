from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

from ult_lightning.base import UltError, canonical


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_28x28_is_padded_by_two_black_pixels() -> None:
    images = _random(3, 1, 28, 28)
    out = canonical(images)
    assert out.dtype == torch.uint8
    assert out.shape == (3, 1, 32, 32)
    assert torch.equal(out[:, :, 2:30, 2:30], images)
    assert int(out.long().sum()) == int(images.long().sum())


def test_32x32_stays_as_it_is() -> None:
    images = _random(2, 3, 32, 32)
    assert torch.equal(canonical(images), images)


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (20, 47), (64, 64), (300, 200), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_sizes_are_resized_as_pillow_does(size: tuple[int, int], channels: int) -> None:
    images = _random(2, channels, *size)
    out = canonical(images)
    assert out.dtype == torch.uint8
    assert out.shape == (2, channels, 32, 32)
    for image, result in zip(images, out, strict=True):
        for plane, got in zip(image, result, strict=True):
            wanted = Image.fromarray(plane.numpy()).resize((32, 32), Image.Resampling.BILINEAR)
            assert np.abs(np.asarray(wanted, dtype=int) - got.numpy().astype(int)).max() <= 1


@pytest.mark.parametrize("size", [28, 32, 8, 50])
def test_floats_agree_with_uint8_up_to_rounding(size: int) -> None:
    images = _random(2, 3, size, size)
    floats = canonical(images.float() / 255)
    assert floats.dtype == torch.float32
    assert float((floats * 255 - canonical(images).float()).abs().max()) <= 0.5001


def test_an_empty_batch_stays_empty() -> None:
    assert canonical(_random(0, 1, 8, 8)).shape == (0, 1, 32, 32)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(28, 28), "images: got (28, 28), wanted the shape (b, c, h, w) with c 1 or 3"),
        (torch.zeros(2, 28, 28, 3), "images: got (2, 28, 28, 3), wanted the shape (b, c, h, w) with c 1 or 3"),
        (torch.zeros(2, 3, 0, 4), "images: got (2, 3, 0, 4), wanted the shape"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.int32), "images: got 'torch.int32', wanted uint8 or floating point"),
        (torch.full((1, 1, 4, 4), 255.0), "images: got 'values from 255 to 255', wanted floats in [0, 1]; divide"),
        (torch.full((1, 1, 4, 4), float("nan")), "images: got 'values from nan to nan', wanted floats in [0, 1]"),
    ],
)
def test_what_is_no_image(images: torch.Tensor, message: str) -> None:
    with pytest.raises(UltError, match=re.escape(message)):
        canonical(images)
