from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.base import Registry, UltError, fault, nearest, unknown


class OtherError(UltError):
    pass


def test_fault_is_one_sentence_with_all_four_parts() -> None:
    error = fault("density", 1.5, "a number in (0, 1]", "say density=0.5.")
    assert type(error) is UltError
    assert str(error) == "density: got 1.5, wanted a number in (0, 1]; say density=0.5."


def test_fault_without_a_mend_and_with_a_class() -> None:
    error = fault("seed", "a", "a whole number", error=OtherError)
    assert type(error) is OtherError
    assert str(error) == "seed: got 'a', wanted a whole number."


@given(st.text(max_size=2000))
def test_fault_stays_one_short_line(got: str) -> None:
    text = str(fault("path", got, "a file"))
    assert len(text.splitlines()) == 1
    assert len(text) < 250


def test_a_long_value_is_shortened_in_its_middle() -> None:
    text = str(fault("path", "a" * 5000 + "b" * 5000, "a file"))
    assert "'aaa" in text
    assert "aaa ... bbb" in text
    assert "bbb'" in text
    assert len(text) < 250


def test_nearest_puts_the_likeliest_first() -> None:
    assert nearest("resent18", ["resnet50", "resnet18", "conv4"]) == ["resnet18", "resnet50"]
    assert nearest("fashion", ["mnist", "fashion_mnist"]) == ["fashion_mnist"]
    assert nearest("Edge-Popup", ["edge_popup"]) == ["edge_popup"]
    assert nearest("zzz", ["mnist", "digits"]) == []
    assert nearest("", ["mnist"]) == []


@given(st.lists(st.text("abcdef_-", min_size=1), min_size=1, unique=True), st.integers(1, 4), st.data())
def test_nearest_of_a_known_name_is_a_name_that_reads_the_same(known: list[str], n: int, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(known))
    found = nearest(name, known, n)
    assert 1 <= len(found) <= n
    assert set(found) <= set(known)
    assert found[0].replace("-", "_") == name.replace("-", "_")


def test_unknown_lists_and_offers() -> None:
    assert str(unknown("net", "cnov4", ["conv4", "conv2"])) == (
        "net: got 'cnov4', wanted one of conv2, conv4; did you mean conv4 or conv2?"
    )
    assert str(unknown("net", "zzz", ["conv4", "conv2"])) == "net: got 'zzz', wanted one of conv2, conv4."
    assert str(unknown("net", "a", [])) == "net: got 'a', wanted a known net, and none is registered."


def test_unknown_among_very_many_offers_only_the_near() -> None:
    text = str(unknown("net", "net_77x", [f"net_{i}" for i in range(90)], error=OtherError))
    assert "one of 90 known names" in text
    assert "did you mean net_77 or" in text


def test_registry_keeps_order_and_refuses() -> None:
    heads: Registry[type] = Registry("head")

    @heads.register("ridge")
    class Ridge:
        pass

    heads.add("logistic", int)
    assert heads.get("ridge") is Ridge
    assert heads.names() == tuple(heads) == ("ridge", "logistic")
    assert len(heads) == 2
    assert "ridge" in heads
    assert "sgd" not in heads
    with pytest.raises(UltError, match=r"^head: got 'rigde', wanted one of logistic, ridge; did you mean ridge\?$"):
        heads.get("rigde")
    with pytest.raises(ValueError, match="'ridge' is registered already"):
        heads.add("ridge", str)
