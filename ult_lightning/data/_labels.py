"""Label maps: several tasks from one data set."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ult_lightning.base import Registry, nearest
from ult_lightning.data._errors import data_fault

DROPPED = -1

LABEL_MAPS: Registry[Callable[[int], Sequence[int]]] = Registry("label map")
"""Name -> function from the number of classes to the new class of each (DROPPED: its images leave the task)."""

_CLASS_LIST = re.compile(r"\d{1,6}(-\d{1,6})?(\+\d{1,6}(-\d{1,6})?)*")


@LABEL_MAPS.register("parity")
def _parity(classes: int) -> list[int]:
    return [label % 2 for label in range(classes)]


@LABEL_MAPS.register("five_or_more")
def _five_or_more(classes: int) -> list[int]:
    return [int(label >= 5) for label in range(classes)]


def canonical_labels(text: str) -> str:
    """The one spelling of a label map: a registered name, or classes sorted and joined as in "0-4+7".

    >>> canonical_labels("7+0+1+2")
    '0-2+7'

    Raises:
        DataError: neither.
    """
    if text in LABEL_MAPS:
        return text
    if not _CLASS_LIST.fullmatch(text):
        near = nearest(text, LABEL_MAPS)
        raise data_fault(
            "labels",
            text,
            f"one of {', '.join(sorted(LABEL_MAPS))}, or classes such as 0-4 or 0+2+7",
            f"did you mean {' or '.join(near)}" if near else "join single classes with +",
        )
    runs: list[list[int]] = []
    for label in _listed(text):
        if runs and label == runs[-1][1] + 1:
            runs[-1][1] = label
        else:
            runs.append([label, label])
    return "+".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def label_table(labels: str | None, classes: int, *, task: str) -> tuple[int, ...]:
    """The new class of each of the `classes` original ones, DROPPED where its images leave the task.

    `task` is the id that messages use.

    Raises:
        DataError: a listed class that the data set lacks, or fewer than two classes left.
    """
    if labels is None:
        table = tuple(range(classes))
    elif labels in LABEL_MAPS:
        table = tuple(LABEL_MAPS.get(labels)(classes))
    else:
        kept = _listed(labels)
        if kept[-1] >= classes:
            raise data_fault(
                "labels", labels, f"classes from 0 to {classes - 1}", f"{task.partition(':')[0]} has no others"
            )
        table = tuple(kept.index(label) if label in kept else DROPPED for label in range(classes))
    if len(set(table) - {DROPPED}) < 2:
        raise data_fault("task", task, "a task with at least two classes", "keep more classes")
    return table


def _listed(text: str) -> list[int]:
    found: set[int] = set()
    for part in text.split("+"):
        low, _, high = part.partition("-")
        first, last = int(low), int(high or low)
        if last < first:
            raise data_fault("labels", text, "ranges from low to high", f"write {last}-{first}")
        found.update(range(first, last + 1))
    return sorted(found)
