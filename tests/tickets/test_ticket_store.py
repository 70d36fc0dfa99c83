from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ult_lightning.base import UltError
from ult_lightning.tickets import Ticket, TicketError, TicketStore

Make = Callable[..., Ticket]


def test_tickets_by_id(make: Make, tmp_path: Path) -> None:
    store = TicketStore(tmp_path / "store")
    ticket = make(provenance={"id": "abc"})
    assert not store.has("abc")
    assert not store.root.exists()  # asking makes nothing
    path = store.save(ticket)
    assert path == store.path("abc") == tmp_path / "store" / "tickets" / "abc.ticket"
    assert store.has("abc")
    assert store.load("abc") == ticket
    assert TicketStore(str(store.root)).load("abc") == ticket
    assert sorted(os.listdir(store.root)) == ["store.json", "tickets"]


def test_saving_again_replaces(make: Make, tmp_path: Path) -> None:
    store = TicketStore(tmp_path)
    store.save(make(provenance={"id": "abc"}))
    newer = make(provenance={"id": "abc", "note": "newer"})
    store.save(newer)
    assert store.load("abc") == newer
    assert store.ids() == ("abc",)


def test_ids_leave_out_drafts_and_locks(make: Make, tmp_path: Path) -> None:
    store = TicketStore(tmp_path)
    assert store.ids() == ()
    for id in ("b", "a"):
        store.save(make(provenance={"id": id}))
    for name in (".tmp-1-0000-c.ticket", "c.ticket.lock", "notes.txt"):
        (tmp_path / "tickets" / name).write_text("x")
    assert store.ids() == ("a", "b")
    assert repr(store) == f"TicketStore({str(tmp_path)!r}, 2 tickets)"


def test_an_unknown_id_gets_the_nearest(make: Make, tmp_path: Path) -> None:
    store = TicketStore(tmp_path)
    store.save(make(provenance={"id": "0123456789abcdef"}))
    with pytest.raises(TicketError, match=r"ticket id: got '0123', wanted one of .*; did you mean 0123456789abcdef\?$"):
        store.load("0123")


@pytest.mark.parametrize("id", ["", "../abc", "a/b", ".hidden", "a" * 101, "ä", None])
def test_what_cannot_be_an_id(tmp_path: Path, id: str) -> None:
    with pytest.raises(TicketError, match=r"^ticket id: got .*, wanted at most 100 letters"):
        TicketStore(tmp_path).has(id)


def test_a_broken_ticket_is_there_and_refused(make: Make, tmp_path: Path) -> None:
    store = TicketStore(tmp_path)
    path = store.save(make(provenance={"id": "abc"}))
    path.write_bytes(path.read_bytes()[:-1])
    assert store.has("abc")
    with pytest.raises(TicketError, match=r"abc.ticket is truncated"):
        store.load("abc")


def test_a_store_of_another_version_is_refused_before_and_after(make: Make, tmp_path: Path) -> None:
    store = TicketStore(tmp_path)
    store.save(make(provenance={"id": "abc"}))
    (tmp_path / "store.json").write_text('{"format":2}')
    with pytest.raises(UltError, match=r"store.json: got 2, wanted store format 1; a newer ult_lightning wrote"):
        store.save(make(provenance={"id": "new"}))
    with pytest.raises(UltError, match=r"store.json: got 2"):
        TicketStore(tmp_path)
    assert store.ids() == ("abc",)
