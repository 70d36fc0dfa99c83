"""Studies: experiments on the theory itself, one row per number, each measured once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from ult_lightning.base import Registry, fault, unknown
from ult_lightning.construct import ConstructError
from ult_lightning.results import Measurement, Row, RowStore, StudyAxes, flat, measure
from ult_lightning.tickets import Ticket

UNREACHED = "unreached"
"""The metric of a row that says that no ticket was found, in place of the number asked for."""

_MAY_REPEAT = ("hidden",)  # lists whose entries are no points of their own

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What one measurement gave: a value per metric over ``n`` samples, at ``x``.

    ``group``: points of a series and group differ in their seeds only; by default it is ``x``. ``extra``: what else was
    counted; "seconds" there are those of the row. ``shared``: further fields of each row's `Measurement`.
    """

    values: Mapping[str, float]
    x: float
    n: int
    group: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)


def ticket_result(
    ticket: Ticket,
    values: Mapping[str, float],
    *,
    x: float,
    n: int,
    group: float | None = None,
    extra: Mapping[str, Any] | None = None,
    n_train: int = 0,
) -> Result:
    """What was measured with a ticket, whose size, certificate and time go into ``extra``."""
    certificate = ticket.provenance["certificate"]
    counted = {
        "kept": ticket.mask.kept,
        "total": ticket.mask.total,
        "bound": certificate["bound"],
        "sampled": certificate["sampled"],
        "certificate": certificate["kind"],
        "seconds": ticket.provenance["seconds"],
    }
    shared = {"ticket": ticket.id, "bytes": len(ticket.to_bytes()), "n_train": n_train}
    return Result(values, x, n, group, {**counted, **(extra or {})}, shared)


@dataclass(frozen=True)
class Point:
    """One measurement to make: ``science`` is all that decides it, ``measure`` makes it.

    ``kind``: "measured", "law" (a formula) or "published" (somebody else's number).
    """

    series: str
    seed: int
    science: Mapping[str, Any]
    metrics: tuple[str, ...]
    measure: Callable[[], Result]
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
    axes: StudyAxes
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
    study, resolved = STUDIES.get(name), study_options(name, options)
    points = list(study.points(resolved, dict(data or {})) if study.needs_data else study.points(resolved))
    rows = []
    for number, point in enumerate(points, 1):
        progress = f"{name}: point {number} of {len(points)}, {point.series}, seed {point.seed}"
        rows += _rows(name, point, progress, store=store, force=force, notice=notice or (lambda _: None))
    return rows


def study_options(name: str, options: Options | None = None) -> dict[str, Any]:
    """All options of a study: its defaults (those of a quick look with ``fast=True``), and ``options`` over them.

    Raises UltError for keys that it does not have and for values of another kind.
    """
    study, given = STUDIES.get(name), dict(options or {})
    fast = given.pop("fast", False)
    if not isinstance(fast, bool):
        raise fault("options.fast", fast, "true or false")
    for key, value in given.items():
        if key not in study.options:
            raise unknown(f"option of the study {name}", key, [*study.options, "fast"])
        _check(key, value, study.options[key], study.choices.get(key, ()))
    return {**study.options, **(study.fast if fast else {}), **given}


def study_axes(name: str, options: Options | None = None) -> StudyAxes:
    """How the rows of a study with these options are drawn; raises UltError as `study_options` does."""
    study, resolved = STUDIES.get(name), study_options(name, options)
    return study.axes if study.panels is None else replace(study.axes, panels=study.panels(resolved))


def _check(key: str, value: Any, default: Any, choices: tuple[str, ...]) -> None:
    """Raise unless ``value`` is of the default's kind: a number above 0, a word, or a list of numbers or of words."""
    argument, listed = f"options.{key}", isinstance(default, list)
    if listed and (isinstance(value, str | Mapping) or not hasattr(value, "__len__") or not len(value)):
        raise fault(argument, value, "a list that is not empty")
    like = default[0] if listed else default
    zero = key == "seeds" or (not listed and default == 0)
    for entry in value if listed else [value]:
        if isinstance(like, str):
            if not isinstance(entry, str) or (choices and entry not in choices):
                raise unknown(argument, str(entry), choices)
        elif (
            isinstance(entry, bool)
            or not isinstance(entry, int if isinstance(like, int) else int | float)
            or not (entry > 0 or (zero and entry == 0))
        ):
            kind = "a whole number" if isinstance(like, int) else "a number"
            raise fault(argument, entry, f"{kind} {'of at least 0' if zero else 'above 0'}")
    if listed and key not in _MAY_REPEAT and len(set(value)) != len(value):
        raise fault(argument, value, "each entry once")


def _rows(
    study: str,
    point: Point,
    progress: str,
    *,
    store: RowStore | None,
    force: bool,
    notice: Callable[[str], None],
) -> list[Row]:
    """One row per metric of a point, which is measured at most once, and not at all where all rows are there."""

    @cache
    def result() -> Result | ConstructError:
        notice(progress)
        try:
            return point.measure()
        except ConstructError as refusal:
            return refusal

    settings = {
        "made_by": "study",
        "study": study,
        "study.kind": point.kind,
        "arm": point.series,
        "seed": point.seed,
        **flat("study", point.science),
    }
    return [
        measure(
            {**settings, "metric": metric},
            lambda metric=metric: _measurement(metric, point, result()),  # type: ignore[misc]
            task=study,
            store=store,
            force=force,
            notice=notice,
        )[0]
        for metric in point.metrics
    ]


def _measurement(metric: str, point: Point, result: Result | ConstructError) -> Measurement:
    """That of a metric; of what was not reached, where the result is a refusal."""
    series: dict[str, Any] = {"series": point.series, "kind": point.kind}
    if isinstance(result, ConstructError):
        extra = {**series, "why": str(result)}
        return Measurement(value=0.0, n=1, unit="absolute", precision="64", metric=UNREACHED, extra=extra)
    seconds = result.extra.get("seconds")
    shared: dict[str, Any] = {
        "unit": "absolute",
        "precision": "32" if result.shared.get("ticket") else "64",
        "seconds": {"total": float(seconds)} if isinstance(seconds, int | float) else {},
        **result.shared,
    }
    group = result.x if result.group is None else result.group
    extra = {**series, "x": result.x, "group": group, **result.extra}
    return Measurement(value=result.values[metric], n=result.n, extra=extra, **shared)
