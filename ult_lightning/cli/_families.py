"""What `ult construct` can make: the keys of each family, and its constructor's arguments from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ult_lightning.base import fault, unknown
from ult_lightning.cli._reader import Reader

if TYPE_CHECKING:
    from ult_lightning.tickets import Ticket

Given = Mapping[str, Any]
Notice = Callable[[str], None]

IMAGE = (3, 32, 32)
"""The images that a ticket over images takes, as all image tasks give them."""

_WIDTHS = ("log", "exp", "wave", "chain")
_WHOLES = ("inputs", "pool", "crop", "degree", "bound", "linear", "block")
_FILES = ("target", "calibration")
_FLAGS = ("feedback", "low_noise")
_WORDS = ("function", "mode", "style")

FAMILIES: dict[str, tuple[str, ...]] = {
    "polynomial": (
        "inputs", "degree", "exponents", "pool", "crop", "eps", "init", "style", "log", "linear", "exp", "pieces", "tolerance",
    ),
    "fourier": ("inputs", "bound", "fold", "pool", "crop", "eps", "init", "style", "linear", "wave", "pieces", "tolerance"),
    "univariate": ("function", "eps", "init", "style", "chain", "pieces", "tolerance"),
    "network": ("target", "mode", "block", "eps", "init", "calibration", "feedback", "low_noise", "input_shape"),
}  # fmt: skip
"""The keys that each family takes, beside seed."""

KEYS = tuple(dict.fromkeys(key for keys in FAMILIES.values() for key in keys))

PLAN_KEYS = ("log", "linear", "exp", "wave", "chain", "pieces", "tolerance")


@dataclass(frozen=True)
class Wish:
    """A ticket that was asked for: the family and the keys that were given, checked for their kind."""

    family: str
    given: Given
    seed: int

    @property
    def own(self) -> list[str]:
        """The keys of the mother's plan that the user fixed."""
        return [
            key
            for key in self.given
            if key in PLAN_KEYS or (key == "fold" and isinstance(self.given[key], list))
        ]

    @property
    def reads(self) -> list[Path]:
        """The user's files that the ticket is made from."""
        return [Path(self.given[key]) for key in _FILES if key in self.given]

    def request(self) -> dict[str, Any]:
        """Everything that decides the ticket, as JSON: what was given, over the constructor's own defaults."""
        from ult_lightning.construct import DEFAULT_EPS

        defaults = inspect.signature(self._constructor()).parameters
        known = {key: defaults[key].default for key in FAMILIES[self.family] if key in defaults}
        filled = {key: None if value is inspect.Parameter.empty else value for key, value in known.items()}
        if self.family in DEFAULT_EPS and filled["eps"] is None and not self.own:
            filled["eps"] = DEFAULT_EPS[self.family]
        files = {f"{key}_file": _file_digest(self.given[key]) for key in _FILES if key in self.given}
        given = {key: value for key, value in self.given.items() if key not in _FILES}
        return {"family": self.family, "seed": self.seed, **filled, **given, **files}

    def make(self, notice: Notice) -> Ticket:
        """The ticket; raises UltError for arguments that cannot be, and where the mother does not hold it."""
        arguments = {"seed": self.seed} | {
            key: self.given[key] for key in ("eps", "init") if key in self.given
        }
        if self.family == "network":
            ticket: Ticket = self._constructor()(**arguments, **self._network(), notice=notice)
            return ticket
        if "style" in self.given:
            arguments["style"] = self.given["style"]
        made: Ticket = self._constructor()(**self._named(), **arguments, plan=self._plan(), notice=notice)
        return made

    def _constructor(self) -> Callable[..., Ticket]:
        from ult_lightning import construct

        found: Callable[..., Ticket] = getattr(construct, f"{self.family}_ticket")
        return found

    def _named(self) -> dict[str, Any]:
        """The arguments that say what the features are."""
        from ult_lightning.tickets import InputSpec

        given = self.given
        if self.family == "univariate":
            if "function" not in given:
                raise fault("function", None, "a name", "for example function=sin")
            return {"function": given["function"]}
        named: dict[str, Any] = {
            key: given[key] for key in ("inputs", "degree", "exponents", "bound") if key in given
        }
        if "fold" in given:
            named["fold"] = given["fold"] is not False
        if "pool" in given:
            pool = given["pool"]
            named["inputs"] = pool * pool
            cut = f"crop{given['crop']}" if "crop" in given else ""
            named["input"] = InputSpec(IMAGE, range="unit", adapter=f"{cut}pool{pool}")
        elif "exponents" in given and "inputs" not in given:
            named["inputs"] = len(given["exponents"][0])
        return named

    def _plan(self) -> Any:
        """The laws' plan with the user's own numbers in it, None where there are none."""
        if not self.own:
            return None
        laws = self._laws()
        given = {key: self.given[key] for key in self.own}
        many = len(laws.pieces) if hasattr(laws, "pieces") and isinstance(laws.pieces, tuple) else 1
        if "pieces" in given:
            pieces = given.pop("pieces")
            if len(pieces) != many:
                wanted = f"{many} numbers, [log,exp]" if many > 1 else "one number"
                raise fault("pieces", pieces, f"{wanted}, for family={self.family}")
            name = "pieces_per_period" if self.family == "fourier" else "pieces"
            given[name] = tuple(pieces) if many > 1 else pieces[0]
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        return replace(laws, **given)

    def _laws(self) -> Any:
        from ult_lightning import construct
        from ult_lightning.construct._checks import one_of_styles
        from ult_lightning.construct.functions._fourier import count_frequencies
        from ult_lightning.construct.functions._polynomial import check_exponents

        named = self._named()
        request = self.request()
        eps, style = request["eps"] or construct.DEFAULT_EPS[self.family], request["style"]
        one_of_styles(style)
        if self.family == "univariate":
            return construct.plan_univariate(construct.FUNCTIONS.get(named["function"])(), eps, style=style)
        inputs = named.get("inputs", request["inputs"])
        if self.family == "polynomial":
            powers = check_exponents(inputs, named.get("degree"), named.get("exponents"))
            return construct.plan_polynomial(powers, eps, style=style)
        if count_frequencies(inputs, request["bound"]) > _MOST_FREQUENCIES:
            raise fault(
                "bound", request["bound"], f"at most {_MOST_FREQUENCIES:,} frequencies", "take fewer inputs"
            )
        rows = construct.frequencies(inputs, request["bound"])
        return construct.plan_fourier(rows, eps, style=style, fold=named.get("fold", False))

    def _network(self) -> dict[str, Any]:
        if "target" not in self.given:
            raise fault(
                "target", None, "a file", "write it with ult_lightning.construct.save_target(module, path)"
            )
        named = {key: value for key, value in self.given.items() if key not in ("eps", "init")}
        if "calibration" in named:
            named["calibration"] = _array(named["calibration"])
        return named


_MOST_FREQUENCIES = 10_000


def read(reader: Reader) -> tuple[str | None, Given]:
    """The family (None where there is none) and its keys; raises UltError for those that it does not take."""
    family = reader.optional_word("family")
    given = {key: value for key in KEYS if (value := _value(reader, key)) is not None}
    if family is not None and family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    takes = FAMILIES.get(family or "", ())
    for key, value in given.items():
        if family is not None and key not in takes:
            raise fault(key, value, f"null, since family={family} takes {', '.join(takes)}")
    if "crop" in given and "pool" not in given:
        raise fault("crop", given["crop"], "a pool beside it", "say pool=7 crop=28")
    if "pool" in given:
        pool, side = given["pool"], min(IMAGE[1:])
        if given.get("crop", side) > side:
            raise fault("crop", given["crop"], f"a whole number from 1 to {side}, the side of the images")
        if pool > given.get("crop", side):
            raise fault(
                "pool", pool, f"a whole number from 1 to {given.get('crop', side)}, the side of the images"
            )
        if given.get("inputs", pool * pool) != pool * pool:
            raise fault("inputs", given["inputs"], f"null or {pool * pool}, since pool={pool}")
    return family, given


def _value(reader: Reader, key: str) -> Any:
    """The value of a key, of the kind that it must have; None for null."""
    if key in _WHOLES:
        return _at_least_one(key, reader.optional_whole(key))
    if key in ("eps", "tolerance"):
        number = reader.optional_number(key)
        if number is not None and number <= 0:
            raise fault(key, number, "a number above 0")
        return number
    if key in _WIDTHS:
        return _widths(reader, key)
    if key in _FLAGS:
        return reader.optional_flag(key)
    if key in _FILES:
        path = reader.optional_path(key)
        return None if path is None else str(path)
    if key in _WORDS:
        return reader.optional_word(key)
    if key == "fold":
        found = reader.items(key)
        if len(found) == 1 and not isinstance(found[0], bool):
            raise fault(
                key, found[0], "true, false, or the widths of the triangle wave, as in fold=[200,24,200]"
            )
        return found[0] if len(found) == 1 else _widths(reader, key)
    if key == "init":
        return reader.word("init.name") if reader.has("init.name") else reader.optional_word("init")
    if key == "exponents":
        return _exponents(reader)
    numbers = list(reader.wholes(key))
    if numbers and min(numbers) < 1:
        raise fault(key, numbers, "whole numbers of at least 1")
    return numbers or None


def _at_least_one(key: str, got: int | None) -> int | None:
    if got is not None and got < 1:
        raise fault(key, got, "a whole number of at least 1")
    return got


def _widths(reader: Reader, key: str) -> list[int] | None:
    given = reader.items(key)
    if not given:
        return None
    good = len(given) in (2, 3) and all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in given
    )
    if not good:
        mend = "a width is a whole number of at least 1; three for style=two, two for style=direct"
        raise fault(key, list(given), f"two or three widths, as in {key}=[200,12,200]", mend)
    return list(given)


def _exponents(reader: Reader) -> list[list[int]] | None:
    if not reader.given("exponents"):
        return None
    rows = reader.items("exponents")
    wanted = "rows of whole numbers >= 0, as in 'exponents=[[1,0],[2,1]]'"
    if not rows or any(not isinstance(row, list) or not row or len(row) != len(rows[0]) for row in rows):
        raise fault("exponents", list(rows), wanted, "one row for each monomial, all of one length")
    return [list(row) for row in rows]


def plan_words(plan: Given) -> str:
    """A plan as a user types it.

    >>> plan_words({"log": [200, 12, 200], "fold": None, "pieces_per_period": 21, "tolerance": 0.5})
    'log=[200,12,200] pieces=21 tolerance=0.5'
    """
    words = []
    order = ("log", "linear", "exp", "fold", "wave", "chain")
    for key, value in sorted(
        plan.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)
    ):
        key = "pieces" if key == "pieces_per_period" else key
        if isinstance(value, Sequence):
            words.append(f"{key}=[{','.join(map(str, value))}]")
        elif value is not None:
            words.append(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}")
    return " ".join(words)


def _file_digest(path: str) -> str | None:
    """The digest of a file's bytes; None where there is no such file (its reader says so)."""
    file = Path(path)
    return sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _array(path: str) -> Any:
    import numpy as np

    wanted = "a .npy file of inputs in [0, 1], as numpy.save writes them"
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as cause:
        raise fault("calibration", path, wanted) from cause
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
        raise fault("calibration", path, wanted)
    return found.astype(np.float64)
