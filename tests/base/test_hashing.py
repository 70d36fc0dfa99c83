from __future__ import annotations

import hashlib
import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ult_lightning.base import canonical_json, digest

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), plain, min_size=2), st.randoms())
def test_the_order_of_keys_is_nothing(value: dict[str, object], random: object) -> None:
    keys = list(value)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)


@given(plain)
def test_it_reads_back_as_the_same_value(value: object) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


def test_the_text_itself() -> None:
    value = MappingProxyType({"b": (1, 2.5, True), "a": {"z": None, "y": "ä"}})
    assert canonical_json(value) == '{"a":{"y":"\\u00e4","z":null},"b":[1,2.5,true]}'
    assert digest(value) == hashlib.sha256(canonical_json(value).encode()).hexdigest()


def test_what_differs_is_told_apart() -> None:
    values = [1, 1.0, "1", True, None, [1], {"1": 1}, 0.1, 0.1 + 1e-17 * 3, -0.0, 0]
    assert len({canonical_json(value) for value in values}) == len(set(map(repr, values)))


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, -float("inf")])
def test_no_nan_and_no_infinity(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {None: 1}}, {1, 2}, b"x", object()])
def test_what_json_has_no_word_for(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)
