from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ult_lightning.base import UltError
from ult_lightning.tickets import Mask, MotherSpec, Subnetwork, Ticket, TicketError

Make = Callable[..., Ticket]


def test_a_ticket_comes_back_whole(ticket: Ticket, tmp_path: Path) -> None:
    path = ticket.save(tmp_path / "deep" / "my.ticket")
    again = Ticket.load(path)
    assert path == tmp_path / "deep" / "my.ticket"
    assert again == ticket
    assert hash(again) == hash(ticket)
    assert again.spec == ticket.spec
    assert again.mask == ticket.mask
    assert again.mask.names == ("b.weight", "a.weight", "a.bias")  # the mother's order, not the alphabet's
    assert again.fingerprint == ticket.fingerprint
    assert again.provenance == ticket.provenance
    assert again.weights is None
    for group in ("statistics", "constants"):
        ours, theirs = getattr(ticket, group), getattr(again, group)
        assert list(ours) == list(theirs)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert again.constants["token"].shape == (1, 1)


def test_bytes_do_without_a_file(ticket: Ticket) -> None:
    assert Ticket.from_bytes(ticket.to_bytes()) == ticket


def test_a_stateless_ticket_is_a_seed_and_bits(make: Make, tmp_path: Path) -> None:
    ticket = make(statistics={}, constants={}, provenance={}, spec=MotherSpec("conv2", {"width": 1}, norm="layer"))
    again = Ticket.load(ticket.save(tmp_path / "t"))
    assert again == ticket
    assert again.statistics == {}
    assert again.provenance == {}


def test_a_scalar_parameter_and_awkward_names(make: Make) -> None:
    ticket = make(subnetwork=Mask({'a/b.c ä"\\': np.array(True), "mask": [1, 0]}))
    assert Ticket.from_bytes(ticket.to_bytes()).mask == ticket.mask


def test_big_endian_and_transposed_arrays_are_the_same_ticket(make: Make) -> None:
    plain = np.arange(6, dtype="f4").reshape(2, 3)
    other = np.asfortranarray(plain.astype(">f4"))
    assert make(statistics={"s": plain}).to_bytes() == make(statistics={"s": other}).to_bytes()


def test_the_id_is_the_makers_or_the_contents(make: Make) -> None:
    assert make(provenance={"id": "run-7"}).id == "run-7"
    ticket = make(provenance={"method": "none"})
    assert ticket.id == ticket.content_digest[:16]
    assert len(ticket.content_digest) == 64


def test_densities(make: Make) -> None:
    ticket = make(subnetwork=Mask({"b.weight": [1, 0, 0, 0], "a.weight": [1, 1]}))
    assert ticket.density == 0.5
    assert ticket.densities == {"b.weight": 0.25, "a.weight": 1.0}


def test_the_content_digest_covers_what_a_ticket_is(make: Make) -> None:
    ticket = make()
    bits = {name: ticket.mask[name].copy() for name in ticket.mask}
    bits["a.bias"][0] ^= True
    others = {
        "spec": MotherSpec("conv2", {"width": 2}, seed=4),
        "subnetwork": Mask(bits),
        "statistics": {**ticket.statistics, "norm.running_mean": np.float32([1.5, -3])},
        "fingerprint": "1" * 64,
        "constants": {},
    }
    assert ticket.content_digest == make(provenance={}).content_digest
    scaled = Subnetwork(ticket.mask, {"a.bias": np.float32(2)})
    signed = Subnetwork(ticket.mask, planes={"signs": ticket.mask})
    assert scaled != signed != ticket.subnetwork
    for name, value in [*others.items(), ("subnetwork", scaled), ("subnetwork", signed)]:
        other = dataclasses.replace(ticket, **{name: value})
        assert other.content_digest != ticket.content_digest, name
        assert other != ticket
    assert make(provenance={}) != ticket
    assert ticket != "ticket"


def test_arrays_and_provenance_are_copies(make: Make) -> None:
    statistics, provenance = {"s": np.float32([1])}, {"list": [1]}
    ticket = make(statistics=statistics, provenance=provenance)
    statistics["s"][0] = 2
    provenance["list"].append(2)
    assert ticket.statistics["s"].tolist() == [1]
    assert ticket.provenance == {"list": [1]}
    with pytest.raises(ValueError, match=r"read-only"):
        ticket.statistics["s"][0] = 3


def test_the_repr_is_short(ticket: Ticket) -> None:
    assert repr(ticket) == f"Ticket(abc-1: conv2, density {ticket.density:.4g} of 21 parameters, by edge_popup)"


def test_weights_are_embedded_on_request_only(ticket: Ticket, tmp_path: Path) -> None:
    slim, archive = ticket.save(tmp_path / "slim"), ticket.save(tmp_path / "archive", weights=True)
    assert Ticket.load(slim).weights is None
    again = Ticket.load(archive)
    assert again.weights is not None
    assert {name: part.shape for name, part in again.weights.items()} == ticket.mask.shapes
    assert again.content_digest == ticket.content_digest
    assert again != ticket
    assert archive.stat().st_size - slim.stat().st_size >= 4 * ticket.mask.total


def test_embedded_weights_stay_and_need_no_net(make: Make, tmp_path: Path) -> None:
    first = Ticket.from_bytes(make().to_bytes(weights=True))
    foreign = dataclasses.replace(first, spec=MotherSpec("a net that nobody knows"))
    again = Ticket.load(foreign.save(tmp_path / "t"))  # saved without asking for weights
    assert again.weights is not None
    assert again == foreign


def test_changed_weights_are_found(make: Make) -> None:
    first = Ticket.from_bytes(make().to_bytes(weights=True))
    weights = {name: part.copy() for name, part in (first.weights or {}).items()}
    weights["a.bias"][0] += 1
    with pytest.raises(TicketError, match=f"^x: the mother drawn here .* but the ticket names {first.fingerprint}"):
        Ticket.from_bytes(dataclasses.replace(first, weights=weights).to_bytes(), where="x")


def test_the_network_is_built_by_its_provider(ticket: Ticket) -> None:
    network = ticket.network()
    assert set(network) == set(ticket.mask)
    assert not network["a.weight"][~ticket.mask["a.weight"]].any()
    assert network["a.weight"].any()


def test_another_mother_names_both_fingerprints(ticket: Ticket, tmp_path: Path) -> None:
    other = dataclasses.replace(ticket, spec=MotherSpec("conv2", {"width": 2}, seed=4))
    path = other.save(tmp_path / "t")
    with pytest.raises(TicketError) as caught:
        Ticket.load(path)
    assert str(caught.value).startswith(f"{path}: the mother drawn here has the fingerprint ")
    assert ticket.fingerprint in str(caught.value)
    assert str(caught.value).endswith("; it was tampered with, or made by a version that drew other weights.")
    assert Ticket.load(path, verify=False) == other


def test_an_unknown_net_is_a_ticket_error(ticket: Ticket, tmp_path: Path) -> None:
    path = dataclasses.replace(ticket, spec=MotherSpec("conv9")).save(tmp_path / "t")
    with pytest.raises(TicketError, match=r"t: its mother cannot be drawn again: net: got 'conv9', wanted one of"):
        Ticket.load(path)


def test_wrong_options_are_a_ticket_error(ticket: Ticket, tmp_path: Path) -> None:
    path = dataclasses.replace(ticket, spec=MotherSpec("conv2", {"width": "wide"})).save(tmp_path / "t")
    with pytest.raises(TicketError, match=r"t: its mother cannot be drawn again from its spec \(.+\)\.$"):
        Ticket.load(path)


def test_a_module_of_ones_own(make: Make, tmp_path: Path) -> None:
    ticket = make(spec=MotherSpec("module", {"width": 1}), module=lambda: 11)
    path = ticket.save(tmp_path / "t")
    again = Ticket.load(path, module=lambda: 11)
    assert again == ticket
    ours, theirs, forgotten = (again.network(), again.network(module=lambda: 12), Ticket.load(path, verify=False))
    assert np.array_equal(ours["a.weight"], ticket.network()["a.weight"])
    for other in (theirs, forgotten.network()):
        assert not np.array_equal(other["a.weight"], ours["a.weight"])
    with pytest.raises(TicketError, match=r"; give the module factory that it was made with.$"):
        Ticket.load(path, module=lambda: 12)


def test_a_fault_in_ones_own_module_is_not_hidden(make: Make, tmp_path: Path) -> None:
    path = make(spec=MotherSpec("module", {"width": 1}), module=lambda: 11).save(tmp_path / "t")

    def broken() -> int:
        raise KeyError("mine")

    with pytest.raises(KeyError, match=r"mine"):
        Ticket.load(path, module=broken)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec": {"net": "conv2"}}, "spec: got .*, wanted a MotherSpec."),
        ({"subnetwork": {"w": [1]}}, "subnetwork: got .*, wanted a Subnetwork or a Mask."),
        ({"subnetwork": Mask({"w": [0, 0]})}, "mask: got .*, wanted a mask that keeps at least one parameter."),
        ({"fingerprint": "abc"}, "fingerprint: got 'abc', wanted 64 hexadecimal digits"),
        ({"fingerprint": "F" * 64}, "fingerprint: got 'FFF"),
        ({"provenance": {"id": "../x"}}, "ticket id: got '../x', wanted at most 100 letters"),
        ({"provenance": {"id": 7}}, "ticket id: got 7, wanted"),
        ({"provenance": {"when": np.float32(1)}}, "provenance: got .*, wanted a mapping of JSON values; JSON refuses"),
        ({"provenance": [1]}, r"provenance: got \[1\], wanted a mapping of JSON values."),
        ({"statistics": [1]}, r"statistics: got \[1\], wanted a mapping of names to float32 arrays."),
        ({"statistics": {"s": np.ones(2)}}, "statistics of s: got 'dtype float64', wanted float32."),
        ({"statistics": {"s": np.int64(4)}}, "statistics of s: got 'dtype int64', wanted float32."),
        ({"statistics": {"s": np.float32([np.inf])}}, "statistics of s: got 'a value that is not finite', wanted"),
        ({"constants": {"": np.float32([1])}}, "constants: got '', wanted names as keys."),
        ({"constants": {"a.bias": np.float32([1])}}, r"constants of a.bias: got \(1,\), wanted the shape \(5,\)"),
        ({"weights": {"a.bias": np.zeros(5, "f4")}}, "weights: got .*, wanted every parameter of the mask, b.weight"),
    ],
)  # fmt: skip
def test_refusals(make: Make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(TicketError, match=f"^{message}"):
        make(**{"fingerprint": "0" * 64, **changes})


@pytest.mark.parametrize("call", ["write_bytes", "fsync"])
def test_a_full_disk_leaves_nothing(ticket: Ticket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    old = ticket.save(tmp_path / "old").read_bytes()

    def half(path: Path, data: bytes) -> int:
        with path.open("wb") as stream:
            stream.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((Path, call, half) if call == "write_bytes" else (os, call, full)))
    for name in ("old", "new"):
        with pytest.raises(UltError, match=f"^path: got '.*{name}', wanted .*; the disk is full.*[.]$"):
            ticket.save(tmp_path / name)
    assert os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == old


def test_a_read_only_folder_leaves_nothing(ticket: Ticket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> int:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UltError, match=r"^path: got '.*t', wanted .*; the disk is read-only: name another folder.$"):
        ticket.save(tmp_path / "t")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_forbidden_folder(ticket: Ticket, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UltError, match=r"permission is denied"):
        ticket.save(tmp_path / "t")
    assert os.listdir(tmp_path) == []
