"""The one form that every image takes before a network sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ult_lightning.base._errors import fault

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 32
_PADDED = 28
_BORDER = (SIDE - _PADDED) // 2


def canonical(images: Tensor) -> Tensor:
    """Images of one size as 32x32 images, without any normalisation.

    `images` is (b, c, h, w) with c 1 or 3, either uint8 or floating point in [0, 1]; the result is
    (b, c, 32, 32) of the same dtype. 28x28 is padded by 2 black pixels on each side, 32x32 stays as it is, any
    other size is resized bilinearly with antialiasing (the aspect ratio is not kept; uint8 is rounded to the
    nearest level, floats are not).

    Raises:
        UltError: another shape, dtype or range of values.
    """
    import torch
    from torch.nn import functional

    _check(images)
    height, width = images.shape[-2:]
    if (height, width) == (SIDE, SIDE):
        return images
    if (height, width) == (_PADDED, _PADDED):
        return functional.pad(images, (_BORDER,) * 4)
    if images.shape[0] == 0:
        return images.new_zeros((0, images.shape[1], SIDE, SIDE))
    resized = functional.interpolate(
        images.float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True
    )
    if images.dtype == torch.uint8:
        return resized.round_().clamp_(0, 255).to(torch.uint8)
    return resized.clamp_(0, 1).to(images.dtype)


def _check(images: Tensor) -> None:
    import torch

    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
        raise fault(
            "images",
            tuple(images.shape),
            "the shape (b, c, h, w) with c 1 or 3",
            "add the batch or channel axis with images[None], or move the channels first",
        )
    if images.dtype == torch.uint8:
        return
    if not images.dtype.is_floating_point:
        raise fault("images", str(images.dtype), "uint8 or floating point", "convert them with images.to(...)")
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        low, high = float(images.min()), float(images.max())
        raise fault("images", f"values from {low:g} to {high:g}", "floats in [0, 1]", "divide by 255, or pass uint8")
