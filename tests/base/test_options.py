from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from ult_lightning.base import NoOptions, Options, UltError, option, read_options


@dataclass(frozen=True)
class Example(Options):
    lambdas: tuple[float, ...] | None = option(None, above=0, distinct=True)
    momentum: float = option(0.9, least=0, below=1)
    epochs: int = option(10, least=1)
    schedule: Literal["cosine", "constant"] = "cosine"
    augment: bool = False
    densities: Mapping[str, float] | None = option(None, above=0, most=1)
    name: str | None = None


def test_defaults_are_not_given():
    assert read_options(Example).given() == {}
    assert Example(momentum=0.5, lambdas=[1, 2]).given() == {"momentum": 0.5, "lambdas": [1.0, 2.0]}
    assert Example().to_dict()["epochs"] == 10


def test_lists_become_tuples_and_whole_numbers_floats():
    made = read_options(Example, {"lambdas": [1, 0.5], "momentum": 0, "epochs": 3.0})
    assert made.lambdas == (1.0, 0.5)
    assert isinstance(made.momentum, float)
    assert isinstance(made.epochs, int)
    assert hash(made) == hash(Example(lambdas=(1.0, 0.5), momentum=0.0, epochs=3))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lamdbas": [1]}, "option of head.options: got 'lamdbas', wanted one of augment, densities, epochs, lambdas, momentum, name, schedule; did you mean lambdas?"),
        ({"momentum": 1}, "head.options.momentum: got 1, wanted a number at least 0 and below 1."),
        ({"momentum": "a"}, "head.options.momentum: got 'a', wanted a number at least 0 and below 1."),
        ({"epochs": 1.5}, "head.options.epochs: got 1.5, wanted a whole number at least 1."),
        ({"epochs": True}, "head.options.epochs: got True, wanted a whole number at least 1."),
        ({"lambdas": 1}, "head.options.lambdas: got 1, wanted a list of numbers."),
        ({"lambdas": []}, "head.options.lambdas: got [], wanted a list of at least one of numbers."),
        ({"lambdas": [1, 1]}, "head.options.lambdas: got [1, 1], wanted each entry once."),
        ({"lambdas": [0]}, "head.options.lambdas: got 0, wanted a number above 0."),
        ({"schedule": "cosinus"}, "head.options.schedule: got 'cosinus', wanted one of constant, cosine; did you mean cosine?"),
        ({"augment": 1}, "head.options.augment: got 1, wanted true or false."),
        ({"densities": {"0.weight": 2}}, "head.options.densities.0.weight: got 2, wanted a number above 0 and at most 1."),
        ({"momentum": float("nan")}, "head.options.momentum: got nan, wanted a number at least 0 and below 1."),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence_with_the_key_as_typed(values: dict[str, Any], said: str):
    with pytest.raises(UltError) as error:
        read_options(Example, values, key="head.options")
    assert str(error.value) == said


def test_python_gets_the_same_sentences():
    with pytest.raises(UltError, match=r"^momentum: got 2, wanted a number at least 0 and below 1\.$"):
        Example(momentum=2)


def test_what_has_no_default_is_asked_for():
    @dataclass(frozen=True)
    class Needs(Options):
        width: int = option(least=1)

    with pytest.raises(UltError, match=r"^net\.width: got None, wanted a value\.$"):
        read_options(Needs, {}, key="net")


def test_a_member_without_options_refuses_any():
    with pytest.raises(UltError, match=r"^head\.a: got 1, wanted no options here; leave it out\.$"):
        read_options(NoOptions, {"a": 1}, key="head")
