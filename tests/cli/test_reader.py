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
    ("method", "value", "expected"),
    [
        ("number", 1, 1.0),
        ("number", 1e-3, 1e-3),
        ("optional_number", None, None),
        ("whole", 3, 3),
        ("whole", 3.0, 3),
        ("optional_whole", None, None),
        ("flag", True, True),
        ("optional_flag", None, None),
        ("word", 32, "32"),
        ("word", "bf16", "bf16"),
        ("optional_word", None, None),
        ("path", "~/x", Path.home() / "x"),
        ("optional_path", None, None),
        ("items", None, ()),
        ("items", "one", ("one",)),
        ("items", [{"a": 1}, "two"], ({"a": 1}, "two")),
        ("words", ["a", 7], ("a", "7")),
        ("wholes", [1, 2], (1, 2)),
        ("numbers", [1, 0.5], (1.0, 0.5)),
        ("mapping", None, {}),
        ("mapping", {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_values(method: str, value: Any, expected: Any) -> None:
    found = getattr(reader(key=value), method)("key")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("number", "abc"),
        ("number", True),
        ("number", None),
        ("number", float("inf")),
        ("whole", 1.5),
        ("whole", False),
        ("whole", "1"),
        ("flag", "yes"),
        ("flag", 1),
        ("flag", None),
        ("word", True),
        ("word", ["a"]),
        ("word", " "),
        ("words", ["a", None]),
        ("words", [["a"]]),
        ("wholes", [1, "b"]),
        ("mapping", [1]),
        ("mapping", "a"),
    ],
)
def test_values_of_the_wrong_kind(method: str, value: Any) -> None:
    with pytest.raises(UltError, match=r"^group\.key: got .*, wanted "):
        getattr(reader(group={"key": value}), method)("group.key")


def test_interpolations_are_resolved() -> None:
    assert reader(seed=3, out="t-${seed}").word("out") == "t-3"
    assert reader(seed=3, arms=["a${seed}"]).words("arms") == ("a3",)


@pytest.mark.parametrize("key", ["x", "a.x", "x.y"])
def test_keys_that_are_not_there(key: str) -> None:
    with pytest.raises(UltError, match=f"^{key}: got None, wanted a value"):
        reader(a={"b": 1}).word(key)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("adam", "got 'adam', wanted keys with values; say a.b.name=adam."),
        ("two words", "got 'two words', wanted keys with values; say a.b.name=VALUE."),
        (None, "got None, wanted keys with values; say a.b.name=VALUE."),
        ([1], "got [1], wanted keys with values; say a.b.name=VALUE."),
    ],
)
def test_a_value_where_a_group_should_be(value: Any, said: str) -> None:
    with pytest.raises(UltError) as caught:
        reader(a={"b": value}).word("a.b.name")
    assert str(caught.value) == f"a.b: {said}"


def test_a_value_that_is_missing() -> None:
    with pytest.raises(UltError, match=r"^ticket: got None, wanted a value; for example ticket=my.ticket\.$"):
        reader(ticket="???").word("ticket")


def test_keys_that_nobody_read_are_refused() -> None:
    known = reader(density=0.5, net={"name": "conv2", "options": {"width": 1}}, empty={})
    known.number("density")
    with pytest.raises(UltError, match=r"net\.name"):
        known.refuse_unread("search")
    known.word("net.name")
    known.mapping("net.options")
    known.refuse_unread("search")


def test_keys_that_values_refer_to_are_used() -> None:
    known = reader(colour="cifar10", sources=["mnist", "${colour}"])
    assert known.words("sources") == ("mnist", "cifar10")
    known.refuse_unread("search")


def test_columns() -> None:
    assert aligned([["task", "n"], ["digits", "360"]]) == ["  task      n", "  digits  360"]


def test_paths_as_short_as_they_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "a" / "b") == "a/b"
    assert shown("a/b") == "a/b"
    assert shown("https://wandb.ai/x") == "https://wandb.ai/x"
    assert shown(tmp_path.parent / "c") == str(tmp_path.parent / "c")
