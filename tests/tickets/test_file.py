"""The file format: whole, exact, and refused with the right sentence when it is anything but whole."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load, save

from ult_lightning.tickets import FORMAT, Mask, MotherSpec, Ticket, TicketError

Make = Callable[..., Ticket]
CONV4 = {
    "conv1.weight": (64, 3, 3, 3),
    "conv2.weight": (64, 64, 3, 3),
    "conv3.weight": (128, 64, 3, 3),
    "conv4.weight": (128, 128, 3, 3),
}


def small_bytes() -> bytes:
    """A ticket of a few hundred bytes, fit for trying every bit."""
    mask = Mask({"w": [1, 0, 1], "v": [[1, 1]]})
    return Ticket(MotherSpec("n"), mask, {"s": np.float32([1, 2])}, "a" * 64, {"id": "x"}).to_bytes()


def refusal(content: bytes) -> str:
    """The one sentence with which these bytes are refused, fingerprints aside."""
    with pytest.raises(TicketError) as caught:
        Ticket.from_bytes(content, where="my.ticket", verify=False)
    said = str(caught.value)
    assert said.startswith("my.ticket")
    assert said.endswith(".")
    assert "\n" not in said
    return said


def resealed(content: bytes) -> bytes:
    """The same bytes with a digest that fits, computed from the documented layout alone."""
    (found,) = re.finditer(rb'"ult":"\{\\"digest\\":\\"(.{64})', content)
    blank = content[: found.start(1)] + b"0" * 64 + content[found.end(1) :]
    return content[: found.start(1)] + hashlib.sha256(blank).hexdigest().encode() + content[found.end(1) :]


def rewritten(content: bytes, change: Callable[[dict[str, Any], dict[str, np.ndarray]], object]) -> bytes:
    """A well sealed file whose metadata and tensors `change` has changed in place."""
    length = int.from_bytes(content[:8], "little")
    meta = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["ult"])
    tensors = load(content)
    change(meta, tensors)
    text = json.dumps(meta, sort_keys=True, separators=(",", ":"))
    return resealed(save(tensors, metadata={"ult": text}))


# What is written


def test_the_layout_is_the_documented_one(ticket: Ticket, tmp_path: Path) -> None:
    path = ticket.save(tmp_path / "t", weights=True)
    with safe_open(path, framework="numpy") as file:
        assert set(file.metadata()) == {"ult"}
        meta = json.loads(file.metadata()["ult"])
        names = set(file.keys())
        packed = file.get_tensor("mask")
    assert sorted(meta) == ["digest", "fingerprint", "format", "provenance", "shapes", "spec"]
    assert meta["format"] == FORMAT == 2
    assert meta["shapes"] == [["b.weight", [2, 3, 1, 1]], ["a.weight", [5, 2]], ["a.bias", [5]]]
    groups = {name.split("/")[0] for name in names}
    assert groups == {"mask", "statistics", "constants", "weights"}
    assert bytes(packed) == bytes(ticket.mask.packed())
    content = path.read_bytes()
    assert content.count(meta["digest"].encode()) == 1
    assert resealed(content) == content


def test_writing_is_deterministic(make: Make) -> None:
    ticket = make()
    turned = make(
        statistics=dict(reversed(ticket.statistics.items())), provenance=dict(reversed(ticket.provenance.items()))
    )
    assert turned.to_bytes() == ticket.to_bytes()
    assert Ticket.from_bytes(ticket.to_bytes()).to_bytes() == ticket.to_bytes()


def test_other_processes_write_the_same_bytes(repo: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import hashlib, test_file; print(hashlib.sha256(test_file.small_bytes()).hexdigest())"
    )
    ours = hashlib.sha256(small_bytes()).hexdigest()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(repo), str(Path(__file__).parent)]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
        assert done.stdout.strip() == ours


def test_a_conv4_ticket_is_one_bit_per_parameter(make: Make) -> None:
    generator = np.random.default_rng(0)
    statistics = {
        f"norm{layer}.{kind}": generator.random(shape[0]).astype("f4")
        for layer, shape in enumerate(CONV4.values(), start=1)
        for kind in ("running_mean", "running_var")
    }
    task = {"id": "cifar10_jpeg:0-4", "class_ids": list(range(100)), "mean": [0.123456789] * 3, "digest": "f" * 64}
    provenance = {
        "id": "f" * 16,
        "sources": [task] * 4,
        "config": {"sources": [task] * 4, "search": {f"a setting {i}": 0.123456789 for i in range(40)}},
        "environment": {"versions": {f"library {i}": "1.2.3" for i in range(10)}},
    }
    ticket = make(
        subnetwork=Mask({name: generator.random(shape) < 0.5 for name, shape in CONV4.items()}),
        statistics=statistics,
        constants={},
        provenance=provenance,
    )
    assert ticket.mask.total == 259_776
    assert len(json.dumps(provenance)) > 4_000  # a rich one still fits
    assert len(ticket.to_bytes()) <= 1.05 * ticket.mask.total / 8 + 16 * 1024


def test_a_file_of_format_1_stays_readable() -> None:
    """Bytes that the first version wrote: they must be read by every later one."""
    ticket = Ticket.load(Path(__file__).parent / "format_1.ticket", verify=False)
    assert ticket.spec == MotherSpec("conv2", {"width": 2}, seed=3, scale_fan=0.5)
    assert ticket.mask.names == ("b.weight", "a.weight", "a.bias")
    assert bytes(ticket.mask.packed()).hex() == "1a7c08"
    assert ticket.statistics["norm.running_var"].tolist() == [0.25, 4]
    assert ticket.constants["token"].tolist() == [[3]]
    assert ticket.id == "abc-1"


# Damage


def test_every_flipped_bit_of_a_small_ticket_is_found() -> None:
    content = small_bytes()
    assert Ticket.from_bytes(content, verify=False).id == "x"
    tried = 0
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            refusal(bytes(flipped))
            tried += 1
    assert tried == 8 * len(content) > 5_000


CONTENT = small_bytes()


@given(place=st.integers(0, 8 * len(CONTENT) - 1), more=st.sets(st.integers(0, 8 * len(CONTENT) - 1), max_size=5))
def test_any_flipped_bits_are_found(place: int, more: set[int]) -> None:
    flipped = bytearray(CONTENT)
    for bit in {place} | more:
        flipped[bit // 8] ^= 1 << bit % 8
    refusal(bytes(flipped))


@given(data=st.data())
def test_any_other_change_is_found(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(CONTENT)))
    end = data.draw(st.integers(start, len(CONTENT)))
    changed = CONTENT[:start] + data.draw(st.binary(max_size=20)) + CONTENT[end:]
    if changed != CONTENT:
        refusal(changed)


@given(content=st.binary(max_size=300))
def test_noise_is_refused(content: bytes) -> None:
    refusal(content)


@pytest.mark.parametrize("place", ["digest", "statistics", "mask", "provenance", "padding", "length"])
def test_a_damaged_file_says_so(make: Make, place: str) -> None:
    content = make().to_bytes()
    header = int.from_bytes(content[:8], "little")
    where = {
        "digest": content.index(b'digest\\":\\"') + 20,
        "statistics": 8 + header + 1,
        "mask": len(content) - 2,
        "provenance": content.index(b"edge_popup"),
        "padding": 8 + header - 1,
        "length": 0,
    }[place]
    changed = bytearray(content)
    changed[where] ^= 1
    wanted = "my.ticket is damaged: its digest does not fit its content, so some bits have changed since it was"
    assert refusal(bytes(changed)).startswith(wanted)


def test_an_appended_byte_is_damage() -> None:
    assert refusal(CONTENT + b"\0").startswith("my.ticket is damaged:")


# Truncation


def test_every_truncation_says_so() -> None:
    for size in range(1, len(CONTENT)):
        said = refusal(CONTENT[:size])
        if size < 9:
            assert said.startswith(f"my.ticket holds {size} bytes only: a truncated ticket, or none at all;")
        elif size >= 8 + len('{"__metadata__"'):
            assert said.startswith(f"my.ticket is truncated: it ends after {size:,} bytes, its header announces ")


def test_an_empty_file() -> None:
    assert refusal(b"").startswith("my.ticket is empty: the ticket was never written;")


# Not there


@pytest.mark.parametrize("name", ["absent.ticket", "a_file/below.ticket"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "a_file").write_bytes(CONTENT)
    with pytest.raises(TicketError, match=f"^ticket: got '.*{name}', wanted a file that is there; check the path"):
        Ticket.load(tmp_path / name)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=r"is a folder or device, not a ticket file; name the file itself.$"):
        Ticket.load(tmp_path)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").write_bytes(CONTENT)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TicketError, match=r"t cannot be read: Permission denied; check its permissions and the disk.$"):
        Ticket.load(tmp_path / "t")


# Foreign files


class Bait:
    """Leaves a mark when somebody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def torch_zip(payload: bytes) -> bytes:
    """A file as torch.save writes it: a zip archive with a pickle inside."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3")
    return stream.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [bytes, torch_zip, gzip.compress], ids=["pickle", "torch", "gzip"])
def test_nothing_is_executed(tmp_path: Path, protocol: int, wrap: Callable[[bytes], bytes]) -> None:
    mark, path = tmp_path / "executed", tmp_path / "bait.ticket"
    payload = pickle.dumps(Bait(mark), protocol=protocol)
    path.write_bytes(wrap(payload))
    with pytest.raises(TicketError, match=r"bait.ticket is not a ticket but .*; nothing in it was run; name a file"):
        Ticket.load(path)
    assert not mark.exists()
    pickle.loads(payload)
    assert mark.exists()  # the bait bites whoever unpickles it


def test_code_inside_a_true_ticket_stays_text(make: Make, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    ticket = make(provenance={"method": code, "note": {"_target_": "os.system", "command": f"touch {mark}"}})
    path = ticket.save(tmp_path / "t")
    assert Ticket.load(path).provenance["method"] == code
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (torch_zip(b""), "a zip archive, as torch.save writes them"),
        (pickle.dumps({"a": 1}, 2), "a Python pickle, as torch.save once wrote them"),
        (gzip.compress(b"x", mtime=0), "a gzip archive"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 99, "an image"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer, so `git lfs pull` may bring"),
        ("# a résumé of my tickets\n".encode() * 9, "a text file"),
        (b'{"net": "conv4", "seed": 0}', "a text file"),
        (b"12345678{ this only looks like a header", "a text file"),
        (bytes(range(200, 256)) * 9, "a file of an unknown kind"),
        (save({"w": np.zeros(3, "f4")}), "a safetensors file of something else"),
        (save({"w": np.zeros(3, "f4")}, metadata={"format": "pt"}), "a safetensors file of something else"),
        ((8).to_bytes(8, "little") + b"{broken}", "a file of an unknown kind"),
    ],
)  # fmt: skip
def test_foreign_files_are_named(content: bytes, kind: str) -> None:
    said = refusal(content)
    assert said.startswith(f"my.ticket is not a ticket but {kind}")
    assert said.endswith("; nothing in it was run; name a file that `ult search` wrote.")


def test_a_huge_foreign_file_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = b'{"w":{"dtype":"U8","shape":[99000000000],"data_offsets":[0,99000000000]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 99_000_000_000)  # sparse: takes no room, could never be read
    with pytest.raises(TicketError, match=r"a safetensors file of something else"):
        Ticket.load(path)


# The future


@pytest.mark.parametrize("version", [3, 17])
def test_a_future_format(make: Make, version: int) -> None:
    content = rewritten(make().to_bytes(), lambda meta, _: meta.update(format=version, new_key=[1]))
    assert refusal(content) == (
        f"my.ticket: got 'ticket format {version}', wanted at most format 2; a newer ult_lightning wrote it, "
        "so upgrade yours (or the file is damaged)."
    )


def test_a_future_format_that_is_sealed_in_another_way() -> None:
    content = save({"bits": np.zeros(3, "u1")}, metadata={"ult": '{"format":3,"signature":"x"}', "more": "y"})
    assert refusal(content).startswith(
        "my.ticket: got 'ticket format 3', wanted at most format 2; a newer ult_lightning"
    )


@pytest.mark.parametrize("version", [0, -1, True, "1", None, 1.5])
def test_an_impossible_format_is_damage(make: Make, version: object) -> None:
    content = rewritten(make().to_bytes(), lambda meta, _: meta.update(format=version))
    assert refusal(content).startswith("my.ticket is damaged:")


# Tampering: the digest fits, the content does not

Change = Callable[[dict[str, Any], dict[str, np.ndarray]], object]


def shape(meta: dict[str, Any], *sides: object) -> None:
    meta["shapes"][0][1] = list(sides)


TAMPERED: dict[str, tuple[Change, str]] = {
    "more parameters": (lambda m, t: shape(m, 2, 3, 9, 1), "mask: got 'uint8 of shape (3,)', wanted 9 bytes"),
    "endless": (lambda m, t: shape(m, 2**60, 2**60), "mask: got 'uint8 of shape (3,)', wanted"),
    "negative side": (lambda m, t: shape(m, -6, -1), "shapes: got"),
    "side is text": (lambda m, t: shape(m, "6"), "shapes: got"),
    "side is true": (lambda m, t: shape(m, True, 6), "shapes: got"),
    "twice": (lambda m, t: m["shapes"].append(["a.bias", [3]]), "shapes: got"),
    "extras in format 1": (
        lambda m, t: (m.update(format=1), t.update({"scales/a.bias": np.array(1, "f4")})), "tensors: got 'scales/a.bias', wanted mask",
    ),
    "another plane": (lambda m, t: t.update({"planes/x": t["mask"]}), "planes: got 'x'"),
    "plane of another size": (lambda m, t: t.update({"planes/signs": t["mask"][1:]}), "mask: got 'uint8 of shape (2,)'"),
    "negative scale": (lambda m, t: t.update({"scales/a.bias": np.array(-1, "f4")}), "scales of a.bias: got"),
    "no list": (lambda m, t: m.update(shapes=5), "shapes: got 5, wanted a list of parameter names"),
    "no shapes": (lambda m, t: m.update(shapes=[]), "mask: got 'uint8 of shape (3,)', wanted 0 bytes"),
    "unused bit": (lambda m, t: t["mask"].__setitem__(-1, t["mask"][-1] | 1), "mask: got 'a set bit'"),
    "no bits": (lambda m, t: t["mask"].fill(0), "mask: got"),
    "no mask": (lambda m, t: t.pop("mask"), "tensors: got"),
    "other dtype": (lambda m, t: t.update(mask=t["mask"].astype("i4")), "mask: got 'int32 of shape"),
    "another tensor": (lambda m, t: t.update(code=t["mask"]), "tensors: got 'code', wanted mask"),
    "nameless": (lambda m, t: t.update({"statistics/": np.float32([1])}), "tensors: got 'statistics/'"),
    "long statistics": (lambda m, t: t.update({"statistics/x": np.ones(2)}), "statistics of x: got 'dtype float64'"),
    "infinite": (lambda m, t: t.update({"statistics/x": np.float32([np.nan])}), "statistics of x: got 'a value"),
    "half weights": (lambda m, t: t.update({"weights/a.bias": np.ones(5, "f4")}), "weights: got ['a.bias']"),
    "fingerprint": (lambda m, t: m.update(fingerprint="xyz"), "fingerprint: got 'xyz'"),
    "no fingerprint": (lambda m, t: m.pop("fingerprint"), "metadata: got"),
    "another key": (lambda m, t: m.update(run="code"), "metadata: got"),
    "spec key": (lambda m, t: m["spec"].update(_target_="os.system"), "spec: got '_target_', wanted only the keys"),
    "spec value": (lambda m, t: m["spec"].update(seed=-1), "seed: got -1"),
    "no spec": (lambda m, t: m.update(spec=None), "spec: got None"),
    "id": (lambda m, t: m["provenance"].update(id="../../etc/passwd"), "ticket id: got '../../etc/passwd'"),
    "provenance": (lambda m, t: m.update(provenance=[]), "provenance: got []"),
    "not finite": (lambda m, t: m["provenance"].update(loss=float("nan")), "provenance: got"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_a_tampered_file_says_what_does_not_fit(make: Make, case: str) -> None:
    change, reason = TAMPERED[case]
    content = make().to_bytes()
    assert rewritten(content, lambda meta, tensors: None) == content
    said = refusal(rewritten(content, change))
    assert said.startswith(f"my.ticket was tampered with: its digest fits, but {reason}")


def test_a_tampered_seed_or_fingerprint_meets_another_mother(make: Make) -> None:
    ticket = make()
    changes: list[Change] = [
        lambda meta, tensors: meta["spec"].update(seed=4),
        lambda meta, tensors: meta.update(fingerprint="1" * 64),
        lambda meta, tensors: shape(meta, 3, 2, 1, 1) or meta["shapes"].reverse(),
    ]
    for change in changes:
        content = rewritten(ticket.to_bytes(), change)
        with pytest.raises(TicketError, match=r"^t: the mother drawn here has the fingerprint [0-9a-f]{64}, but the"):
            Ticket.from_bytes(content, where="t")


def test_a_key_that_occurs_twice_is_damage(make: Make) -> None:
    content = make().to_bytes()
    old = b'\\"format\\":2'
    assert content.count(old) == 1
    doubled = content.replace(old, old + b"," + old)
    length = int.from_bytes(content[:8], "little") + len(doubled) - len(content)
    assert refusal(resealed(length.to_bytes(8, "little") + doubled[8:])).startswith("my.ticket is damaged:")


def test_safetensors_refuses_what_it_cannot_place(make: Make) -> None:
    content = make().to_bytes()
    old = b'"dtype":"U8"'
    assert content.count(old) == 1
    said = refusal(resealed(content.replace(old, b'"dtype":"??"')))
    assert said.startswith("my.ticket was tampered with: its digest fits, but safetensors cannot read it")


def test_bytes_behind_the_last_tensor_are_refused() -> None:
    said = refusal(resealed(CONTENT + b"code"))
    assert said.startswith("my.ticket was tampered with: its digest fits, but safetensors cannot read it")


def test_deep_nesting_is_refused() -> None:
    header = b'{"__metadata__":{"ult":"' + b"[" * 200_000 + b'"}}'
    assert refusal(len(header).to_bytes(8, "little") + header).startswith("my.ticket is damaged:")


def test_the_reason_is_kept(make: Make) -> None:
    broken = dataclasses.replace(make(), spec=MotherSpec("conv9"))
    with pytest.raises(TicketError) as caught:
        Ticket.from_bytes(broken.to_bytes())
    assert caught.value.__cause__ is not None


def test_a_spec_and_a_provenance_that_tell_of_two_mothers(make: Make) -> None:
    honest = make()
    told = {"config": {"mother": honest.spec.to_dict()}}
    assert Ticket.from_bytes(make(provenance=told).to_bytes()).spec == honest.spec
    other = {"config": {"mother": {**honest.spec.to_dict(), "seed": 99}}}
    with pytest.raises(TicketError, match=r"tampered with: .* its provenance tells of another mother than its spec"):
        Ticket.from_bytes(make(provenance=other).to_bytes())


def test_a_variance_is_never_negative(make: Make) -> None:
    with pytest.raises(TicketError, match=r"statistics of 1.running_var: got 'a negative variance'"):
        make(statistics={"1.running_var": np.array([0.5, -0.1], dtype="f4")})
