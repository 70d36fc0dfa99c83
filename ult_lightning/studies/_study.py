"""Studies: experiments on the theory itself, one row per number, each measured once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from ult_lightning.base import Registry, fault, unknown
from ult_lightning.results import Measurement, Row, RowStore, flat, measure

UNREACHED = "unreached"
"""The metric of a row that says that no ticket was found, in place of the number asked for."""

_SAME = ("n", "n_train", "unit", "trained", "parameters_trained", "ticket", "bytes")  # in Found and Measurement
_MAY_REPEAT = ("hidden",)  # lists whose entries are no points of their own

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Axes:
    """How a study is drawn: one panel per metric of ``panels``, which maps it to the label of its y axis.

    ``cloud``: single points instead of medians over seeds with a band. ``diagonal``: a line y = x, with this label. ``law``:
    what formulas are called in the legend.
    """

    x: str
    panels: Mapping[str, str]
    log_x: bool = False
    log_y: bool = True
    share_y: bool = False
    cloud: bool = False
    diagonal: str | None = None
    law: str = "closed form"


@dataclass(frozen=True)
class Found:
    """What one measurement gave: a value per metric over ``n`` samples, at ``x``.

    ``group``: points of a series and group differ in their seeds only; by default it is ``x``. ``extra``: what else was
    counted; "seconds" there are those of the row.
    """

    values: Mapping[str, float]
    x: float
    n: int
    group: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    ticket: str | None = None
    bytes: int | None = None
    n_train: int = 0
    unit: str = "absolute"
    trained: str = "nothing"
    parameters_trained: int = 0


@dataclass(frozen=True)
class Point:
    """One measurement to make: ``science`` is all that decides it, ``measure`` makes it.

    ``kind``: "measured", "law" (a formula) or "published" (somebody else's number).
    """

    series: str
    seed: int
    science: Mapping[str, Any]
    metrics: tuple[str, ...]
    measure: Callable[[], Found]
    kind: str = "measured"


@dataclass(frozen=True)
class Study:
    """A claim, how it is drawn, and the points that test it.

    ``options``: every option with its default; ``fast``: those that are smaller for a quick look; ``choices``: the words
    that an option of words may hold, where not any. ``points`` takes the options, all of them, and with ``needs_data`` the
    arguments of `load_task` that say where images lie. ``panels``: those of the axes, where they depend on the options.
    """

    name: str
    claim: str
    title: str
    axes: Axes
    options: Options
    fast: Options
    points: Callable[..., Iterator[Point]]
    needs_data: bool = False
    panels: Callable[[Options], Mapping[str, str]] | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


STUDIES: Registry[Study] = Registry("study")


def run_study(
    name: str,
    options: Options | None = None,
    *,
    store: RowStore | None = None,
    data: Mapping[str, Any] | None = None,
    force: bool = False,
    notice: Callable[[str], None] | None = None,
) -> list[Row]:
    """The rows of a study, in the order of its points; with ``store`` every finished one is read, not measured again.

    Each row has ``task`` = the study, ``arm`` = the series, ``settings`` = all that decides the number, and in ``extra``
    "x", "series", "kind" and "group" beside what was counted on the way. Where a mother holds no such ticket, the row's
    metric is "unreached" and ``extra["why"]`` says why. ``options``: as in ``STUDIES.get(name).options``, and
    ``fast=True`` for defaults that take seconds. ``data``: where images lie (data_dir, cache_dir, download), for studies that load
    some. ``notice`` hears the progress.

    Raises UltError for an unknown study and for options that it does not take.
    """
    study = STUDIES.get(name)
    resolved = study_options(name, options)
    points = list(study.points(resolved, dict(data or {})) if study.needs_data else study.points(resolved))
    rows = []
    for number, point in enumerate(points, 1):
        told = f"{name}: point {number} of {len(points)}, {point.series}, seed {point.seed}"
        rows += _rows(study, point, told, store=store, force=force, notice=notice or _silent)
    return rows


def study_options(name: str, options: Options | None = None) -> dict[str, Any]:
    """All options of a study: its defaults (those of a quick look with ``fast=True``), and ``options`` over them.

    Raises UltError for keys that it does not have and for values of another kind.
    """
    study = STUDIES.get(name)
    given = dict(options or {})
    fast = given.pop("fast", False)
    if not isinstance(fast, bool):
        raise fault("options.fast", fast, "true or false")
    for key, value in given.items():
        if key not in study.options:
            raise unknown(f"option of the study {name}", key, [*study.options, "fast"])
        _check(key, value, study.options[key], study.choices.get(key, ()))
    return {**study.options, **(study.fast if fast else {}), **given}


def study_axes(name: str, options: Options | None = None) -> Axes:
    """How the rows of a study with these options are drawn; raises UltError as `study_options` does."""
    study, resolved = STUDIES.get(name), study_options(name, options)
    return study.axes if study.panels is None else replace(study.axes, panels=study.panels(resolved))


def _check(key: str, got: Any, default: Any, choices: tuple[str, ...]) -> None:
    """Raise unless ``got`` is of the default's kind: a number above 0, a word, or a list of numbers or of words."""
    argument = f"options.{key}"
    if isinstance(default, str):
        if not isinstance(got, str) or (choices and got not in choices):
            raise unknown(argument, str(got), choices)
        return
    if not isinstance(default, list):
        _number(argument, got, default, least=0 if default == 0 else None)
        return
    if isinstance(got, str | Mapping) or not hasattr(got, "__len__") or not len(got):
        raise fault(argument, got, "a list that is not empty")
    for one in got:
        if isinstance(default[0], str):
            if choices and one not in choices:
                raise unknown(argument, one, choices)
        else:
            _number(argument, one, default[0], least=0 if key == "seeds" else None)
    if key not in _MAY_REPEAT and len(set(got)) != len(got):
        raise fault(argument, got, "each entry once")


def _number(argument: str, got: Any, like: float, *, least: int | None) -> None:
    whole = isinstance(like, int)
    kinds = int if whole else int | float
    if isinstance(got, bool) or not isinstance(got, kinds) or not (got > 0 or got == least):
        wanted = "a whole number" if whole else "a number"
        raise fault(argument, got, f"{wanted} {'of at least 0' if least == 0 else 'above 0'}")


def _rows(
    study: Study,
    point: Point,
    told: str,
    *,
    store: RowStore | None,
    force: bool,
    notice: Callable[[str], None],
) -> list[Row]:
    """One row per metric of a point, which is measured at most once, and not at all where all rows are there."""

    @cache
    def found() -> Found | str:
        from ult_lightning.construct import ConstructError

        notice(told)
        try:
            return point.measure()
        except ConstructError as refusal:
            return str(refusal)

    settings = {
        "made_by": "study",
        "study": study.name,
        "study.kind": point.kind,
        "arm": point.series,
        "seed": point.seed,
        **flat("study", point.science),
    }
    return [
        measure(
            {**settings, "metric": metric},
            lambda metric=metric: _measurement(metric, point, found()),  # type: ignore[misc]
            task=study.name,
            store=store,
            force=force,
            notice=notice,
        )[0]
        for metric in point.metrics
    ]


def _measurement(metric: str, point: Point, found: Found | str) -> Measurement:
    """That of a metric; of what was not reached, where ``found`` says why."""
    series = {"series": point.series, "kind": point.kind}
    if isinstance(found, str):
        extra = {**series, "why": found}
        return Measurement(value=0.0, n=1, unit="absolute", precision="64", metric=UNREACHED, extra=extra)
    seconds = found.extra.get("seconds")
    return Measurement(
        value=found.values[metric],
        seconds={"total": float(seconds)} if isinstance(seconds, int | float) else {},
        precision="32" if found.ticket else "64",
        **{name: getattr(found, name) for name in _SAME},
        extra={**series, "x": found.x, "group": found.x if found.group is None else found.group, **found.extra},
    )


def _silent(_: str) -> None:
    return None
