"""The columns of the comparison table: one list, from which all of its forms are made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ult_lightning.report._style import DASH, count, duration, percent, plus_minus, points, size

if TYPE_CHECKING:
    from ult_lightning.report._table import Line, Section, Table
    from ult_lightning.results import Interval

Text = Callable[["Line", int], str]
Data = Callable[["Section", "Line"], Mapping[str, object]]


@dataclass(frozen=True)
class Column:
    """One column, in print and in CSV.

    `heading`: two lines in a terminal, one elsewhere. `text`: what is printed of a line, with so many decimals of a per
    cent. `data`: the unrounded values under the names of CSV, which say their units. `explanation`: how to read it,
    empty where that needs no word. `words`: set flush left; `wide`: too long for a terminal, where it stands below the
    table. `share`: of a page's width, in parts of all.
    """

    name: str
    heading: tuple[str, str]
    text: Text
    data: Data
    explanation: str = ""
    words: bool = False
    wide: bool = False
    printed: bool = True
    share: int = 7

    @property
    def title(self) -> str:
        return " ".join(filter(None, self.heading))


def columns(table: Table) -> tuple[Column, ...]:
    """The columns of a table, in order; those that are not printed are in its CSV. Only what it holds is explained."""
    k, lines = table.k, table.lines
    several, single = any(line.accuracy.n > 1 for line in lines), any(line.accuracy.n == 1 for line in lines)
    spread = ": mean over seeds ± half of the 95 % Student t interval" * several
    paired = "in points, paired over the seeds that both arms have."
    best = "Best trained: of the arms that train weights, the one with the highest validation accuracy."
    draws, averaged = "The draws of a seed are averaged before anything else.", any(line.draws > 1 for line in lines)
    trained = "parameters_trained"
    seen = "Seen: the search of the ticket used images or classes of this target; unseen: it used neither."

    def some(name: str) -> bool:
        return any(getattr(line, name) for line in lines)

    return (
        Column("arm", ("", "arm"), _text("label"), _named("task", "shots", "arm", "label"), words=True, share=13),
        _interval(
            "accuracy",
            ("accuracy", "%"),
            percent,
            f"Accuracy on the test images in per cent{spread}.{' One seed gives no interval.' * single}",
            csv=("accuracy_percent", "accuracy_low", "accuracy_high", "seeds"),
        ),
        _interval("gap", ("gap to", table.baseline), points, f"Gap to {table.baseline} {paired}" * some("gap")),
        _interval("best_gap", ("gap to best", "trained"), points, best, printed=table.names_best),
        _interval("lift", ("lift over", table.floor), points, f"Lift over {table.floor} {paired}" * some("lift")),
        Column("seeds", ("", "seeds"), _text("accuracy.n"), _named("draws"), draws * averaged, share=5),
        Column("trained", ("", "trained"), _text("trained"), _named("trained"), words=True, wide=True, share=12),
        Column("parameters", ("", "parameters"), _text(trained, count), _named(trained), share=8),
        Column(
            "seconds",
            ("", "seconds"),
            _text("seconds", duration),
            lambda _, line: {"seconds": None if line.seconds is None else f"{line.seconds:.4g}"},
            "Seconds: mean per row." * any(line.seconds is not None for line in lines),
        ),
        Column(
            "bytes",
            ("bytes,", _tasks(k)),
            _text("stored.k_tasks", size),
            lambda _, line: {"k": k, **{f"bytes_{name}": n for name, n in asdict(line.stored).items()}},
            _bytes(lines, k) * any(line.stored.per_task is not None for line in lines),
        ),
        Column(
            "target",
            ("", "target"),
            _text("seen"),
            lambda section, line: {
                "seen": line.seen,
                "n_test": line.n_test[0],
                "n_train": line.n_train[0],
                "best_trained": section.best,
                "chance_percent": _hundred(section.chance),
            },
            seen * some("seen"),
            words=True,
        ),
    )


def _interval(
    name: str,
    heading: tuple[str, str],
    mean: Callable[[float, int], str],
    explanation: str,
    *,
    csv: Sequence[str] = (),
    printed: bool = True,
) -> Column:
    """Of the lines' intervals of that name: "+1.23 ± 0.45", a dash for none; `csv` has other names for it."""
    names = csv or [f"{name}_{part}" for part in ("points", "low", "high", "seeds")]

    def text(line: Line, decimals: int) -> str:
        value: Interval | None = getattr(line, name)
        return DASH if value is None else mean(value.mean, decimals) + plus_minus(value.half, decimals)

    def data(_: Section, line: Line) -> dict[str, object]:
        value: Interval | None = getattr(line, name)
        if value is None:
            return dict.fromkeys(names)
        ends = map(_hundred, (value.mean, value.low, value.high))
        return dict(zip(names, (*ends, value.n), strict=True))

    return Column(name, heading, text, data, explanation, printed=printed, share=11)


def _text(name: str, form: Callable[[Any], str] = str) -> Text:
    """A field of a line (dotted: of its field) in this form, a dash where it says nothing."""
    field = attrgetter(name)
    return lambda line, _: DASH if field(line) in (None, "") else form(field(line))


def _named(*names: str) -> Data:
    """Fields of a line as they are."""
    return lambda _, line: {name: getattr(line, name) for name in names}


def _hundred(value: float | None) -> str | None:
    return None if value is None or math.isnan(value) else f"{100 * value:.6g}"


def _tasks(k: int) -> str:
    return f"{k} task{'s' if k > 1 else ''}"


def _bytes(lines: Sequence[Line], k: int) -> str:
    sentence = (
        f"Bytes for k = {_tasks(k)}: shared + k × per task, that is each ticket file once however many tasks use it "
        "(an arm with several tickets counts each) and a head per task; an arm that fits a mask or a network to each "
        "task (such as dense) stores that once per task"
    )
    tasks = Counter((line.label, line.shots) for line in lines)
    lacking = any(tasks[line.label, line.shots] < k for line in lines)
    return sentence + ("; tasks that an arm lacks count as the mean of its others." if lacking else ".")
