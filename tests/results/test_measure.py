"""From a measurement to a row: the id, the store, and what is measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ult_lightning.base import NUMERICS, UltError, canonical_json
from ult_lightning.results import SETTING_NAMES, Measurement, Row, RowStore, flat, measure, row_id, without

SETTINGS: dict[str, Any] = {
    "made_by": "compare",
    "arm": "dense",
    "metric": "accuracy",
    "seed": 3,
    "dense.lrs": (0.1, 1),
}

scalars = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
values = st.one_of(scalars, st.lists(scalars, max_size=3))
names = st.builds("{}.{}".format, st.sampled_from(SETTING_NAMES), st.sampled_from("abc"))
settings = st.dictionaries(names, values, min_size=1)


@given(settings, st.randoms(use_true_random=False))
def test_the_order_of_settings_does_not_matter(chosen: dict[str, Any], random: Any) -> None:
    items = list(chosen.items())
    random.shuffle(items)
    assert row_id(dict(items)) == row_id(chosen)


@given(settings, st.lists(names))
def test_what_is_none_does_not_matter(chosen: dict[str, Any], absent: list[str]) -> None:
    assert row_id({**dict.fromkeys(absent), **chosen}) == row_id(chosen)


@given(settings, st.data())
def test_any_other_value_is_another_row(chosen: dict[str, Any], data: st.DataObject) -> None:
    name, value = data.draw(st.sampled_from(sorted(chosen))), data.draw(values)
    assume(canonical_json(value) != canonical_json(chosen[name]))
    assert row_id({**chosen, name: value}) != row_id(chosen)
    assert row_id({key: one for key, one in chosen.items() if key != name}) != row_id(chosen)


def measured(settings: dict[str, Any] = SETTINGS, task: str = "digits", **more: Any) -> tuple[Row, bool, int]:
    """The row, whether it was reused, and how often it was measured."""
    made: list[int] = []

    def make() -> Measurement:
        made.append(1)
        return Measurement(value=0.5, n=10, n_train=7, extra={"steps": 6})

    row, reused = measure(settings, make, task=task, **more)
    return row, reused, len(made)


def test_a_row_says_its_settings_and_what_was_measured() -> None:
    row, reused, made = measured(shown={"density": 0.5, "seed": 3, "steps": None})
    assert (reused, made) == (False, 1)
    assert row.id == row_id(SETTINGS)
    assert row.settings == {**SETTINGS, "dense.lrs": [0.1, 1], "numerics": NUMERICS}
    assert (row.arm, row.metric, row.seed, row.value, row.n_train, row.unit) == (
        "dense",
        "accuracy",
        3,
        0.5,
        7,
        "fraction",
    )
    assert row.extra == {"steps": 6, "shown": {"density": 0.5}}
    assert row.versions["python"]


def test_a_finished_row_is_given_back_under_the_name_that_is_asked_for(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    first = measured(store=store)
    assert first[1:] == (False, 1)
    assert store.get(first[0].id) == first[0]
    again = measured(store=store, task="a link to digits")
    assert again[1:] == (True, 0)
    assert (again[0].task, again[0].value, again[0].created) == ("a link to digits", 0.5, first[0].created)
    assert measured(store=store, force=True)[1:] == (False, 1)
    heard: list[str] = []
    store.path(first[0].id).write_text("half")
    assert measured(store=store, notice=heard.append)[1:] == (False, 1)
    assert "made again" in heard[0]


def test_another_metric_may_be_all_that_was_measured() -> None:
    row, _ = measure(SETTINGS, lambda: Measurement(value=0.0, n=1, metric="unreached"), task="digits")
    assert (row.metric, row.settings["metric"]) == ("unreached", "accuracy")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UltError, match=r"^setting: got 'densty', wanted one of .*; did you mean density"):
        measured({**SETTINGS, "densty": 0.5})
    with pytest.raises(UltError, match=r"^settings\.net\.sizes: got"):
        measured({**SETTINGS, "net.sizes": [[1]]})


def test_flat_leaves() -> None:
    value = {"a": {"b": 1, "none": None, "empty": [], "deep": {"c": "x"}}, "list": [1, 2], "parts": [{"s": 1}, [2]]}
    assert flat("", value) == {"a.b": 1, "a.deep.c": "x", "list": [1, 2], "parts.0.s": 1, "parts.1": [2]}
    assert flat("net", 3) == {"net": 3}


def test_defaults_are_compared_as_json() -> None:
    assert without({"a": [1, 2], "b": True, "c": 1}, {"a": (1, 2), "b": 1}) == {"b": True, "c": 1}
