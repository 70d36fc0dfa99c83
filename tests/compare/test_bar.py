"""The bar over the cells of a grid: on a terminal only."""

from __future__ import annotations

import io

import pytest
import rich.console

from ult_lightning.compare._grid import _bar


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (True, False), (False, True)])
def test_the_bar_is_drawn_on_a_terminal_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    shown: bool,
) -> None:
    screen = io.StringIO()
    console = rich.console.Console(file=screen, force_terminal=terminal, width=100)
    monkeypatch.setattr(rich.console, "Console", lambda: console)
    with _bar(4, shown=shown) as advance:
        for _ in range(3):
            advance()
    assert ("75%" in screen.getvalue()) == (terminal and shown)
    assert bool(screen.getvalue()) == (terminal and shown)
