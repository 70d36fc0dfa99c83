"""Every pixel format: what becomes of it, from a folder and from a parquet file, or the sentence that refuses it."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ult_lightning.data import DataError, Raw, Task, load_task
from ult_lightning.data._source import assemble
from ult_lightning.data.sources._pixels import decoded

from .layouts import encoded, pixels, write_parquet

LEVELS = pixels(0, 32, 32)
COLOUR = pixels(1, 32, 32, 3)


def file_of(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def tiff_of_12_bits(levels: np.ndarray[Any, Any]) -> bytes:
    h, w = levels.shape
    flat = levels.reshape(-1).tolist()
    packed = b"".join(
        bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in zip(flat[::2], flat[1::2], strict=True)
    )
    tags = [(256, w), (257, h), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, h), (279, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed
    return head + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)


def grey(image: bytes) -> np.ndarray[Any, Any]:
    found = decoded(image, where="here")
    assert found.dtype == torch.uint8
    assert found.shape == (1, 32, 32)
    return np.asarray(found[0])


def colour(image: bytes) -> np.ndarray[Any, Any]:
    found = decoded(image, where="here")
    assert found.dtype == torch.uint8
    assert found.shape == (3, 32, 32)
    return np.asarray(found).transpose(1, 2, 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_eight_bits_stay_as_they_are(kind: str) -> None:
    assert np.array_equal(grey(file_of(Image.fromarray(LEVELS), kind)), LEVELS)
    assert np.array_equal(colour(file_of(Image.fromarray(COLOUR), kind)), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_one_bit_is_black_and_white(kind: str) -> None:
    bits = LEVELS > 127
    assert np.array_equal(grey(file_of(Image.fromarray(bits), kind)), np.where(bits, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF"])
def test_a_palette_gives_its_colours(kind: str) -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    assert np.array_equal(colour(file_of(image, kind)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_divided_by_257_and_rounded(kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (32, 32)).astype(np.uint16)
    values[0, :4] = (0, 128, 129, 65535)
    found = grey(file_of(Image.fromarray(values), kind))
    assert np.array_equal(found, np.rint(values / 257))
    assert found[0, :4].tolist() == [0, 0, 1, 255]


def test_twelve_bits_fill_the_range() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (32, 32))
    values[0, :2] = (0, 4095)
    found = grey(tiff_of_12_bits(values))
    assert np.array_equal(found, np.rint(values * 255 / 4095))
    assert found[0, :2].tolist() == [0, 255]


@pytest.mark.parametrize("kind", ["TIFF", "PPM"])
def test_floats_in_zero_to_one_are_times_255_and_rounded(kind: str) -> None:
    values = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    values[0, :3] = (0, 1, 0.5)
    found = grey(file_of(Image.fromarray(values), kind))
    assert np.array_equal(found, np.rint(values * 255))
    assert found[0, :3].tolist() == [0, 255, 128]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str, kind: str) -> None:
    bands = [*COLOUR.transpose(2, 0, 1), LEVELS] if mode == "RGBA" else [COLOUR[..., 0], LEVELS]
    image = Image.merge(mode, [Image.fromarray(band) for band in bands])
    alpha = LEVELS.astype(np.float64) / 255
    base = COLOUR if mode == "RGBA" else COLOUR[..., 0]
    wanted = base * (alpha[..., None] if mode == "RGBA" else alpha)
    wanted = wanted + 255 * (1 - (alpha[..., None] if mode == "RGBA" else alpha))
    found = (colour if mode == "RGBA" else grey)(file_of(image, kind))
    assert np.abs(found - wanted).max() <= 1
    opaque = Image.merge(mode, [*(Image.fromarray(b) for b in bands[:-1]), Image.new("L", (32, 32), 255)])
    assert np.array_equal((colour if mode == "RGBA" else grey)(file_of(opaque, kind)), base)


def test_a_transparent_colour_of_a_palette_or_of_grey_levels_is_white() -> None:
    image = Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32) % 4)
    out = io.BytesIO()
    image.save(out, "PNG", transparency=0)
    found = grey(out.getvalue())
    assert set(found[np.asarray(image) == 0].tolist()) == {255}
    assert set(found[np.asarray(image) == 3].tolist()) == {3}
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    out = io.BytesIO()
    image.save(out, "PNG", transparency=0)
    found_colours = colour(out.getvalue())
    assert set(found_colours[np.asarray(image) == 0].reshape(-1).tolist()) == {255}
    assert found_colours[0, 3].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "TIFF"), ("CMYK", "JPEG"), ("YCbCr", "TIFF"), ("LAB", "TIFF")])
def test_other_colour_spaces_are_converted_as_pillow_does_it(mode: str, kind: str) -> None:
    if mode == "LAB":
        converted = Image.fromarray(COLOUR).convert("LAB")
    else:
        converted = Image.fromarray(COLOUR).convert(mode)
    content = file_of(converted, kind)
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == mode
        wanted = np.asarray(image.convert("RGB"))
    assert np.array_equal(colour(content), wanted)


def test_of_several_frames_the_first_counts() -> None:
    out = io.BytesIO()
    Image.fromarray(LEVELS).save(out, "TIFF", save_all=True, append_images=[Image.fromarray(255 - LEVELS)])
    assert np.array_equal(grey(out.getvalue()), LEVELS)


REFUSED = [
    (np.full((8, 8), 40_000, dtype=np.int32), "TIFF",
     "got 'pixels of 32-bit integers, whose range is not known', wanted 8 or 16 bits per channel or floats in [0, 1]"),
    (np.full((8, 8), 1.5, dtype=np.float32), "TIFF", "got 'float pixels from 1.5 to 1.5', wanted floats in [0, 1]; div"),
    (np.full((8, 8), -0.5, dtype=np.float32), "TIFF", "got 'float pixels from -0.5 to -0.5', wanted floats in [0, 1]"),
    (np.full((8, 8), np.nan, dtype=np.float32), "TIFF", "got 'float pixels that are not finite', wanted floats in"),
    (np.full((8, 8), np.inf, dtype=np.float32), "TIFF", "got 'float pixels that are not finite', wanted floats in"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "message"), REFUSED)
def test_what_is_refused_names_its_place(values: Any, kind: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        decoded(file_of(Image.fromarray(values), kind), where="/my/owl.tiff")
    assert str(caught.value).startswith(f"/my/owl.tiff: {message}")
    assert "\n" not in str(caught.value)


def test_a_mode_without_a_rule_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Image.fromarray(COLOUR).convert("RGBA").convert("RGBa")
    monkeypatch.setattr(Image, "open", lambda _: strange)
    with pytest.raises(DataError, match=r"here: got 'pixels of the mode RGBa', wanted a mode with a rule \(1, CMYK,"):
        decoded(b"", where="here")


def _folder_of(root: Path, images: list[bytes]) -> str:
    for number, content in enumerate(images):
        file = root / "train" / f"class{number % 2}" / f"{number}.tiff"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return f"folder:{root}"


def _parquet_of(root: Path, images: list[bytes]) -> str:
    write_parquet(root / "train-0.parquet", images, [number % 2 for number in range(len(images))])
    return f"parquet:{root}"


@pytest.mark.parametrize("make", [_folder_of, _parquet_of])
def test_floats_are_seen_wherever_they_lie(make: Any, data_dir: Path) -> None:
    values = [np.full((32, 32), (k + 1) / 255, dtype=np.float32) for k in range(20)]
    task = _load(make(data_dir / "own", [file_of(Image.fromarray(v), "TIFF") for v in values]), data_dir)
    found = torch.cat([task.train.images, task.valid.images, task.test.images])[:, 0, 0, 0]
    assert sorted(found.tolist()) == list(range(1, 21))


@pytest.mark.parametrize("make", [_folder_of, _parquet_of])
def test_what_is_refused_names_its_file_wherever_it_lies(make: Any, data_dir: Path) -> None:
    good = [encoded(image) for image in pixels(0, 6, 32, 32)]
    bad = file_of(Image.fromarray(np.full((8, 8), 255, dtype=np.float32)), "TIFF")
    place = {_folder_of: "train/class0/6.tiff", _parquet_of: "train-0.parquet row 6"}[make]
    with pytest.raises(DataError) as caught:
        _load(make(data_dir / "own", [*good, bad]), data_dir)
    assert str(caught.value).startswith(f"{data_dir / 'own' / place}: got 'float pixels from 255 to 255'")


@pytest.mark.parametrize("make", [_folder_of, _parquet_of])
def test_a_training_part_of_equal_images_is_refused(make: Any, data_dir: Path) -> None:
    name = make(data_dir / "own", [encoded(LEVELS)] * 400)
    with pytest.raises(DataError) as caught:
        _load(name, data_dir)
    assert str(caught.value) == (
        f"task: got '{name}, whose 288 training images are all alike', wanted images that differ; look into its files."
    )


@pytest.mark.parametrize("first", [100, 590])
def test_a_few_images_that_differ_are_enough(first: int, data_dir: Path) -> None:
    images = [encoded(LEVELS)] * 600
    images[first : first + 10] = [encoded(255 - LEVELS)] * 10
    contents = [(image, number // 300) for number, image in enumerate(images)]
    write_parquet(data_dir / "own" / "train-0.parquet", [c for c, _ in contents], [label for _, label in contents])
    assert len(_load("own", data_dir).train) == 432


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_source_gives_bytes(dtype: torch.dtype) -> None:
    images = torch.zeros(6, 1, 32, 32, dtype=dtype)
    with pytest.raises(DataError, match=r"own train: got 'images of type torch.\w+', wanted uint8; scale them to 0"):
        assemble(Raw((images, torch.arange(6) % 2)), name="own")


def _load(name: str, data_dir: Path) -> Task:
    return load_task(name, seed=0, data_dir=data_dir, cache_dir=data_dir.parent / "cache")
