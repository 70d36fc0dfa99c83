"""The one way from a measurement to a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ult_lightning.base import NUMERICS, digest, environment, once, unknown
from ult_lightning.results._flat import SETTING_NAMES, Settings
from ult_lightning.results._row import Row
from ult_lightning.results._row_store import RowStore


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a measurement gives; all fields are as in `Row`. `metric`: where it is another than that of the settings."""

    value: float
    n: int
    n_train: int = 0
    n_valid: int = 0
    unit: str = "fraction"
    seconds: Mapping[str, float] = field(default_factory=dict)
    trained: str = "nothing"
    parameters_trained: int = 0
    precision: str = "32"
    ticket: str | None = None
    seen: bool | None = None
    bytes: int | None = None
    metric: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def measure(
    settings: Mapping[str, Any],
    make: Callable[[], Measurement],
    *,
    task: str,
    store: RowStore | None = None,
    force: bool = False,
    device: str = "cpu",
    shown: Mapping[str, Any] | None = None,
    notice: Callable[[str], None] | None = None,
) -> tuple[Row, bool]:
    """The row of these settings, and whether it was in the `store`: else `make` measures it, under the row's lock.

    `settings` are flat and are all that decides the number, among them "arm", "metric" and "seed"; names begin as in
    SETTING_NAMES. Their hash is the row's id: what is None or at its default stays out, so that a new option leaves old
    ids alone. `shown` has what readers are told beside them, such as defaults and the names of sources; it goes into
    extra["shown"]. `task` names what was measured, which may have been measured under another name before. `force`
    measures again. `notice` hears when another process makes the same row, or a broken one is redone.

    Raises UltError for an unknown name, and whatever `make` raises.
    """
    known, name = _complete(settings), row_id(settings)
    reused = True

    def measured() -> Row:
        nonlocal reused
        reused = False
        facts = {key: value for key, value in vars(make()).items() if key != "metric" or value is not None}
        beside = {k: v for k, v in (shown or {}).items() if v is not None and known.get(k) != v}
        facts["extra"] = {**facts["extra"], **({"shown": beside} if beside else {})}
        identity = {"arm": known["arm"], "metric": known["metric"], "seed": known["seed"]}
        row = Row(id=name, task=task, settings=known, **{**identity, **facts, **environment(device)})
        if store is not None:
            store.add(row)
        return row

    if store is None:
        return measured(), False
    row = once(store.path(name), measured, lambda _: store.get(name), force=force, notice=notice)
    return replace(row, task=task), reused


def row_id(settings: Mapping[str, Any]) -> str:
    """The id of the row of these settings, 16 hexadecimal digits; raises UltError for an unknown name."""
    return digest(_complete(settings))[:16]


def _complete(settings: Mapping[str, Any]) -> Settings:
    for name in settings:
        if name.partition(".")[0] not in SETTING_NAMES:
            raise unknown("setting", name, SETTING_NAMES)
    return {"numerics": NUMERICS, **{name: value for name, value in settings.items() if value is not None}}
