"""What docs/data.md lists is what the code has; its other claims stand in the tests of layouts, pixels, labels, columns."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from ult_lightning.data import POLICIES, TASKS, DataError, TaskSpec
from ult_lightning.data.sources import _parquet, _pixels
from ult_lightning.data.sources._folder import IMAGE_ENDINGS
from ult_lightning.data.sources._layout import _NAMES
from ult_lightning.data.sources._pixels import decoded


@pytest.fixture(scope="module")
def page(repo: Path) -> str:
    return (repo / "docs" / "data.md").read_text()


def test_it_is_a_page(page: str) -> None:
    assert page.count("\n") < 120
    assert max(map(len, page.splitlines())) <= 125


def test_its_specs_are_specs(page: str) -> None:
    lines = page.split("```yaml\n")[1].split("```")[0].splitlines()
    specs = [TaskSpec.parse(OmegaConf.to_container(OmegaConf.create(f"x: {line}"))["x"]) for line in lines]  # type: ignore[index, call-overload]
    assert len(specs) == 8
    assert specs[6] == TaskSpec("folder", path="/data/uni=code, x", augment="crop_flip")
    assert specs[7].id == "parquet:/data/fishes[image=picture,label=target]"


def test_its_policies_are_those_of_the_tasks(page: str) -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| `([\w ]+)`", page, re.MULTILINE))
    wanted = {policy: [t for t in TASKS.names() if TASKS.get(t).augmentation == policy] for policy in listed}
    assert {policy: sorted(names.split()) for policy, names in listed.items()} == {
        policy: sorted(names) for policy, names in wanted.items()
    }
    assert sum(map(len, wanted.values())) == len(TASKS)
    assert all(f"`{policy}`" in page for policy in POLICIES)


def test_its_lists_are_the_codes(page: str) -> None:
    endings = re.findall(r"Files read: `([\w ]+)`", page)
    assert {f".{ending}" for ending in endings[0].split()} == IMAGE_ENDINGS
    for name in [*(name for names in _NAMES.values() for name in names), *sum(_parquet._USUAL.values(), ())]:
        assert re.search(rf"`{name}/?[ `]|`[\w/ ]*\b{name}/", page), name


def test_every_colour_space_that_files_hold_is_named(page: str) -> None:
    for mode in _pixels._COLOURS - {"P", "RGBX", "HSV"}:  # which no file format stores, or which is the palette
        assert mode in page, mode


def test_of_sixteen_bits_per_colour_the_upper_eight_are_read() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (32, 32, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    head = (32).to_bytes(4, "big") * 2 + bytes([16, 2, 0, 0, 0])
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    found = decoded(png, where="here").numpy().transpose(1, 2, 0)
    assert np.array_equal(found, values >> 8)


def test_floats_of_several_channels_are_refused() -> None:
    pixels = np.full((4, 4, 3), 0.5, dtype="<f4").tobytes()
    threes = struct.pack("<HHHHHH", 32, 32, 32, 3, 3, 3)  # bits per sample, and floats as their format
    start = 8 + len(pixels)
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, start), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8),
            (277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 1, len(pixels)), (339, 3, 3, start + 6)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<I", start + 12)
    tiff = head + pixels + threes + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    with pytest.raises(DataError, match="here: got 'bytes of no known image format'"):
        decoded(tiff, where="here")
    with Image.open(io.BytesIO(tiff.replace(threes, struct.pack("<HHHHHH", 16, 16, 16, 1, 1, 1)))) as image:
        assert image.mode == "RGB"  # the same file is a TIFF with other samples
