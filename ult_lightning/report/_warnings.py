"""What a careful reader would ask about a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ult_lightning.results import Row

if TYPE_CHECKING:
    from ult_lightning.report._table import Section


def warnings(rows: Sequence[Row], sections: Sequence[Section], baseline: str, floor: str) -> tuple[str, ...]:
    """Mixed circumstances and incomplete pairs."""
    said = _mixed(rows)
    for section in sections:
        for what, ends in (("test", "n_test"), ("training", "n_train")):
            sizes = {getattr(line, ends) for line in section.lines}
            if len(sizes) > 1 or any(low != high for low, high in sizes):
                said.append(f"{section.title}: the rows differ in the number of {what} images.")
        for line in section.lines:
            for arm, difference in ((baseline, line.gap), (floor, line.lift)):
                if difference is not None and difference.n < line.accuracy.n:
                    seeds = f"{difference.n} of {line.accuracy.n} seeds"
                    said.append(f"{section.title}, {line.label}: the difference to {arm} is over {seeds}.")
    return tuple(said)


def _mixed(rows: Sequence[Row]) -> list[str]:
    said = []
    for trait in ("precision", "device", "code_version"):
        counts = Counter(getattr(row, trait) for row in rows)
        if len(counts) > 1:
            parts = (f"{value}: {n} row{'s' if n > 1 else ''}" for value, n in sorted(counts.items()))
            said.append(f"The rows differ in {trait.replace('_', ' ')} ({', '.join(parts)}).")
    return said
