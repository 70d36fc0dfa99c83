"""`ult transfer` on functions, from a ticket over numbers to its rows and its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import TINY, Say
from ult_lightning.cli.verbs import _function_targets as functions
from ult_lightning.nets import build_mother, fingerprint, maskable
from ult_lightning.tickets import InputSpec, Mask, MotherSpec, Ticket

WORDS = ("transfer", "ticket=my.ticket", "head=lstsq", "logger=none")


def save_ticket(path: str, shape: tuple[int, int, int], **more: Any) -> Ticket:
    spec = MotherSpec(
        "lenet_300_100", norm="none", bias="nonzero", init="kaiming_normal", input=InputSpec(shape, **more)
    )
    body = build_mother(spec).body
    whole = {name: np.ones(tuple(part.shape), bool) for name, part in maskable(body).items()}
    ticket = Ticket(spec, Mask(whole), {}, fingerprint(body), {})
    ticket.save(path)
    return ticket


@pytest.fixture
def ticket(say: Say) -> Ticket:
    """A whole mother over three numbers, as my.ticket in the working folder."""
    return save_ticket("my.ticket", (1, 1, 3), range="unit")


def rows(say: Say, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in say("rows", *words).out.splitlines()]


def test_from_a_ticket_to_a_report(say: Say, ticket: Ticket) -> None:
    answer = say(*WORDS, "targets=[polynomials,products:2,outside]", "seed=1")
    assert answer.code == 0, answer.err
    found = rows(say)
    assert len(found) == 6
    assert {row["task"] for row in found} == {"polynomials:3", "products:2", "outside"}
    for row in found:
        assert (row["ticket"], row["seed"], row["unit"], row["n"]) == (ticket.id, 1, "absolute", 20_008)
        assert row["extra"]["inputs"] == 3
        assert f"{row['value']:.2e}" in answer.out
        assert row["extra"]["outside"] == (row["task"] == "outside")
    outside = [line for line in answer.out.splitlines() if "outside the family" in line]
    assert len(outside) == 1
    assert outside[0].split()[0] == "outside"
    assert "-: no proof for all functions of this target." in answer.out
    assert f"{ticket.network().fingerprint()[:16]} before and after" in answer.out  # type: ignore[attr-defined]
    assert len(rows(say, "metric=sup_error")) == 3

    again = say(*WORDS, "targets=[polynomials,products:2,outside]", "seed=1")
    assert again.out.count("(stored)") == 3
    assert rows(say) == found

    report = say("report", "out=here")
    assert report.code == 0, report.err
    assert "outside (outside the family)" in report.out
    assert {path.name for path in Path("here").iterdir()} == {"functions.csv"}
    assert len(Path("here/functions.csv").read_text().splitlines()) == 4


def test_accuracies_and_errors_are_two_tables(say: Say, ticket: Ticket) -> None:
    assert say("search", *TINY, "out=image.ticket").code == 0
    assert say("transfer", "ticket=image.ticket", "targets=[digits]", "logger=none", "train_limit=200").code == 0
    assert say(*WORDS, "targets=[products]").code == 0
    report = say("report", "out=here")
    assert report.code == 0, report.err
    assert {path.name for path in Path("here").iterdir()} == {
        "table.csv",
        "table.md",
        "table.tex",
        "figure.png",
        "report.html",
        "functions.csv",
    }
    assert "products" in report.out
    assert "other metrics" not in report.out
    assert "products" not in Path("here/table.csv").read_text()
    assert "digits" not in Path("here/functions.csv").read_text()


def test_more_functions_in_a_mapping(say: Say, ticket: Ticket) -> None:
    assert say(*WORDS, "targets=[{name:trigonometric,bound:1,count:3,norm:2}]", "head.options.points=300").code == 0
    (sup,) = rows(say, "metric=sup_error")
    assert sup["task"] == "trigonometric:1"
    assert sup["n_train"] == 300
    assert len(sup["extra"]["functions"]) == 3
    assert sup["settings"]["task.functions.norm"] == 2


def test_the_bound_is_shown_where_there_is_one(say: Say, ticket: Ticket) -> None:
    say(*WORDS, "targets=[products]")
    from ult_lightning.results import Row, RowStore

    store = RowStore("store")
    sup = next(row for row in store.all() if row.metric == "sup_error")
    proven = Row.from_json(sup.to_json().replace('"certified_bound":null', '"certified_bound":0.0625'))
    assert proven != sup
    lines = functions.rows_table([proven, sup])
    assert "6.25e-02" in lines[1]
    assert not any("no proof" in line for line in functions.rows_table([proven, proven]))


MIXED = [
    (("targets=[polynomials,digits]", "head=lstsq"), "wanted functions alone or image tasks alone"),
    (("targets=[polynomials]",), "head: got 'ridge', wanted lstsq, since the targets are functions; add head=lstsq"),
    (("targets=[digits]", "head=lstsq"), "head: got 'lstsq', wanted one of ridge, logistic, sgd"),
    (("targets=[digits]",), "targets: got ['digits'], wanted functions such as polynomials, since ticket"),
    (("targets=[polynomails]", "head=lstsq"), "did you mean polynomials"),
    (("targets=[polynomials:x]", "head=lstsq"), "wanted a degree behind the colon"),
    (("targets=[outside:2]", "head=lstsq"), "wanted no bound; write outside"),
    (("targets=[{name:products,cuont:3}]", "head=lstsq"), "did you mean count"),
    (("targets=[products,products]", "head=lstsq"), "wanted each value once"),
    (("targets=[products]", "head=lstsq", "shots=[1]"), "shots: got [1], wanted null"),
    (("targets=[products]", "head=lstsq", "save=models"), "save: got 'models', wanted null"),
    (("targets=[products]", "head=lstsq", "train_limit=10"), "train_limit: got 10, wanted null"),
    (("targets=[products]", "head=lstsq", "valid_limit=10"), "valid_limit: got 10, wanted null"),
    (("targets=[products]", "head=lstsq", "precision=bf16"), "precision: got 'bf16', wanted 32 or auto"),
    (("targets=[products]", "head=lstsq", "head.options.points=7"), "more points than the 100 features"),
    (("targets=[polynomials:99]", "head=lstsq"), "at most 20,000 terms, and 3 inputs give 171,700"),
    (("targets=[]", "head=lstsq"), "targets: got []"),
]


@pytest.mark.parametrize(("words", "said"), MIXED)
def test_mistakes(say: Say, ticket: Ticket, words: tuple[str, ...], said: str) -> None:
    answer = say("transfer", "ticket=my.ticket", "logger=none", *words)
    assert answer.code == 2
    assert said in answer.sentence
    assert not list(Path("store").glob("rows/*.json"))


def test_an_image_ticket_takes_no_functions(say: Say) -> None:
    save_ticket("my.ticket", (3, 32, 32))
    answer = say(*WORDS, "targets=[products]")
    assert answer.code == 2
    assert "with an input of shape (3, 32, 32)', wanted a ticket over numbers" in answer.sentence


def test_a_ticket_that_wants_standardised_numbers(say: Say) -> None:
    save_ticket("my.ticket", (1, 1, 2))
    assert "wanted input.range=unit" in say(*WORDS, "targets=[products]").sentence


def test_compare_has_no_head_for_functions(say: Say) -> None:
    answer = say("compare", "sources=[digits]", "targets=[digits]", "head=lstsq", "logger=none")
    assert answer.code == 2
    assert "head: got 'lstsq', wanted one of" in answer.sentence
