"""Function tasks: families of functions on the unit cube, for tickets that take numbers and not images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ult_lightning.base import Registry, unknown
from ult_lightning.data._data_error import DataError, check_whole, data_fault
from ult_lightning.data._splits import random_stream
from ult_lightning.data.functions._closed_forms import Floats, Polynomial, Trigonometric

TEST_POINTS = 20_000
"""Test points drawn at random; corners (and for one input a grid) come on top."""
_CORNERS = 1024
_GRID = 2**15
_CELLS = 2**23  # training points are odd and test points even multiples of 1 / (2 * _CELLS), exact in float32
_CHUNK = 4096

Function = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Drawn:
    """What a family draws: k names, one function (b, d) -> (b, k), and its formula where there is one."""

    names: tuple[str, ...]
    function: Function
    closed_form: Polynomial | Trigonometric | None = None


@dataclass(frozen=True)
class Family:
    """A registered family. `bound` is what its number means (None: it takes none) and `default` that number.

    `draw(inputs, spec, stream)` draws the functions; `outside` says that no polynomial or Fourier ticket holds them.
    """

    draw: Callable[[int, FunctionSpec, Stream], Drawn]
    bound: str | None = None
    default: int | None = None
    outside: bool = False


FUNCTIONS: Registry[Family] = Registry("function task")


@dataclass(frozen=True)
class FunctionSpec:
    """What a user types for a function task: a family, its `bound`, how many functions, and their coefficient norm.

    `bound`: for polynomials the degree, for trigonometric the largest |n|_1, for products the largest number of factors
    (None: all inputs). `count` functions, fewer where the family has no more. `norm` is sum |a_r| of every function;
    functions without coefficients are multiplied by it. Raises DataError for anything else.

    >>> FunctionSpec.parse("polynomials").id
    'polynomials:3'
    """

    name: str
    bound: int | None = None
    count: int = 8
    norm: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in FUNCTIONS:
            raise unknown("function task", str(self.name), FUNCTIONS.names(), error=DataError)
        family = FUNCTIONS.get(self.name)
        if self.bound is None:
            object.__setattr__(self, "bound", family.default)
        elif family.bound is None:
            raise data_fault("task", f"{self.name}:{self.bound}", "no bound", f"write {self.name}")
        else:
            check_whole(f"bound of {self.name}", self.bound, f"{family.bound}, 1 or more", f"such as {self.name}:2")
        check_whole("count", self.count, "a number of functions, 1 or more")
        number = isinstance(self.norm, int | float) and not isinstance(self.norm, bool)
        if not number or not (math.isfinite(self.norm) and self.norm > 0):
            raise data_fault("norm", self.norm, "a number above 0")
        object.__setattr__(self, "norm", float(self.norm))

    @classmethod
    def parse(cls, text: object) -> FunctionSpec:
        """From `name`, `name:bound`, or a mapping with the fields as keys; raises DataError as the class does."""
        if isinstance(text, FunctionSpec):
            return text
        if isinstance(text, Mapping):
            known = [field.name for field in fields(cls)]
            for key in text:
                if key not in known:
                    raise unknown("function task key", str(key), known, error=DataError)
            return cls(**{"name": "", **text})
        if not isinstance(text, str):
            raise data_fault("task", text, "text or a mapping", "such as polynomials:3")
        name, colon, rest = text.strip().partition(":")
        if name not in FUNCTIONS:
            raise unknown("function task", name, FUNCTIONS.names(), error=DataError)
        if colon and not (rest.isascii() and rest.isdigit()):
            wanted = FUNCTIONS.get(name).bound
            raise data_fault("task", text, f"{wanted} behind the colon" if wanted else "no bound")
        return cls(name, int(rest) if colon else None)

    @property
    def id(self) -> str:
        """What a user would type for it; `count` and `norm` are not part of it."""
        return self.name if self.bound is None else f"{self.name}:{self.bound}"

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON values; `parse` takes it back."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class FunctionTask:
    """k functions of x in [0, 1]^d, with training and test points from independent streams of one seed.

    No training point is ever a test point: the former are odd and the latter even multiples of 2^-24, so float32 holds
    both exactly.
    """

    spec: FunctionSpec
    inputs: int
    seed: int
    drawn: Drawn

    @property
    def id(self) -> str:
        """What a user would type for it."""
        return self.spec.id

    @property
    def names(self) -> tuple[str, ...]:
        """What each of the k functions is."""
        return self.drawn.names

    @property
    def outside(self) -> bool:
        """Whether the functions lie outside of all spans of monomials and of Fourier features."""
        return FUNCTIONS.get(self.spec.name).outside

    @property
    def closed_form(self) -> Polynomial | Trigonometric | None:
        """The functions as a formula, where the family is one of formulas."""
        return self.drawn.closed_form

    def values(self, x: Floats) -> Floats:
        """The functions (b, k) at points (b, d) in [0, 1]; raises DataError for other points."""
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise data_fault("points", x.shape, f"the shape (b, {self.inputs})")
        if not bool(((x >= 0) & (x <= 1)).all()):
            raise data_fault("points", f"values from {x.min():g} to {x.max():g}", "points in [0, 1]")
        chunks = [self.drawn.function(x[at : at + _CHUNK]) for at in range(0, len(x), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.names)))

    def train_points(self, count: int) -> Floats:
        """`count` uniform training points (count, d) inside the cube."""
        check_whole("points", count, "a number of points, 1 or more")
        cells = Stream(self.seed, f"train/{self.inputs}").below(_CELLS, count * self.inputs)
        return ((2 * cells + 1) / (2 * _CELLS)).reshape(count, self.inputs)

    def test_points(self) -> Floats:
        """20,000 uniform test points, corners (all for d <= 10, else 1,024 of them), for d = 1 a grid of 2^15 steps."""
        stream = Stream(self.seed, f"test/{self.inputs}")
        points = (stream.below(_CELLS + 1, TEST_POINTS * self.inputs) / _CELLS).reshape(-1, self.inputs)
        if 2**self.inputs <= _CORNERS:
            corners = np.array(list(product((0.0, 1.0), repeat=self.inputs)))
        else:
            corners = stream.below(2, _CORNERS * self.inputs).reshape(-1, self.inputs).astype(np.float64)
        grid = np.arange(1, _GRID)[:, None] / _GRID if self.inputs == 1 else np.zeros((0, self.inputs))
        return np.concatenate([points, corners, grid])

    def science(self) -> dict[str, Any]:
        """Everything that decides its values and points, as JSON."""
        return {"functions": self.spec.to_dict(), "inputs": self.inputs, "seed": self.seed, "test": TEST_POINTS}


def load_functions(spec: FunctionSpec | str | Mapping[str, Any], *, inputs: int, seed: int) -> FunctionTask:
    """The function task that `spec` names (see `FunctionSpec.parse`), for points with `inputs` coordinates.

    Raises DataError for wrong arguments and for families of too many terms.
    """
    check_whole("inputs", inputs, "a number of inputs, 1 or more")
    check_whole("seed", seed, "a whole number, 0 or more", least=0)
    parsed = FunctionSpec.parse(spec)
    stream = Stream(seed, f"functions/{parsed.id}/{inputs}")
    return FunctionTask(parsed, inputs, seed, FUNCTIONS.get(parsed.name).draw(inputs, parsed, stream))


class Stream:
    """Random numbers keyed by a seed and a purpose, the same on every machine (NumPy's raw Philox words)."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._words = random_stream(seed, "functions", purpose)

    def uniform(self, count: int) -> Floats:
        """Uniforms in the open interval (0, 1)."""
        cells = (self._words.random_raw(count) >> np.uint64(12)).astype(np.float64)
        values: Floats = (cells + 0.5) * 2.0**-52
        return values

    def signed(self, count: int) -> Floats:
        return 2 * self.uniform(count) - 1

    def below(self, end: int, count: int) -> NDArray[np.int64]:
        """Whole numbers from 0 to end - 1."""
        return np.floor(self.uniform(count) * end).astype(np.int64)

    def order(self, count: int) -> NDArray[np.int64]:
        """A permutation of 0 .. count - 1."""
        return np.argsort(self.uniform(count), kind="stable")
