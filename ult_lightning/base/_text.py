"""Plain text in columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(cells: Sequence[Sequence[str]], *, left: Collection[int] = (0,), indent: str = "  ") -> list[str]:
    """Lines of aligned columns, numbers to the right, the columns `left` to the left.

    >>> aligned([["task", "n"], ["digits", "360"]])
    ['  task      n', '  digits  360']
    """
    widths = [max(len(text) for text in column) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = (
            text.ljust(w) if i in left else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append((indent + "  ".join(padded)).rstrip())
    return lines
