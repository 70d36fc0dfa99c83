"""The columns of the comparison table: one list, from which all of its forms are made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ult_lightning.report._style import DASH, count, duration, percent, plus_minus, points, size

if TYPE_CHECKING:
    from ult_lightning.report._table import Line, Section, Table
    from ult_lightning.results import Interval

Text = Callable[["Line", int], str]
Data = Callable[["Section", "Line"], Mapping[str, object]]
Mean = Callable[[float, int], str]


@dataclass(frozen=True)
class Column:
    """One column, in print and in CSV.

    `heading`: two lines in a terminal, one elsewhere. `text`: what is printed of a line, with so many decimals of a per
    cent. `data`: the unrounded values under the names of CSV, which say their units. `words`: set flush left; `wide`:
    too long for a terminal, where it is said below the table. `share`: of a page's width, in parts of all. `explanation`:
    how to read it, empty where that needs no word.
    """

    name: str
    heading: tuple[str, str]
    text: Text
    data: Data
    words: bool = False
    wide: bool = False
    printed: bool = True
    share: int = 7
    explanation: str = ""

    @property
    def title(self) -> str:
        """The heading in one line."""
        return " ".join(filter(None, self.heading))


def columns(table: Table) -> tuple[Column, ...]:
    """The columns of a table, in order; those that are not printed are in its CSV."""
    k, explanations = table.k, _explanations(table)

    def column(name: str, heading: tuple[str, str], text: Text, data: Data, **more: Any) -> Column:
        return Column(name, heading, text, data, explanation=explanations.get(name, ""), **more)

    def interval(name: str, heading: tuple[str, str], mean: Mean, unit: str = "points", **more: Any) -> Column:
        """Of the lines' intervals of that name: "+1.23 ± 0.45", a dash where there is none."""
        seeds = "seeds" if name == "accuracy" else f"{name}_seeds"

        def text(line: Line, decimals: int) -> str:
            value: Interval | None = getattr(line, name)
            return DASH if value is None else mean(value.mean, decimals) + plus_minus(value.half, decimals)

        def data(section: Section, line: Line) -> dict[str, object]:
            value: Interval | None = getattr(line, name)
            ends = (None,) * 3 if value is None else (value.mean, value.low, value.high)
            named = {f"{name}_{part}": _hundred(end) for part, end in zip((unit, "low", "high"), ends, strict=True)}
            return {**named, seeds: None if value is None else value.n}

        return column(name, heading, text, data, share=11, **more)

    return (
        column("arm", ("", "arm"), _text("label"), _named("task", "shots", "arm", "label"), words=True, share=13),
        interval("accuracy", ("accuracy", "%"), percent, "percent"),
        interval("gap", ("gap to", table.baseline), points),
        interval("best_gap", ("gap to best", "trained"), points, printed=table.names_best),
        interval("lift", ("lift over", table.floor), points),
        column("seeds", ("", "seeds"), lambda line, _: str(line.accuracy.n), _named("draws"), share=5),
        column("trained", ("", "trained"), _text("trained"), _named("trained"), words=True, wide=True, share=12),
        column(
            "parameters",
            ("", "parameters"),
            lambda line, _: count(line.parameters_trained),
            _named("parameters_trained"),
            share=8,
        ),
        column(
            "seconds",
            ("", "seconds"),
            lambda line, _: DASH if line.seconds is None else duration(line.seconds),
            lambda _, line: {"seconds": None if line.seconds is None else f"{line.seconds:.4g}"},
        ),
        column(
            "bytes",
            ("bytes,", f"{k} task{'s' if k > 1 else ''}"),
            lambda line, _: DASH if line.stored.k_tasks is None else size(line.stored.k_tasks),
            lambda _, line: {"k": k, **{f"bytes_{name}": n for name, n in asdict(line.stored).items()}},
        ),
        column(
            "target",
            ("", "target"),
            lambda line, _: line.seen or DASH,
            lambda section, line: {
                "seen": line.seen,
                "n_test": line.n_test[0],
                "n_train": line.n_train[0],
                "best_trained": section.best,
                "chance_percent": _hundred(section.chance),
            },
            words=True,
        ),
    )


def _text(name: str) -> Text:
    """A field of a line as it is."""
    return lambda line, _: str(getattr(line, name))


def _named(*names: str) -> Data:
    """Fields of a line as they are."""
    return lambda _, line: {name: getattr(line, name) for name in names}


def _hundred(value: float | None) -> str | None:
    return None if value is None or math.isnan(value) else f"{100 * value:.6g}"


def _explanations(table: Table) -> dict[str, str]:
    """How to read the columns by their names: only what the table holds is explained."""
    lines = table.lines
    several = any(line.accuracy.n > 1 for line in lines)
    spread = ": mean over seeds ± half of the 95 % Student t interval" if several else ""
    one = " One seed gives no interval." if any(line.accuracy.n == 1 for line in lines) else ""
    paired = "in points, paired over the seeds that both arms have."
    best = "Best trained: of the arms that train weights, the one with the highest validation accuracy."
    seen = "Seen: the search of the ticket used images or classes of this target; unseen: it used neither."
    sentences = {
        "accuracy": (True, f"Accuracy on the test images in per cent{spread}.{one}"),
        "gap": (any(line.gap for line in lines), f"Gap to {table.baseline} {paired}"),
        "best_gap": (table.names_best, best),
        "lift": (any(line.lift for line in lines), f"Lift over {table.floor} {paired}"),
        "seeds": (any(line.draws > 1 for line in lines), "The draws of a seed are averaged before anything else."),
        "seconds": (any(line.seconds is not None for line in lines), "Seconds: mean per row."),
        "bytes": (any(line.stored.per_task is not None for line in lines), _bytes(lines, table.k)),
        "target": (any(line.seen for line in lines), seen),
    }
    return {name: sentence for name, (there, sentence) in sentences.items() if there}


def _bytes(lines: Sequence[Line], k: int) -> str:
    sentence = (
        f"Bytes for k = {k} task{'s' if k > 1 else ''}: shared + k × per task, that is each ticket file once however many"
        " tasks use it (an arm with several tickets counts each) and a head per task; an arm that fits a mask or a network"
        " to each task (such as dense) stores that once per task"
    )
    tasks = Counter((line.label, line.shots) for line in lines)
    lacking = any(tasks[line.label, line.shots] < k for line in lines)
    return sentence + ("; tasks that an arm lacks count as the mean of its others." if lacking else ".")
