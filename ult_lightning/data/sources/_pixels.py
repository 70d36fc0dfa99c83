"""One encoded image as pixels: what becomes of every pixel format that Pillow reads."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ult_lightning.base import canonical
from ult_lightning.data._errors import data_fault

_GREY_MODES = frozenset({"1", "L", "LA"})


def decoded(content: bytes | Path, *, where: str) -> Tensor:
    """One encoded image as uint8 (c, 32, 32): c 1 for grey files (16-bit ones are cut to 8), else 3.

    Raises:
        DataError: it is no image; `where` says which one.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            if image.mode.startswith("I"):
                pixels = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
            else:
                pixels = np.array(image.convert("L" if image.mode in _GREY_MODES else "RGB"))
    except Exception as cause:  # Pillow raises OSError, ValueError, SyntaxError, struct.error, ... on damage
        got = "bytes of no known image format" if isinstance(cause, UnidentifiedImageError) else str(cause)
        raise data_fault(where, got, "an image that decodes", "mend or remove it") from cause
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return canonical(torch.from_numpy(np.ascontiguousarray(channels))[None])[0]


def stacked(images: Iterable[Tensor]) -> Tensor:
    """Images (c, 32, 32) as one (n, c, 32, 32), grey only where all are grey."""
    listed = list(images)
    if len({image.shape[0] for image in listed}) > 1:
        listed = [image.expand(3, -1, -1) for image in listed]
    return torch.stack(listed) if listed else torch.empty(0, 1, 32, 32, dtype=torch.uint8)
