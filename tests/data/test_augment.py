from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import functional as reference

from ult_lightning.data import POLICIES, DataError, augment, crop_and_flip, standardize, unit


def _random(b: int, c: int) -> Tensor:
    return torch.randint(256, (b, c, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(b + c))


def _slow(image: Tensor, top: int, left: int, flip: bool) -> Tensor:
    """One image by hand: pixel (i, j) of the window lies at (i + top - 4, j + left - 4) of the image."""
    out = torch.zeros_like(image)
    for i in range(32):
        for j in range(32):
            y, x = i + top - 4, j + left - 4
            if 0 <= y < 32 and 0 <= x < 32:
                out[:, i, 31 - j if flip else j] = image[:, y, x]
    return out


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mean", [(0.5, 0.5, 0.5), (0.49, 0.48, 0.45)])
def test_standardize_is_torchvisions_normalize(channels: int, mean: tuple[float, float, float]) -> None:
    images, std = _random(5, channels), (0.2, 0.2, 0.2) if mean[0] == mean[1] else (0.25, 0.24, 0.26)
    wanted = reference.normalize(images.float().div(255).expand(-1, 3, -1, -1), list(mean), list(std))
    got = standardize(images, mean, std)
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    assert got.shape == (5, 3, 32, 32)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_standardize_leaves_the_images_alone() -> None:
    images = _random(3, 1)
    before = images.clone()
    standardize(images, (0.5,) * 3, (0.5,) * 3)
    assert torch.equal(images, before)


@pytest.mark.parametrize("channels", [1, 3])
def test_unit_ends_at_zero_and_one(channels: int) -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, channels, 32, 32)
    got = unit(images)
    assert got.is_contiguous()
    assert got[0].eq(0).all()
    assert got[1].eq(1).all()


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans()), min_size=1, max_size=3))
def test_crop_and_flip_is_the_slow_one(places: list[tuple[int, int, bool]]) -> None:
    images = _random(len(places), 3)
    top, left, flip = (torch.tensor(column) for column in zip(*places, strict=True))
    got = crop_and_flip(images, top, left, flip)
    assert torch.equal(got, torch.stack([_slow(image, *place) for image, place in zip(images, places, strict=True)]))


def _marked() -> Tensor:
    images = torch.zeros(3000, 1, 32, 32, dtype=torch.uint8)
    images[:, 0, 16, 10] = 255
    return images


def test_crop_flip_draws_every_place_and_both_sides() -> None:
    out = augment(_marked(), "crop_flip", generator=torch.Generator().manual_seed(0))
    assert out.dtype == torch.uint8
    found = out.nonzero()
    assert len(found) == 3000
    rows, columns = found[:, 2], found[:, 3]
    assert set(rows.tolist()) == set(range(12, 21))
    assert set(columns.tolist()) == set(range(6, 15)) | set(range(17, 26))
    assert abs(float((columns > 15).float().mean()) - 0.5) < 0.05


def test_shift_draws_every_place_and_mirrors_nothing() -> None:
    found = augment(_marked(), "shift", generator=torch.Generator().manual_seed(0)).nonzero()
    assert len(found) == 3000
    assert set(found[:, 2].tolist()) == set(range(12, 21))
    assert set(found[:, 3].tolist()) == set(range(6, 15))


def test_none_changes_nothing() -> None:
    images = _random(5, 3)
    assert torch.equal(augment(images, "none", generator=torch.Generator()), images)


def test_the_stream_of_draws_is_fixed() -> None:
    """Places first, sides next, in whole batches: the numbers of finished runs hang on it."""
    images = _random(20, 3)
    generator = torch.Generator().manual_seed(7)
    top, left = torch.randint(9, (2, 20), generator=generator)
    flip = torch.randint(2, (20,), generator=generator).bool()
    wanted = {
        "none": images,
        "shift": crop_and_flip(images, top, left, torch.zeros(20, dtype=torch.bool)),
        "crop_flip": crop_and_flip(images, top, left, flip),
    }
    assert tuple(wanted) == POLICIES
    for policy, one in wanted.items():
        assert torch.equal(augment(images, policy, generator=torch.Generator().manual_seed(7)), one)


def test_an_unknown_policy_gets_the_nearest_names() -> None:
    with pytest.raises(
        DataError, match=r"augment: got 'crop', wanted one of crop_flip, none, shift; did you mean crop_flip\?"
    ):
        augment(_random(2, 1), "crop", generator=torch.Generator())


@pytest.mark.parametrize("policy", ["shift", "crop_flip"])
def test_the_same_generator_gives_the_same_images(policy: str) -> None:
    images = _random(20, 3)
    one, two, three = (augment(images, policy, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
