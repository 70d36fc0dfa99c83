from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ult_lightning.base import UltError
from ult_lightning.base import _environment as machine
from ult_lightning.results import Interval, Row, RowStore, environment, interval, paired, rows_as_json_lines
from ult_lightning.tickets import TicketStore

FIELDS: dict[str, Any] = {
    "id": "0123abcd",
    "task": "digits",
    "arm": "universal",
    "seed": 0,
    "metric": "accuracy",
    "value": 0.9125,
    "n": 360,
    "n_train": 1293,
    "n_valid": 144,
    "unit": "fraction",
    "settings": {"head": "ridge", "head.lambdas": [0.1, 1]},
    "seconds": {"head": 0.25, "total": 3},
    "trained": "a linear head",
    "parameters_trained": 20490,
    "code_version": "0.1.0",
    "versions": {"torch": "2.9.1"},
    "device": "a processor, 2 cores",
    "precision": "32",
    "ticket": "abc",
    "seen": False,
    "bytes": 114_000,
    "extra": {"shots": 5},
    "created": "2026-01-31T12:00:00+00:00",
}


def row(**changes: object) -> Row:
    return Row(**{**FIELDS, **changes})


# Rows


def test_the_example_has_every_field() -> None:
    assert set(FIELDS) == {field.name for field in dataclasses.fields(Row)}


def test_json_comes_back() -> None:
    for one in (row(), row(ticket=None, seen=None, bytes=None, extra={}, seed=2**62, value=1e-17)):
        text = one.to_json()
        assert "\n" not in text
        assert Row.from_json(text) == one
        assert Row.from_json(text).to_json() == text


def test_the_keys_of_the_json() -> None:
    assert json.loads(row().to_json()) == FIELDS


def test_numpy_numbers_become_plain_ones() -> None:
    one = row(value=np.float64(0.5), seed=np.int64(3), n=np.int32(7))
    assert [type(part) for part in (one.value, one.seed, one.n)] == [float, int, int]
    assert json.loads(one.to_json())["value"] == 0.5


def test_a_row_is_stamped_in_utc_when_it_is_made() -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "created"}
    created = datetime.fromisoformat(Row(**fields).created)
    assert created.utcoffset() == timedelta(0)
    assert abs((datetime.now(timezone.utc) - created).total_seconds()) < 60


def test_a_row_can_be_in_a_set() -> None:
    assert len({row(), row(), row(id="other")}) == 2


def test_mappings_are_copies() -> None:
    settings = {"a": [1]}
    one = row(settings=settings)
    settings["a"].append(2)
    assert one.settings == {"a": [1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "../x"}, "row id: got '../x', wanted at most 100 letters, digits, dots, dashes and underscores."),
        ({"id": 3}, "row id: got 3, wanted"),
        *(({name: ""}, f"{name}: got '', wanted a text that is not empty.") for name in (
            "task", "arm", "metric", "unit", "trained", "code_version", "device", "precision", "ticket")),
        ({"task": None}, "task: got None, wanted a text that is not empty."),
        ({"value": float("nan")}, "value: got nan, wanted a finite number."),
        ({"value": float("inf")}, "value: got inf, wanted a finite number."),
        ({"value": "0.5"}, "value: got '0.5', wanted a finite number."),
        ({"value": True}, "value: got True, wanted a finite number."),
        ({"value": 91.25}, "value: got 91.25, wanted a fraction from 0 to 1; say the unit if it is another one."),
        ({"value": -0.1}, "value: got -0.1, wanted a fraction"),
        ({"seed": -1}, "seed: got -1, wanted a whole number of at least 0."),
        ({"seed": 1.0}, "seed: got 1.0, wanted a whole number of at least 0."),
        ({"seed": True}, "seed: got True, wanted a whole number"),
        ({"n": 0}, "n: got 0, wanted a whole number of at least 1."),
        ({"n_train": -1}, "n_train: got -1, wanted"),
        ({"n_valid": None}, "n_valid: got None, wanted"),
        ({"parameters_trained": -5}, "parameters_trained: got -5, wanted"),
        ({"bytes": -1}, "bytes: got -1, wanted a whole number of at least 0."),
        ({"seen": 1}, "seen: got 1, wanted True, False or None."),
        ({"settings": [1]}, r"settings: got \[1\], wanted a mapping of JSON values."),
        ({"settings": {"x": object}}, "settings: got .*, wanted a mapping of JSON values; JSON refuses it"),
        *(({"settings": {"x": deep}}, "settings.x: got .*, wanted a number, a word, true or false, or a list of them.")
          for deep in ({}, {"y": 1}, None, [None], [[1]], [{}])),
        ({"extra": {"x": float("nan")}}, "extra: got .*, wanted a mapping of JSON values; JSON refuses it"),
        ({"seconds": {"head": -1}}, "seconds of head: got -1, wanted a number of at least 0."),
        ({"seconds": {"head": "3"}}, "seconds of head: got '3', wanted a finite number."),
        ({"versions": {"torch": 2}}, "version of torch: got 2, wanted a text"),
        ({"created": "yesterday"}, "created: got 'yesterday', wanted a UTC time such as"),
        ({"created": "2026-01-31T12:00:00"}, "created: got '2026-01-31T12:00:00', wanted a UTC time"),
        ({"created": "2026-01-31T12:00:00+02:00"}, "created: got '2026-01-31T12:00:00.02:00', wanted a UTC time"),
        ({"created": None}, "created: got None, wanted a UTC time"),
    ],
)  # fmt: skip
def test_refusals(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UltError, match=f"^{message}"):
        row(**changes)


def test_another_unit_may_exceed_one() -> None:
    assert row(value=91.25, unit="per cent").value == 91.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "row: got '', wanted one JSON object; the text is cut off or no JSON."),
        ("[1]", r"row: got \[1\], wanted one JSON object."),
        (json.dumps({**FIELDS, "colour": 1}), "row: got 'the unknown key colour', wanted exactly the keys arm, bytes"),
        (json.dumps({k: v for k, v in FIELDS.items() if k != "n"}), "row: got 'the missing key n', wanted exactly"),
        (json.dumps({**FIELDS, "value": 2}), "value: got 2.0, wanted a fraction"),
    ],
)
def test_refused_texts(text: str, message: str) -> None:
    with pytest.raises(UltError, match=f"^{message}"):
        Row.from_json(text)


# The store of rows


def test_rows_by_id(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "store")
    assert not store.has("a")
    assert store.all() == []
    assert not store.root.exists()
    path = store.add(row(id="a"))
    assert path == tmp_path / "store" / "rows" / "a.json"
    assert store.has("a")
    assert store.get("a") == row(id="a")
    store.add(row(id="a", value=0.5))
    assert store.get("a").value == 0.5
    assert sorted(os.listdir(store.root)) == ["rows", "rows.json", "store.json"]
    assert repr(store) == f"RowStore({str(store.root)!r}, 1 rows)"


def test_rows_are_sorted_and_filtered(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    keys = [("b", "x", 1), ("a", "y", 2), ("a", "x", 10), ("a", "x", 9)]
    for number, (task, arm, seed) in enumerate(keys):
        store.add(row(id=f"r{number}", task=task, arm=arm, seed=seed))
    (tmp_path / "rows" / ".tmp-1-0000-z.json").write_text("half")
    assert [(one.task, one.arm, one.seed) for one in store.all()] == sorted(keys)
    assert [one.seed for one in store.all(task="a")] == [9, 10, 2]
    assert [one.task for one in store.all(arm="x")] == ["a", "a", "b"]
    assert [one.id for one in store.all(task="b", arm="x")] == ["r0"]
    assert store.all(task="c") == []


def test_an_unknown_row_gets_the_nearest(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    store.add(row(id="0123abcd"))
    with pytest.raises(UltError, match=r"^row id: got '0123', wanted one of 0123abcd; did you mean 0123abcd\?$"):
        store.get("0123")
    with pytest.raises(UltError, match=r"^row id: got '../x', wanted at most 100 letters"):
        store.get("../x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut off"),
        (row(id="a").to_json().encode()[:-20], "cut off"),
        (b'{"loss": 3}', "the missing key"),
        (json.dumps({"lr": 1, **FIELDS}).encode(), "the unknown key lr"),
        (b"\xff\xfe\x00", "it is no text"),
        (row(id="a").to_json().replace("0.9125", "9.125").encode(), "a fraction from 0 to 1"),
        (row(id="b").to_json().encode(), "holds the row b, which is not what its name says"),
    ],
    ids=["empty", "half", "foreign", "strange", "binary", "impossible", "misnamed"],
)
def test_a_broken_row_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    store = RowStore(tmp_path)
    store.add(row(id="good"))
    path = store.path("a")
    path.write_bytes(content)
    for read in (lambda: store.get("a"), store.all):
        with pytest.raises(UltError) as caught:
            read()
        said = str(caught.value)
        assert said.startswith(f"{path} ")
        assert reason in said
        assert said.endswith("; delete this file and repeat the command that made it.")
        assert "\n" not in said


def test_rows_of_the_old_format_are_refused_and_tickets_beside_them_are_not(tmp_path: Path) -> None:
    """A store of before has one mark, and rows with a nested config."""
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.json").write_text('{"config": {}}')
    (tmp_path / "store.json").write_text('{"format": 1, "made_by": "ult_lightning"}')
    said = (
        f"^store: got '{tmp_path}', wanted rows of format 2; an older ult_lightning wrote them: "
        "name another folder with store= and run the command again.$"
    )
    with pytest.raises(UltError, match=said):
        RowStore(tmp_path)
    assert TicketStore(tmp_path).ids() == ()
    (tmp_path / "rows" / "a.json").unlink()
    RowStore(tmp_path).add(row())
    (tmp_path / "rows.json").write_text('{"format": 3}')
    with pytest.raises(UltError, match=r"rows.json: got 3, wanted store format 2; a newer ult_lightning"):
        RowStore(tmp_path)


def test_a_row_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RowStore(tmp_path)
    store.add(row(id="a"))
    original = Path.read_text

    def refuse(path: Path, *args: Any, **kwargs: Any) -> str:
        if path.name == "a.json":
            raise PermissionError(13, "Permission denied")
        return original(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(
        UltError, match=r"a.json cannot be read: Permission denied; check its permissions and the disk.$"
    ):
        store.all()


def test_a_full_disk_leaves_the_old_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RowStore(tmp_path)
    store.add(row(id="a"))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for id in ("a", "b"):
        with pytest.raises(UltError, match=f"^path: got '.*{id}.json', wanted .*; the disk is full"):
            store.add(row(id=id, value=0.1))
    assert os.listdir(tmp_path / "rows") == ["a.json"]
    assert store.get("a") == row(id="a")


def test_a_store_of_another_version(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    store.add(row(id="a"))
    (tmp_path / "store.json").write_text('{"format":9}')
    with pytest.raises(UltError, match=r"store.json: got 9, wanted store format 1; a newer ult_lightning wrote"):
        RowStore(tmp_path)
    with pytest.raises(UltError, match=r"store.json: got 9"):
        store.add(row(id="b"))
    assert store.ids() == ("a",)


def test_rows_as_lines() -> None:
    text = rows_as_json_lines([row(), row(id="b", ticket=None, task="zwölf\nzeilen")])
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == 2
    assert list(lines[0])[:8] == ["task", "arm", "seed", "metric", "value", "n", "ticket", "seconds"]
    assert lines[0] == {**FIELDS, "seconds": 3, "seconds_by_phase": FIELDS["seconds"]}
    assert json.loads(rows_as_json_lines([row(seconds={"a": 1.0, "b": 2.0})]))["seconds"] == 3.0
    assert json.loads(rows_as_json_lines([row(seconds={})]))["seconds"] is None
    assert lines[1]["ticket"] is None
    assert rows_as_json_lines([]) == ""


# Where a number was made


def test_the_environment() -> None:
    found = environment()
    assert set(found) == {"code_version", "versions", "device"}
    assert {"python", "numpy", "torch", "pytorch-lightning", "safetensors"} <= set(found["versions"])
    assert found["versions"]["numpy"] == np.__version__
    assert found["device"].endswith((" core", " cores"))
    assert os.uname().nodename not in json.dumps(found)
    row(**found)  # a row takes it as it is


def test_the_code_version_names_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ult_lightning"
    assert machine._commit(tmp_path) is None
    package.mkdir()
    (package / "a.py").write_text("1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    commit = machine._commit(tmp_path)
    assert commit is not None
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert head.startswith(commit[1:])
    assert len(commit) == 13
    (package / "a.py").write_text("2")
    assert machine._commit(tmp_path) == f"{commit}.dirty"
    assert machine._commit(package) is None  # not the top: a package installed inside another project's checkout
    monkeypatch.setenv("PATH", "")
    assert machine._commit(tmp_path) is None


# Statistics

numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


@given(values=numbers, confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_intervals_agree_with_scipy(values: list[float], confidence: float) -> None:
    found = interval(values, confidence)
    scale = max(1.0, *map(abs, values))
    error = float(stats.sem(values))
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12 * scale)
    if error > 1e-9 * scale:
        low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=error)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9 * scale)
    assert found.low <= found.mean <= found.high
    assert found.half == pytest.approx((found.high - found.low) / 2, rel=1e-6, abs=1e-9 * scale)


def test_three_seeds_by_hand() -> None:
    t = 0.95 * math.sqrt(2 / (1 - 0.95**2))  # the closed form for two degrees of freedom; s = 1
    found = interval([1, 2, 3])
    assert (found.mean, found.n) == (2.0, 3)
    assert found.half == pytest.approx(t / math.sqrt(3), rel=1e-12)
    assert str(found) == "2.0000 ± 2.4841 (n = 3)"


def test_equal_values_have_no_width() -> None:
    assert interval([0.25] * 4) == Interval(0.25, 0.25, 0.25, 4, 0.0)


def test_one_value_has_no_interval_and_says_so() -> None:
    found = interval([0.5])
    assert (found.mean, found.n) == (0.5, 1)
    assert all(math.isnan(part) for part in (found.low, found.high, found.half))
    assert str(found) == "0.5000 (n = 1, no interval)"


@given(
    a=st.dictionaries(st.integers(0, 9), st.floats(-100, 100), min_size=1),
    b=st.dictionaries(st.integers(0, 9), st.floats(-100, 100), min_size=1),
)
def test_paired_differences_agree_with_scipy(a: dict[int, float], b: dict[int, float]) -> None:
    shared = [seed for seed in a if seed in b]
    if not shared:
        with pytest.raises(UltError, match=r"^seeds: got .*, wanted at least one seed in both"):
            paired(a, b)
        return
    found = paired(a, b)
    assert found.n == len(shared)
    differences = [a[seed] - b[seed] for seed in shared]
    assert found.mean == pytest.approx(np.mean(differences), abs=1e-9)
    if len(shared) > 1 and np.std(differences) > 1e-6:
        test = stats.ttest_rel([a[seed] for seed in shared], [b[seed] for seed in shared])
        low, high = test.confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_pairs_go_by_seed_not_by_place() -> None:
    assert paired({1: 10.0, 2: 20.0, 3: 0.0}, {2: 19.0, 1: 9.0}) == Interval(1.0, 1.0, 1.0, 2, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([]), r"values: got \[\], wanted at least one number."),
        (lambda: interval([1, float("nan")]), "values: got .*, wanted finite numbers."),
        (lambda: interval([1, 2], 95), "confidence: got 95, wanted a number between 0 and 1; 0.95 is the custom."),
        (lambda: interval([1, 2], 0), "confidence: got 0, wanted"),
        (lambda: paired({0: 1.0}, {1: 1.0}), r"seeds: got '\[0\] and \[1\]', wanted at least one seed in both; run"),
    ],
)
def test_refused_statistics(call: Any, message: str) -> None:
    with pytest.raises(UltError, match=f"^{message}"):
        call()
