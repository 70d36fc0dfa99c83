"""Configs and rows in the form in which `ult compare` and `ult transfer` make them, small."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ult_lightning.base import digest
from ult_lightning.results import Row

MakeRow = Callable[..., Row]

SEARCHED = ("universal", "random_mask", "joint", "specialist")
DIGEST = {"digits": "cf0a044eac4224f6" * 4, "mnist5k": "7f22beda510b3815" * 4}


def task(name: str, seed: int, train: int, shots: int | None = None) -> dict[str, Any]:
    """A task as configs hold it: without its name."""
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
    return {"method": "edge_popup", "density": density, "densities": {}, "max_epochs": None, "max_steps": steps,
            "batch_size": 32, "lr": 0.1, "augment": False, "precision": "32", "seed": seed, **more}  # fmt: skip


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
    named: bool = True,
    extra: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Row:
    """A row of `ult compare`; `named` = False is one of before rows said the names of their sources."""
    target_task, body = task(target, seed, train), mother(net, seed)
    config: dict[str, Any] = {"made_by": "compare", "numerics": 1, "arm": arm, "seed": seed, "task": target_task,
                              "mother": body, "sources": None}  # fmt: skip
    said = {}
    if arm in ("dense", "dense_long"):
        config["dense"] = {"numerics": 1, "dense": {"lrs": [0.03, 0.1], "pilot_seed": seed}, "task": target_task,
                           "mother": body, "steps": steps, "batch_size": 32, "augment": False, "precision": "32",
                           "seed": seed}  # fmt: skip
    else:
        config |= {"head": {"name": head, "options": {}}, "precision": "32",
                   "sources": [task(name, seed, train) for name in sources]}  # fmt: skip
        said = {"sources": [{"id": name, "train": train} for name in sources]} if named else {}
    if arm in SEARCHED:
        config["search"] = search(density, steps, seed)
    return row(target, arm, seed, value, config=config, n=359, n_train=train, n_valid=train // 2,
               extra={"bytes_shared": 300, "bytes_per_task": 80, **said, **(extra or {})}, **fields)  # fmt: skip


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
    """A row of `ult transfer`; without a density one of before rows said what their ticket was made from."""
    name = ticket or digest([seed, density, steps, net, list(sources)])[:16]
    config = {"made_by": "transfer", "numerics": 1, "arm": arm, "seed": seed, "precision": "32", "head": head,
              "options": dict(options or {}), "ticket": name, "content": name * 4,
              "task": task(target, seed, train, shots)}  # fmt: skip
    made = {"made_by": "search", "mother": mother(net, seed), "density": 0.5001, "settings": search(density or 0.5, steps, seed),
            "sources": [{"id": source, "train": train} for source in sources]}  # fmt: skip
    extra = {"bytes_shared": 300, "bytes_per_task": 80, "shots": shots, "draw": draw}
    if density is not None:
        extra["made_from"] = made
    return row(target, arm, seed, value, config=config, n=359, n_train=train, n_valid=train // 2, ticket=name,
               extra=extra, **fields)  # fmt: skip
