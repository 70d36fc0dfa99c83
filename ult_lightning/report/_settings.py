"""The settings of a row: what its number depends on besides the seeds, under names that all arms share.

They come from the row's science config, and for a transferred ticket from what the ticket was made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ult_lightning.base import canonical_json
from ult_lightning.results import Row

Settings = Mapping[str, str]
Origin = str  # the digest of a data set and the label map over it, as JSON

_SEEDS = {"seed", "seeds", "pilot_seed"}
_NO_SETTINGS = {
    "arm",
    "made_by",
    "id",
    "precision",
    "ticket",
    "content",
    "network",
}  # names, or said elsewhere
_ROOMS = {"task", "mother", "head", "options", "search", "dense"}
_LONG_NUMBER = re.compile(r"\d+\.\d{5,}(?:e[+-]?\d+)?")
_DIGEST = re.compile(r"[0-9a-f]{16,}")

# Which settings a label names first: the first tier wherever it tells variants apart, the next only where it fails.
_PREFERRED = (
    "head", "density", "mother.net", "method", "made_by", "sources", "mother.norm", "mother.init", "steps",
    "n_train", "precision", "source_images", "batch_size", "augment",
)  # fmt: skip
_LAST = ("n_valid", "n_test")
_COMPARED = {
    "numerics", "n_train", "n_valid", "n_test", "steps", "batch_size", "augment", "precision", "sources",
    "source_images", "head",
}  # fmt: skip
_COMPARED_ROOMS = ("mother.", "head.", "task.", "sources.")


def all_settings(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The settings of each row; what one row knows of the names of sources serves the others."""
    known = _source_names(rows)
    return [settings_of(row, known) for row in rows]


def settings_of(row: Row, known: Mapping[Origin, str] | None = None) -> dict[str, str]:
    """The row's settings, flat ("density": "0.5"), without seeds and what merely identifies a ticket.

    `known` names the data of sources in configs that do not say it.
    """
    config, made = row.config, _mapping(row.extra.get("made_from"))
    flat = {"precision": row.precision, "n_train": str(row.n_train), "n_valid": str(row.n_valid)}
    _read_task(_mapping(config.get("task")), flat)
    _put_all("mother.", _mapping(config.get("mother")), flat, "mother.")
    _put_all("mother.", _mapping(made.get("mother")), flat, "made_from.mother.")
    _read_head(config, flat)
    _read_sources(row, known or {}, flat)
    _read_search(_mapping(config.get("search")), flat, "search.")
    _read_dense(config, flat)
    _read_search(_mapping(made.get("settings")), flat, "made_from.settings.")
    _put_all("", {key: made[key] for key in ("made_by", "steps") if made.get(key)}, flat, "made_from.")
    _put_all("", {key: value for key, value in config.items() if not _is_read(key, value)}, flat, "config.")
    return flat


def identity_of(row: Row) -> str | None:
    """The ticket, or the network without one, that a transferred row names; None for other rows."""
    found = row.config.get("ticket") or row.config.get("network")
    return None if found is None else str(found)


def tier(name: str, values: Sequence[str]) -> int:
    """How readily a label names this setting: 0 first, 3 only where nothing else tells variants apart."""
    if any(map(is_digest, values)):
        return 3
    if name.startswith(("sources.", "task.")):
        return 2
    return 0 if name in _PREFERRED or name in _LAST or name.startswith(("mother.", "head.")) else 1


def place(name: str) -> tuple[int, str]:
    """The order of settings in labels and sentences."""
    if name in _PREFERRED:
        return _PREFERRED.index(name), name
    return len(_PREFERRED) + (name in _LAST), name


def compared(name: str) -> bool:
    """Whether two arms must agree in this setting, where both have it, for their difference to mean anything."""
    return name in _COMPARED or name.startswith(_COMPARED_ROOMS)


def is_digest(value: str) -> bool:
    """Whether a value says nothing to a reader.

    >>> is_digest("7f22beda510b3815"), is_digest("0.0625")
    (True, False)
    """
    return _DIGEST.fullmatch(value) is not None


def short(name: str) -> str:
    """A setting's name in a label.

    >>> short("mother.options.width"), short("density"), short("dense.momentum")
    ('width', 'density', 'dense.momentum')
    """
    return name.removeprefix("mother.").removeprefix("options.") if name.startswith("mother.") else name


def legible(value: str) -> str:
    """A setting's value for a reader: four digits of long numbers, the beginning of a digest.

    >>> legible("[1.0,0.31622776601683794]"), legible("7f22beda510b3815")
    ('[1.0,0.3162]', '7f22beda')
    """
    if is_digest(value):
        return value[:8]
    return _LONG_NUMBER.sub(lambda found: f"{float(found.group()):.4g}", value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_read(key: str, value: object) -> bool:
    """Whether a part of a config is no setting, or has a reader of its own."""
    if key in _SEEDS or key in _NO_SETTINGS:
        return True
    if key == "sources":
        return value is None or isinstance(value, list)
    return key in _ROOMS and isinstance(value, Mapping)


def _put(name: str, value: str, flat: dict[str, str], dotted: str) -> None:
    """Sets a setting under the name that arms share, or under its own where that one says something else."""
    flat[name if flat.get(name, value) == value else dotted] = value


def _put_all(prefix: str, values: Mapping[str, Any], flat: dict[str, str], dotted: str) -> None:
    """Sets all leaves under `prefix`, or under `dotted` where that name is taken."""
    for name, value in _leaves("", values):
        _put(prefix + name, value, flat, dotted + name)


def _read_search(search: Mapping[str, Any], flat: dict[str, str], dotted: str) -> None:
    """Of max_steps and max_epochs, the one that does not apply is None and no setting."""
    counts = ("max_steps", "max_epochs")
    rest = {key: value for key, value in search.items() if key not in counts or value is not None}
    if "max_steps" in rest:
        rest["steps"] = rest.pop("max_steps")
    _put_all("", rest, flat, dotted)


def _leaves(prefix: str, value: object) -> list[tuple[str, str]]:
    """(dotted name, text) of all that is no seed; a list of plain values is one text, an empty one is nothing."""
    inner: list[tuple[str, object]]
    if isinstance(value, Mapping):
        inner = [(str(key), one) for key, one in value.items() if key not in _SEEDS]
    elif isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        inner = [(str(index), one) for index, one in enumerate(value)]
    elif value == []:
        inner = []
    else:
        return [(prefix, value if isinstance(value, str) else canonical_json(value))]
    return [leaf for key, one in inner for leaf in _leaves(f"{prefix}.{key}" if prefix else key, one)]


def _read_task(task: Mapping[str, Any], flat: dict[str, str]) -> None:
    """The target: its sizes are n_train, n_valid and n_test, its shots and draw are those of the slot."""
    for name, value in _leaves("", task):
        if name == "sizes.test":
            flat["n_test"] = value
        elif name not in ("shots", "draw", "sizes.train", "sizes.valid"):
            flat[f"task.{name}"] = value


def _read_head(config: Mapping[str, Any], flat: dict[str, str]) -> None:
    """The head is {"name", "options"} in a comparison, and a word with options beside it in a transfer."""
    head, options = config.get("head"), config.get("options")
    if isinstance(head, Mapping):
        said = dict(head)
        _put_all("", {"head": said.pop("name")} if "name" in said else {}, flat, "head.name.")
        if isinstance(said.get("options"), Mapping):
            _put_all("head.", said.pop("options"), flat, "head.options.")
        _put_all("head.", said, flat, "config.head.")
    _put_all("options." if isinstance(head, Mapping) else "head.", _mapping(options), flat, "config.options.")


def _read_dense(config: Mapping[str, Any], flat: dict[str, str]) -> None:
    """How weights are trained; its copies of the task, the mother and the version of the numerics are left out."""
    dense = dict(_mapping(config.get("dense")))
    for key in ("task", "mother", "numerics"):
        if key in dense and dense[key] == config.get(key):
            del dense[key]
    if isinstance(dense.get("dense"), Mapping):
        _put_all("dense.", dense.pop("dense"), flat, "dense.dense.")
    shared = ("steps", "batch_size", "augment", "precision")
    _put_all("", {key: value for key, value in dense.items() if key in shared}, flat, "dense.")
    _put_all(
        "dense.", {key: value for key, value in dense.items() if key not in shared}, flat, "config.dense."
    )


def _read_sources(row: Row, known: Mapping[Origin, str], flat: dict[str, str]) -> None:
    """`sources` and `source_images` in words, and whatever else the config says of the sources beside the target."""
    beside = _beside(row)
    made = _mapping(row.extra.get("made_from"))
    listed = _listed(made.get("sources")) or _listed(row.extra.get("sources")) or _named(beside, known)
    if listed:
        flat["sources"] = "+".join(str(one["id"]) for one in listed)
        counts = [str(one.get("train")) for one in listed]
        flat["source_images"] = "+".join(counts) if len(set(counts)) > 1 else counts[0]
    _put_all("", {"sources": beside}, flat, "config.")


def _beside(row: Row) -> list[Any]:
    """What the config says of the sources, without the target itself."""
    sources = row.config.get("sources")
    return [one for one in sources if one != row.config.get("task")] if isinstance(sources, list) else []


def _listed(value: object) -> list[dict[str, Any]]:
    """Sources as rows say them, [{"id", "train"}]; empty for anything else."""
    found = value if isinstance(value, list) else []
    return found if all(isinstance(one, dict) and "id" in one for one in found) else []


def _named(sources: Sequence[Any], known: Mapping[Origin, str]) -> list[dict[str, Any]]:
    """The sources of an older config by name; empty where one of them cannot be named."""
    origins = [_origin(one) for one in sources]
    if not all(origin in known for origin in origins):
        return []
    return [
        {"id": known[origin], "train": _mapping(one.get("sizes")).get("train")}
        for origin, one in zip(origins, sources, strict=True)
    ]


def _origin(task: object) -> Origin:
    said = _mapping(task)
    return canonical_json([said.get("digest"), said.get("labels")])


def _source_names(rows: Sequence[Row]) -> dict[Origin, str]:
    """How the rows call their data."""
    known: dict[Origin, str] = {}
    for row in rows:
        task, listed, beside = row.config.get("task"), _listed(row.extra.get("sources")), _beside(row)
        named = [(task, row.task)]
        if len(listed) == len(beside):
            named += [(one, str(said["id"])) for one, said in zip(beside, listed, strict=True)]
        known.update({_origin(one): name for one, name in named if _mapping(one).get("digest")})
    return known
