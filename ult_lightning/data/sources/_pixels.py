"""One encoded image as pixels: what becomes of every pixel format that Pillow reads."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ult_lightning.base import canonical
from ult_lightning.data._data_error import DataError, data_fault

if TYPE_CHECKING:
    from PIL.Image import Image

Levels = np.ndarray[Any, np.dtype[np.uint8]]

_BITS_PER_SAMPLE = 258  # TIFF tag
_COLOURS = frozenset({"P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})
_ALPHA = frozenset({"LA", "PA", "RGBA"})
_SIXTEEN_BIT = frozenset({"PNG", "PPM"})  # in which Pillow's mode I stands for 0 to 65535


def decoded(content: bytes | Path, *, where: str) -> Tensor:
    """One encoded image as uint8 (c, 32, 32): c 1 for grey files, else 3; of several frames the first.

    8 bits stay as they are, 1 bit is 0 or 255, a palette gives its colours, 16 bits are divided by 257 and rounded (12
    bits fill the range alike), floats in [0, 1] are multiplied by 255 and rounded, transparency lies on white, and
    other colour spaces are converted as Pillow does it.

    Raises DataError: it is no image, or its pixels have no such rule; `where` says which one.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            pixels = _levels(image, where)
    except DataError:
        raise
    except Exception as cause:  # Pillow raises OSError, ValueError, SyntaxError, struct.error, ... on damage
        got = "bytes of no known image format" if isinstance(cause, UnidentifiedImageError) else str(cause)
        raise data_fault(where, got, "an image that decodes", "mend or remove it") from cause
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return canonical(torch.from_numpy(np.ascontiguousarray(channels))[None])[0]


def _levels(image: Image, where: str) -> Levels:
    """The pixels as (h, w) or (h, w, 3) uint8."""
    if image.mode == "F":
        return _from_floats(np.asarray(image), where)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BIT):
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
        return _rounded(np.asarray(image).astype(np.float64) * (255 / (2**bits - 1)))
    if image.mode == "I":
        got = "pixels of 32-bit integers, whose range is not known"
        raise data_fault(where, got, "8 or 16 bits per channel or floats in [0, 1]", "save it as one of them")
    if image.mode in _ALPHA or (image.mode in _COLOURS | {"1", "L"} and "transparency" in image.info):
        return _on_white(image)
    if image.mode in ("1", "L"):
        return np.array(image.convert("L"))
    if image.mode in _COLOURS:
        return np.array(image.convert("RGB"))
    rules = ", ".join(sorted({"1", "L", "I;16", "F", *_COLOURS, *_ALPHA}))
    wanted = f"a mode with a rule ({rules})"
    raise data_fault(where, f"pixels of the mode {image.mode}", wanted, "save it as one of them")


def _rounded(levels: np.ndarray[Any, Any]) -> Levels:
    return np.asarray(np.rint(levels), dtype=np.uint8)


def _from_floats(values: np.ndarray[Any, Any], where: str) -> Levels:
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:  # neither holds for nan
        return _rounded(values * 255)
    finite = bool(np.isfinite(values).all())
    got = f"float pixels from {low:g} to {high:g}" if finite else "float pixels that are not finite"
    raise data_fault(where, got, "floats in [0, 1]", "divide by the largest value, or save it as 8 bits")


def _on_white(image: Image) -> Levels:
    from PIL import Image as images

    grey = image.mode in ("1", "L", "LA")
    white = images.new("RGBA", image.size, (255, 255, 255, 255))
    pixels = np.array(images.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
    return pixels[..., 0] if grey else pixels


def stacked(images: Iterable[Tensor]) -> Tensor:
    """Images (c, 32, 32) as one (n, c, 32, 32), grey only where all are grey."""
    listed = list(images)
    if len({image.shape[0] for image in listed}) > 1:
        listed = [image.expand(3, -1, -1) for image in listed]
    return torch.stack(listed) if listed else torch.empty(0, 1, 32, 32, dtype=torch.uint8)
