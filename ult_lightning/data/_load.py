"""From what a user types to a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ult_lightning.data._augment import statistics
from ult_lightning.data._cache import data_set
from ult_lightning.data._data_error import check_whole, data_fault
from ult_lightning.data._source import DataSet, Split
from ult_lightning.data._splits import Index, limited, train_valid
from ult_lightning.data._task import Task
from ult_lightning.data._task_spec import DROPPED, TaskSpec, label_table
from ult_lightning.data.sources import find_source

_NAMED = 3
"""Classes that a sentence names before it counts the rest."""


def load_task(
    spec: TaskSpec | str | Mapping[str, Any],
    *,
    seed: int,
    data_dir: str | Path = "data",
    cache_dir: str | Path | None = None,
    download: bool = False,
    notice: Callable[[str], None] | None = None,
) -> Task:
    """The task that `spec` names (see `TaskSpec.parse`), on the CPU.

    `seed` draws the validation part, where the data brings none, and the subsets of the limits; the test part never
    depends on it. `notice` hears what a user should know of the splits, and of copies that are made again. Data is read
    from `data_dir` (which may be read-only) and downloaded into it only with `download`; prepared copies go to
    `cache_dir` (default: `data_dir`/prepared, or ~/.cache/ult_lightning where that cannot be written).

    Raises DataError: unknown names, missing or damaged data, sizes that do not work out; UltError: a cache folder that
    cannot be written.
    """
    check_whole("seed", seed, "a whole number, 0 or more", least=0)
    parsed = TaskSpec.parse(spec)
    source = find_source(parsed, Path(data_dir))
    cache = None if cache_dir is None else Path(cache_dir)
    whole = data_set(source, Path(data_dir), cache_dir=cache, download=download, notice=notice)
    table = label_table(parsed.labels, whole.classes, task=parsed.id)
    train_part, valid_part, test_part = _parts(whole, table, parsed, seed=seed)
    if all(bool((part == train_part.images[0]).all()) for part in torch.split(train_part.images, 256)):
        got = f"{parsed.id}, whose {len(train_part)} training images are all alike"
        raise data_fault("task", got, "images that differ", "look into its files")
    mean, std = statistics(train_part.images)
    used = tuple(label for label, new in enumerate(table) if new != DROPPED)
    origin = source.origin_classes or [(label,) for label in range(whole.classes)]
    task = Task(
        spec=parsed,
        classes=max(table) + 1,
        class_ids=used,
        origin=source.origin,
        train=train_part,
        valid=valid_part,
        test=test_part,
        mean=mean,
        std=std,
        seed=seed,
        digest=whole.digest,
        origin_classes=tuple(sorted({number for label in used for number in origin[label]})),
        class_names=_class_names(whole, table),
        test_from=whole.test_from,
        augmentation=parsed.augment or source.augmentation,
    )
    if notice is not None:
        for sentence in _worth_saying(task):
            notice(sentence)
    return task


def _parts(whole: DataSet, table: tuple[int, ...], spec: TaskSpec, *, seed: int) -> tuple[Split, Split, Split]:
    """Training, validation and test part under a label map and the limits of the spec."""
    new = {part: np.asarray(table, dtype=np.int64)[split.labels.numpy()] for part, split in whole.parts.items()}
    places = {part: np.flatnonzero(labels != DROPPED) for part, labels in new.items()}
    for part, word in (("valid", "validation"), ("test", "test")):
        if part in places and len(places[part]) == 0:
            raise data_fault("task", spec.id, f"a {word} image of its classes", "keep other classes")

    def taken(part: str, chosen: Index | slice = slice(None)) -> Split:
        index = torch.from_numpy(places[part][chosen])
        return Split(whole.parts[part].images.index_select(0, index), torch.from_numpy(new[part])[index])

    labels = new["train"][places["train"]]
    if "valid" in places:
        train = limited(labels, spec.train_limit, "train", seed=seed)
        valid = taken("valid", limited(new["valid"][places["valid"]], spec.valid_limit, "valid", seed=seed))
    else:
        limits = {"train_limit": spec.train_limit, "valid_limit": spec.valid_limit}
        train, held_out = train_valid(labels, seed=seed, **limits)
        valid = taken("train", held_out)
    return taken("train", train), valid, taken("test")


def seen_by(target: Mapping[str, Any] | Task, sources: Sequence[Mapping[str, Any] | Task]) -> bool:
    """Whether a source holds images or classes of `target`: the same origin (or data) and a class in common.

    All are tasks or what their `describe()` gives, of which `origin` and `class_ids` are enough.
    """
    mine, *others = (one.describe() if isinstance(one, Task) else one for one in (target, *sources))
    for other in others:
        same_origin = mine["origin"] == other["origin"]
        same_data = mine.get("digest") is not None and mine.get("digest") == other.get("digest")
        key = "origin_classes" if same_origin else "class_ids"
        shared = set(mine.get(key, mine["class_ids"])) & set(other.get(key, other["class_ids"]))
        if (same_origin or same_data) and shared:
            return True
    return False


def _worth_saying(task: Task) -> Iterator[str]:
    """What a user should know of the splits of a task, in sentences."""
    if task.test_from is not None:
        yield (
            f"{task.id} has no test part, so its validation part is the test split, and a part of the training images "
            "is held out for validation."
        )
    names = task.class_names or [str(label) for label in range(task.classes)]
    for word, split in (("validation", task.valid), ("test", task.test)):
        present = set(split.labels.tolist())
        absent = [name for label, name in enumerate(names) if label not in present]
        if absent:
            classes, those = ("classes", "those") if len(absent) > 1 else ("class", "that")
            more = f" and {len(absent) - _NAMED} more of its {task.classes}" if len(absent) > _NAMED else ""
            silent = f", so its accuracy says nothing of {those}" if word == "test" else ""
            listed = ", ".join(absent[:_NAMED]) + more
            yield f"The {word} split of {task.id} has no image of {classes} {listed}{silent}."


def _class_names(whole: DataSet, table: tuple[int, ...]) -> tuple[str, ...] | None:
    """The name of each new class, its original number where it has none; None where a new class stands for several."""
    kept = sorted((new, label) for label, new in enumerate(table) if new != DROPPED)
    if len(kept) != max(table) + 1:
        return None
    return tuple(str(label) if whole.names is None else whole.names[label] for _, label in kept)
