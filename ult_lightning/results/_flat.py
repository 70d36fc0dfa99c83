"""The settings of a row: flat names, the same for all makers, from what tasks, mothers, searches and heads say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ult_lightning.base import Options, canonical_json, digest

Settings = dict[str, Any]
"""Dotted names with numbers, words, flags, or lists of them."""

SETTING_NAMES = (
    *("made_by", "numerics", "arm", "study", "metric", "seed", "precision"),
    *("task", "sources", "ticket", "network", "head"),
    *("net", "norm", "init", "bias", "scale_fan", "input", "mother"),
    *("method", "objective", "density", "densities", "mixing", "loss_weights", "select", "head_lr"),
    *("steps", "batch_size", "augment", "trainer", "dense"),
)
"""What the names of settings begin with, up to the first dot."""


def flat(prefix: str, value: Any) -> Settings:
    """All leaves of a JSON value under dotted names; None and what is empty are left out.

    >>> flat("net", {"width": 2, "kernel": None, "blocks": [{"size": 3}], "sizes": (1, 2)})
    {'net.width': 2, 'net.blocks.0.size': 3, 'net.sizes': [1, 2]}
    """
    if isinstance(value, Mapping):
        inner = [(str(name), one) for name, one in value.items()]
    elif isinstance(value, list | tuple):
        if not any(isinstance(one, Mapping | list | tuple) for one in value):
            return {prefix: list(value)} if value else {}
        inner = [(str(place), one) for place, one in enumerate(value)]
    else:
        return {} if value is None else {prefix: value}
    return {
        leaf: one for name, part in inner for leaf, one in flat(f"{prefix}.{name}" if prefix else name, part).items()
    }


def without(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not at their defaults; a tuple equals the list of its entries."""
    return {
        name: value
        for name, value in values.items()
        if name not in defaults or canonical_json(value) != canonical_json(defaults[name])
    }


def task_settings(science: Mapping[str, Any]) -> Settings:
    """A task, from `Task.science` or `Task.describe`: its data, label map, sizes, shots and seed, never its name."""
    names = ("digest", "labels", "classes", "shots", "draw", "seed", "test_from")
    return flat("task", {**{name: science.get(name) for name in names}, **science["sizes"]})


def source_settings(sources: Sequence[Mapping[str, Any]], target: Mapping[str, Any] | None = None) -> Settings:
    """Sources in the form of `task_settings`: an identity and a size each; of the `target` among them, its place."""
    beside = [task_settings(one) for one in sources if one != target]
    place = next((place for place, one in enumerate(sources) if one == target), None)
    identities = [digest({**one, "task.seed": None})[:16] for one in beside]
    sizes = [one["task.train"] for one in beside]
    return {**flat("sources", identities), **flat("sources", {"train": sizes, "target": place})}


def shown_sources(sources: Sequence[tuple[str, int]]) -> Settings:
    """The ids of sources and their numbers of training images in words.

    >>> shown_sources([("mnist", 500), ("kmnist", 500)])
    {'sources': 'mnist+kmnist', 'sources.train': '500'}
    """
    if not sources:
        return {}
    sizes = [str(train) for _, train in sources]
    each = sizes[:1] if len(set(sizes)) == 1 else sizes
    return {"sources": "+".join(name for name, _ in sources), "sources.train": "+".join(each)}


def mother_settings(spec: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Settings:
    """A mother, from `MotherSpec.to_dict`; without what is as in `defaults`, its net and seed apart."""
    named, usual = (flat("", {**one, "net": None, "options": None, "seed": None}) for one in (spec, defaults or {}))
    own = {"net": spec["net"], "mother.seed": spec["seed"]}
    return {**own, **flat("net", spec["options"]), **without(named, usual)}


def search_settings(settings: Mapping[str, Any]) -> Settings:
    """A search, from `SearchSettings.given` or `to_dict`; its seed is that of the row or part of the ticket's id."""
    rest = {name: value for name, value in settings.items() if name not in ("seed", "trainer")}
    trainer = dict(settings.get("trainer") or {})
    rest["steps"] = trainer.pop("max_steps", None)
    options = {family: rest.pop(f"{family}_options", {}) for family in ("method", "objective")}
    return {**flat("", rest), **flat("", options), **flat("trainer", trainer)}


def head_settings(name: str, options: Options, *, full: bool = False) -> Settings:
    """A head and its options that are not at their defaults; `full`: all of them."""
    return {"head": name, **flat("head", options.to_dict() if full else options.given())}
