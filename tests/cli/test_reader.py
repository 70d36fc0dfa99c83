"""Typed values out of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from ult_lightning.base import UltError
from ult_lightning.base._text import aligned
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console.tables import shown


def reader(**values: Any) -> Reader:
    return Reader(OmegaConf.create(values))


@pytest.mark.parametrize(
    ("method", "kind", "value", "expected"),
    [
        ("get", float, 1, 1.0),
        ("get", float, 1e-3, 1e-3),
        ("optional", float, None, None),
        ("get", int, 3, 3),
        ("get", int, 3.0, 3),
        ("optional", int, None, None),
        ("get", bool, True, True),
        ("optional", bool, None, None),
        ("get", str, 32, "32"),
        ("get", str, "bf16", "bf16"),
        ("optional", str, None, None),
        ("get", Path, "~/x", Path.home() / "x"),
        ("optional", Path, None, None),
        ("items", None, None, ()),
        ("items", None, "one", ("one",)),
        ("items", None, [{"a": 1}, "two"], ({"a": 1}, "two")),
        ("listed", str, ["a", 7], ("a", "7")),
        ("listed", int, [1, 2], (1, 2)),
        ("listed", float, [1, 0.5], (1.0, 0.5)),
        ("mapping", None, None, {}),
        ("mapping", None, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_values(method: str, kind: type | None, value: Any, expected: Any) -> None:
    result = getattr(reader(key=value), method)("key", *([kind] if kind else []))
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("method", "kind", "value"),
    [
        ("get", float, "abc"),
        ("get", float, True),
        ("get", float, None),
        ("get", float, float("inf")),
        ("get", int, 1.5),
        ("get", int, False),
        ("get", int, "1"),
        ("get", bool, "yes"),
        ("get", bool, 1),
        ("get", bool, None),
        ("get", str, True),
        ("get", str, ["a"]),
        ("get", str, " "),
        ("listed", str, ["a", None]),
        ("listed", str, [["a"]]),
        ("listed", int, [1, "b"]),
        ("mapping", None, [1]),
        ("mapping", None, "a"),
    ],
)
def test_values_of_the_wrong_kind(method: str, kind: type | None, value: Any) -> None:
    with pytest.raises(UltError, match=r"^group\.key: got .*, wanted "):
        getattr(reader(group={"key": value}), method)("group.key", *([kind] if kind else []))


def test_interpolations_are_resolved() -> None:
    assert reader(seed=3, out="t-${seed}").get("out", str) == "t-3"
    assert reader(seed=3, arms=["a${seed}"]).listed("arms", str) == ("a3",)


@pytest.mark.parametrize("key", ["x", "a.x", "x.y"])
def test_keys_that_are_not_there(key: str) -> None:
    with pytest.raises(UltError, match=f"^{key}: got None, wanted a value"):
        reader(a={"b": 1}).get(key, str)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("adam", "got 'adam', wanted keys with values; say a.b.name=adam."),
        ("two words", "got 'two words', wanted keys with values; say a.b.name=VALUE."),
        (None, "got None, wanted keys with values; say a.b.name=VALUE."),
        ([1], "got [1], wanted keys with values; say a.b.name=VALUE."),
    ],
)
def test_a_value_where_a_group_should_be(value: Any, message: str) -> None:
    with pytest.raises(UltError) as caught:
        reader(a={"b": value}).get("a.b.name", str)
    assert str(caught.value) == f"a.b: {message}"


def test_a_value_that_is_missing() -> None:
    with pytest.raises(UltError, match=r"^ticket: got None, wanted a value; for example ticket=my.ticket\.$"):
        reader(ticket="???").get("ticket", str)


def test_keys_that_nobody_read_are_refused() -> None:
    known = reader(density=0.5, net={"name": "conv2", "options": {"width": 1}}, empty={})
    known.get("density", float)
    with pytest.raises(UltError, match=r"net\.name"):
        known.refuse_unread("search")
    known.get("net.name", str)
    known.mapping("net.options")
    known.refuse_unread("search")


def test_keys_that_values_refer_to_are_used() -> None:
    known = reader(colour="cifar10", sources=["mnist", "${colour}"])
    assert known.listed("sources", str) == ("mnist", "cifar10")
    known.refuse_unread("search")


def test_columns() -> None:
    assert aligned([["task", "n"], ["digits", "360"]]) == ["  task      n", "  digits  360"]


def test_paths_as_short_as_they_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "a" / "b") == "a/b"
    assert shown("a/b") == "a/b"
    assert shown("https://wandb.ai/x") == "https://wandb.ai/x"
    assert shown(tmp_path.parent / "c") == str(tmp_path.parent / "c")
