"""Settings and rows in the form in which `ult compare` and `ult transfer` make them, small."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ult_lightning.base import digest
from ult_lightning.results import (
    Row,
    flat,
    mother_settings,
    search_settings,
    shown_sources,
    source_settings,
    task_settings,
)

MakeRow = Callable[..., Row]

SEARCHED = ("universal", "random_mask", "joint", "specialist")
DIGEST = {"digits": "cf0a044eac4224f6" * 4, "mnist5k": "7f22beda510b3815" * 4}


def task(name: str, seed: int, train: int, shots: int | None = None) -> dict[str, Any]:
    """A task as `Task.science` says it: without its name."""
    data, _, words = name.partition(":")
    return {
        "classes": 10,
        "digest": DIGEST.get(data, data.encode().hex().ljust(64, "0")),
        "labels": words or None,
        "seed": seed,
        "shots": shots,
        "draw": None,
        "sizes": {"train": train, "valid": train // 2, "test": 359},
    }


def mother(net: str, seed: int, **options: Any) -> dict[str, Any]:
    return {"net": net, "options": options, "norm": "batch", "init": "signed_constant", "seed": seed,
            "input": {"shape": [3, 32, 32], "adapter": "none"}}  # fmt: skip


def search(density: float, steps: int, seed: int, **more: Any) -> dict[str, Any]:
    return {"method": "edge_popup", "density": density, "batch_size": 32, "seed": seed,
            "trainer": {"max_steps": steps}, **more}  # fmt: skip


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without the defaults of a search."""
    usual = {"method": "edge_popup", "density": 0.5}
    return {name: value for name, value in settings.items() if usual.get(name) != value}


def compared(
    row: MakeRow,
    arm: str,
    seed: int,
    value: float,
    *,
    target: str = "digits",
    net: str = "conv2",
    sources: Sequence[str] = ("mnist5k:0-4",),
    density: float = 0.5,
    steps: int = 100,
    train: int = 200,
    head: str = "ridge",
    data: str | None = None,
    extra: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Row:
    """A row of `ult compare`; `data` is another digest of the target's data."""
    science = task(target, seed, train) | ({"digest": data} if data else {})
    settings: dict[str, Any] = {"made_by": "compare", "numerics": 1, "arm": arm, "metric": "accuracy", "seed": seed,
                                **task_settings(science), **mother_settings(mother(net, seed))}  # fmt: skip
    shown = {}
    if arm in ("dense", "dense_long"):
        settings |= {"dense.lrs": [0.03, 0.1], "dense.pilot_seed": seed, "steps": steps, "batch_size": 32}
    else:
        settings |= {"head": head} | source_settings([task(name, seed, train) for name in sources])
        shown |= shown_sources([(name, train) for name in sources])
    settings["precision"] = "32"
    if arm in SEARCHED:
        whole = search_settings(search(density, steps, seed))
        settings, shown = settings | given(whole), shown | whole
    return row(target, arm, seed, value, settings=settings, n=359, n_train=train, n_valid=train // 2,
               extra={"bytes_shared": 300, "bytes_per_task": 80, "shown": shown, **(extra or {})}, **fields)  # fmt: skip


def transferred(
    row: MakeRow,
    seed: int,
    value: float,
    *,
    target: str = "digits",
    head: str = "ridge",
    options: Mapping[str, Any] | None = None,
    ticket: str = "",
    density: float | None = 0.5,
    steps: int = 100,
    train: int = 200,
    shots: int | None = None,
    draw: int | None = None,
    sources: Sequence[str] = ("mnist5k:0-4",),
    net: str = "conv2",
    arm: str = "ticket",
    **fields: Any,
) -> Row:
    """A row of `ult transfer`; without a density, that of a ticket which does not say how it was made."""
    name = ticket or digest([seed, density, steps, net, list(sources)])[:16]
    settings = {"made_by": "transfer", "numerics": 1, "arm": arm, "metric": "accuracy", "seed": seed, "precision": "32",
                "ticket": name, "ticket.content": name * 4, "head": head, **flat("head", options or {}),
                **task_settings(task(target, seed, train, shots))}  # fmt: skip
    shown: dict[str, Any] = {}
    if density is not None:
        whole = search_settings(search(density, steps, seed))
        settings |= {"ticket.made_by": "search", **mother_settings(mother(net, seed)), **given(whole)}
        settings |= source_settings([task(source, seed, train) for source in sources])
        shown = whole | shown_sources([(source, train) for source in sources])
    extra = {"bytes_shared": 300, "bytes_per_task": 80, "shots": shots, "draw": draw, "shown": shown}
    return row(target, arm, seed, value, settings=settings, n=359, n_train=train, n_valid=train // 2, ticket=name,
               extra=extra, **fields)  # fmt: skip
