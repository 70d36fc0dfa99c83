"""Function rows: what they say, how they are found again, and where the certificate comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ult_lightning.construct
from ult_lightning.base import UltError
from ult_lightning.data import load_functions
from ult_lightning.nets import build_mother, fingerprint, maskable
from ult_lightning.results import Row, RowStore
from ult_lightning.tickets import InputSpec, Mask, MotherSpec, Ticket
from ult_lightning.transfer import FUNCTION_METRICS, function_rows
from ult_lightning.transfer import _function_rows as module


def a_ticket(inputs: int = 3, seed: int = 0) -> Ticket:
    """A whole random mother over numbers."""
    spec = MotherSpec("lenet_300_100", norm="none", bias="nonzero", init="kaiming_normal", seed=seed,
                      input=InputSpec((1, 1, inputs), range="unit"))  # fmt: skip
    body = build_mother(spec).body
    whole = {name: np.ones(tuple(part.shape), bool) for name, part in maskable(body).items()}
    return Ticket(spec, Mask(whole), {}, fingerprint(body), {"seconds": 2.0})


@pytest.fixture(scope="module")
def ticket() -> Ticket:
    return a_ticket()


def measured(ticket: Ticket, name: str = "products", seed: int = 0, **more: Any) -> tuple[Row, ...]:
    task = load_functions(name, inputs=3, seed=seed)
    return function_rows(ticket, ticket.network(), task, **more)  # type: ignore[arg-type]


def certify(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, ...]]:
    """Let the construct room certify every head with `answer`; the list fills with what it is asked."""
    asked: list[tuple[Any, ...]] = []

    def head_bound(*arguments: Any) -> Any:
        asked.append(arguments)
        return answer

    monkeypatch.setattr(ult_lightning.construct, "head_bound", head_bound, raising=False)
    return asked


def test_two_rows_that_say_everything(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    certify(monkeypatch, None)
    built: Any = ticket.network()
    sup, rms = measured(ticket)
    assert (sup.metric, rms.metric) == FUNCTION_METRICS == ("sup_error", "rms_error")
    for row, key in ((sup, "sup_error"), (rms, "rms_error")):
        assert row.unit == "absolute"
        assert row.value == max(f[key] for f in row.extra["functions"])
        assert (row.task, row.arm, row.seed, row.ticket) == ("products", "ticket", 0, ticket.id)
        assert (row.n, row.n_train, row.n_valid) == (20_008, 6_000, 0)
        assert row.seen is None
        assert row.parameters_trained == 7 * 101
        assert row.bytes == len(ticket.to_bytes()) + 8 * 7 * 101
        assert row.seconds["search"] == 2.0
        assert row.seconds["total"] > 2.0
        assert row.extra["certified_bound"] is None
        assert row.extra["outside"] is False
        assert row.extra["head_norm"] == max(f["head_norm"] for f in row.extra["functions"])
        assert row.extra["fingerprint_before"] == row.extra["fingerprint_after"] == built.fingerprint()
        assert row.extra["functions"][0]["name"] == "x1 x2 x3"
        assert Row.from_json(row.to_json()) == row
    assert 0 < rms.value < sup.value < 1
    assert sup.id != rms.id
    assert measured(ticket, "outside")[0].extra["outside"] is True


def test_finished_rows_are_reused(ticket: Ticket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = module.transfer_functions

    def counted(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **more)

    monkeypatch.setattr(module, "transfer_functions", counted)
    store = RowStore(tmp_path)
    first = measured(ticket, store=store)
    assert len(calls) == 1  # one fit for both rows
    assert {row.id for row in first} == set(store.ids())
    assert measured(ticket, store=store) == first
    assert len(calls) == 1
    store.path(first[1].id).unlink()
    assert measured(ticket, store=store)[1].value == first[1].value
    assert len(calls) == 2
    forced = measured(ticket, store=store, force=True)
    assert len(calls) == 3
    assert [row.value for row in forced] == [row.value for row in first]


def test_what_changes_a_row_is_in_its_id(ticket: Ticket) -> None:
    base = measured(ticket)[0].id
    others = [
        measured(ticket, seed=1),
        measured(ticket, "products:2"),
        measured(ticket, options={"points": 5000}),
        measured(ticket, options={"rcond": 1e-8}),
        measured(a_ticket(seed=1)),
    ]
    assert len({base, *(rows[0].id for rows in others)}) == 6
    assert measured(ticket, options={"rcond": 1e-10, "points": None})[0].id == base  # defaults are the same thing


def test_the_certificate_is_asked_for_and_told(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = np.linspace(0.1, 0.7, 7)
    asked = certify(monkeypatch, bounds)
    sup, rms = measured(ticket)
    assert len(asked) == 1
    given, weights, biases, task = asked[0]
    assert given is ticket
    assert weights.shape == (7, 100)
    assert biases.shape == (7,)
    assert task.id == "products"
    for row in (sup, rms):
        assert row.extra["certified_bound"] == pytest.approx(0.7)
        assert [f["bound"] for f in row.extra["functions"]] == pytest.approx(bounds.tolist())


def test_one_unproven_function_leaves_no_bound(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    certify(monkeypatch, np.array([0.1] * 6 + [np.nan]))
    sup = measured(ticket)[0]
    assert sup.extra["certified_bound"] is None
    assert [f["bound"] for f in sup.extra["functions"]] == [0.1] * 6 + [None]


def test_a_certificate_of_another_shape_is_refused(ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    certify(monkeypatch, np.zeros(3))
    with pytest.raises(UltError, match=r"head_bound: got \(3,\)"):
        measured(ticket)
