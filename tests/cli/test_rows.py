"""`ult rows`: JSON lines for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Say
from ult_lightning.results import Row, RowStore


def a_row(**changes: Any) -> Row:
    known: dict[str, Any] = {
        "task": "digits",
        "arm": "universal",
        "seed": 0,
        "metric": "accuracy",
        "value": 0.9,
        "n": 100,
        "n_train": 50,
        "n_valid": 10,
        "unit": "fraction",
        "settings": {},
        "seconds": {"total": 1.0},
        "trained": "head",
        "parameters_trained": 10,
        "code_version": "0",
        "versions": {},
        "device": "cpu",
        "precision": "32",
    } | changes
    return Row(**{"id": f"{known['task']}-{known['arm']}-{known['seed']}".replace(":", "_"), **known})


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    made = RowStore(tmp_path / "store")
    for row in (a_row(), a_row(seed=1), a_row(arm="dense", ticket="t1"), a_row(task="mnist5k:5-9")):
        made.add(row)
    return made


def test_one_object_per_line_in_the_promised_order(say: Say, store: RowStore) -> None:
    answer = say("rows")
    lines = answer.out.splitlines()
    assert answer.code == 0
    assert len(lines) == 4
    first = ["task", "arm", "seed", "metric", "value", "n", "ticket", "seconds"]
    assert [list(json.loads(line))[:8] for line in lines] == [first] * 4


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["store=store"], 4),
        (["task=digits"], 3),
        (["task=mnist5k:5-9"], 1),
        (["arm=dense"], 1),
        (["seed=01"], 1),
        (["metric=accuracy"], 4),
        (["ticket=t1"], 1),
        (["task=digits", "arm=universal", "seed=0"], 1),
        (["arm=universal", "ticket=t1"], 0),
        (["arm=specialist"], 0),  # an arm that is to come
        (["arm=ticket"], 0),
        (["seed=7"], 0),
    ],
)
def test_filters(say: Say, store: RowStore, words: list[str], count: int) -> None:
    answer = say("rows", *words)
    assert answer.code == 0
    assert len(answer.out.splitlines()) == count


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["arm=unversal"], "arm: got 'unversal', wanted one of dense, universal; did you mean universal?"),
        (["arm=foo"], "arm: got 'foo', wanted one of dense, universal."),
        (["task=digts"], "task: got 'digts', wanted one of digits, mnist5k:5-9; did you mean digits?"),
        (["task=digits", "metric=acuracy"], "metric: got 'acuracy', wanted one of accuracy; did you mean accuracy?"),
        (["ticket=t"], "ticket: got 't', wanted one of t1; did you mean t1?"),
        (["store=nowhere"], "store: got 'nowhere', wanted a folder with rows"),
        (["tsak=digits"], "did you mean task"),
        (["seed=x"], "seed: got 'x', wanted a whole number"),
        (["digits"], "argument: got 'digits', wanted key=value"),
        (["task="], "task: got '', wanted a value"),
        (["task=a", "task=b"], "task: got ['a', 'b'], wanted one value"),
        (["--fast"], "flag: got '--fast'"),
    ],
)
def test_mistakes(say: Say, store: RowStore, words: list[str], said: str) -> None:
    answer = say("rows", *words)
    assert answer.code == 2
    assert said in answer.sentence


def test_a_store_without_rows_has_no_unknown_names(say: Say, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    answer = say("rows", "arm=foo")
    assert (answer.code, answer.out) == (0, "")


def test_an_unknown_ticket_among_many(say: Say, store: RowStore) -> None:
    for seed in range(2, 32):
        store.add(a_row(seed=seed, ticket=f"{seed:016x}"))
    answer = say("rows", "ticket=zzz")
    assert answer.code == 2
    assert answer.sentence == "ticket: got 'zzz', wanted one of the 31 tickets in the store; `ult rows` shows them."


def test_a_broken_row_is_named(say: Say, store: RowStore) -> None:
    store.path("digits-dense-0").write_text('{"id"')
    answer = say("rows")
    assert answer.code == 2
    assert "digits-dense-0.json is no whole row" in answer.sentence


def test_a_store_of_another_version(say: Say, store: RowStore) -> None:
    (store.root / "store.json").write_text('{"format": 99}')
    for words in (["rows"], ["report"], ["ticket", "show", "abc"]):
        answer = say(*words)
        assert answer.code == 2
        assert "store format 1" in answer.sentence
