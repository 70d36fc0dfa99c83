"""The figure, the page and the folder."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ult_lightning.report._figure as drawing
from tests.report.science import compared, transferred
from ult_lightning.base import UltError
from ult_lightning.report import figure, html, table, write_report
from ult_lightning.report._style import DARK, LIGHT, arm_look
from ult_lightning.results import Row, arm_looks

MakeRow = Callable[..., Row]
ARMS = tuple(arm_looks())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_figure_shows_every_arm_in_its_colour(grid: list[Row], tmp_path: Path) -> None:
    found = pixels(figure(table(grid), tmp_path / "figure.png"))
    assert found.shape[1] > 1200
    colours = {tuple(colour) for colour in found.reshape(-1, 3).tolist()}
    for arm in {row.arm for row in grid}:
        colour = arm_look(arm)[0]
        assert tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5)) in colours, arm


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_arm_colours_differ_and_stand_out(theme: drawing.Theme) -> None:
    looks = [arm_look(arm, theme) for arm in ARMS]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == len(ARMS)
    for colour, _ in looks:
        assert contrast(colour, theme.paper) > 2.9, colour
    assert contrast(theme.soft, theme.paper) > 4.5


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two "#rrggbb"."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_panels_share_the_arms_and_no_texts_overlap(row: MakeRow) -> None:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    tasks = ("mnist", "cifar10_jpeg", "fashion_mnist")
    rows = [
        row(task, arm, seed, 0.99 - 0.1 * place - 0.02 * rank + 0.003 * seed)
        for place, task in enumerate(tasks)
        for rank, arm in enumerate(ARMS)
        for seed in range(3)
    ]
    with rc_context(drawing._settings(LIGHT) | {"font.size": 8.0}):
        drawn = drawing._drawn(table(rows), LIGHT)
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
    assert [axes.get_title(loc="left") for axes in drawn.axes] == list(tasks)
    names = [text.get_text() for text in drawn.axes[0].get_yticklabels()]
    assert names == list(ARMS)
    assert all(drawn.axes[0].get_shared_y_axes().joined(drawn.axes[0], axes) for axes in drawn.axes)
    texts = [text for axes in drawn.axes for text in axes.texts]
    for axes in drawn.axes:
        low, high = axes.get_xlim()
        texts += [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]
    texts += [*drawn.axes[0].get_yticklabels(), *(axes.xaxis.label for axes in drawn.axes)]
    boxes = [text.get_window_extent() for text in texts if text.get_visible() and text.get_text()]
    assert len(boxes) > 40
    whole = drawn.bbox
    assert all(box.x0 >= 0 and box.x1 <= whole.x1 and box.y0 >= 0 and box.y1 <= whole.y1 for box in boxes)
    clashes = [(a, b) for place, a in enumerate(boxes) for b in boxes[place + 1 :] if a.overlaps(b)]
    assert clashes == []


def test_few_shot_targets_get_a_curve(row: MakeRow) -> None:
    rows = [
        row(arm=arm, seed=seed, value=0.5 + 0.01 * shots, extra={"shots": shots, "draw": 0})
        for arm in ("universal", "random_features")
        for shots in (1, 5, 10)
        for seed in range(2)
    ]
    drawn = drawing._drawn(table(rows), LIGHT)
    assert [axes.get_xlabel() for axes in drawn.axes] == ["training images per class"]
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["universal", "random_features"]


def test_variants_of_an_arm_differ_in_their_dashes(row: MakeRow) -> None:
    rows = [
        transferred(row, 0, 0.5 + density + shots / 100, density=density, shots=shots, draw=0)
        for density in (0.05, 0.1)
        for shots in (1, 5)
    ]
    (legend,) = drawing._drawn(table(rows), LIGHT).legends
    assert [text.get_text() for text in legend.get_texts()] == ["ticket [density=0.05]", "ticket [density=0.1]"]
    assert [line.get_linestyle() for line in legend.get_lines()] == ["-", "--"]


def test_the_baseline_is_a_thin_line_where_it_is_one(row: MakeRow) -> None:
    """One dense line per panel, whatever its label; none for two of them."""
    rows = [compared(row, "dense", 0, 0.9, steps=steps) for steps in (6, 12)]
    rows += [compared(row, "dense", 0, 0.8, steps=6, target="kmnist")]
    rows += [compared(row, "universal", 0, 0.7, steps=6, target=target) for target in ("digits", "kmnist")]
    summary = table(rows)
    found = [
        [
            list(line.get_xdata())
            for line in axes.lines
            if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
        ]
        for axes in drawing._drawn(summary, LIGHT).axes
    ]
    assert found == [[], [[80.0, 80.0]]]
    assert (
        drawing.caption(summary) == "Test accuracy per target. Points are single seeds; the thin line is that of dense."
    )
    assert "thin line" not in drawing.caption(table(rows[:2]))


def test_a_long_interval_does_not_squeeze_the_points(row: MakeRow) -> None:
    rows = [row(arm="dense", seed=seed, value=value) for seed, value in enumerate((0.90, 0.94))]
    low, high = drawing._limits(table(rows).lines)
    assert table(rows).lines[0].accuracy.low < 0.7
    assert 85 < low < 90 < 94 < high < 101


def test_figure_is_the_same_bytes_again(grid: list[Row], tmp_path: Path) -> None:
    one, two = figure(table(grid), tmp_path / "1.png"), figure(table(grid), tmp_path / "2.png")
    assert one.read_bytes() == two.read_bytes()


class Page(HTMLParser):
    """Checks that tags close, and keeps what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "source", "col", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def test_page_stands_alone(grid: list[Row], tmp_path: Path) -> None:
    text = html(table(grid, command="ult compare <a&b>"), tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.all("link") == page.all("script") == []
    assert not re.search(r"https?://|url\(|@import", text)
    image = str(page.all("img")[0]["src"])
    assert base64.b64decode(image.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert str(page.all("source")[0]["srcset"]).startswith("data:image/png;base64,")
    assert "ult compare &lt;a&amp;b&gt;" in text
    assert "prefers-color-scheme: dark" in text


def test_page_is_accessible(grid: list[Row], tmp_path: Path) -> None:
    page = Page(html(table(grid), tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.all("html")[0]["lang"] == "en"
    assert "universal 87.67" in str(page.all("img")[0]["alt"])
    assert len(page.all("table")) == 3
    assert len(page.all("caption")) == 2
    heads = page.all("th")
    assert len(heads) > 20
    assert all(head["scope"] in {"row", "col"} for head in heads)
    ids = {attributes["id"] for _, attributes in page.seen if "id" in attributes}
    named = {str(attributes["aria-labelledby"]) for _, attributes in page.seen if "aria-labelledby" in attributes}
    assert named
    assert named <= ids


def test_given_figure_is_embedded(grid: list[Row], tmp_path: Path) -> None:
    given = figure(table(grid), tmp_path / "figure.png")
    text = html(table(grid), tmp_path / "report.html", given.read_bytes()).read_text(encoding="utf-8")
    assert base64.b64encode(given.read_bytes()).decode() in text


def test_the_page_has_a_column_for_the_best_trained_arm(row: MakeRow, tmp_path: Path) -> None:
    rows = [
        row(arm=arm, value=0.9, extra={"valid_accuracy": valid})
        for arm, valid in (("dense", 0.8), ("dense_converged", 0.9), ("universal", 0.7))
    ]
    text = html(table(rows), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "gap to best trained</th>" in text
    (columns,) = re.findall(r"<colgroup>(.*?)</colgroup>", text)
    shares = [int(share) for share in re.findall(r"width:(\d+)%", columns)]
    assert (len(shares), sum(shares)) == (11, 100)
    first = re.findall(r"<tbody>\n<tr>(.*?)</tr>", text)[0]
    assert first.count("<td") + first.count("<th") == 11
    assert '<td class="word wrap">head</td>' in first
    Page(text)


def test_texts_of_users_are_escaped(row: MakeRow, tmp_path: Path) -> None:
    rows = [row(task="folder:<b>", arm='x"><script>', trained="<i>")]
    text = html(table(rows, notes=["<u>"]), tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|b|i|u)>", text)
    Page(text)


def test_write_report_writes_all_forms(grid: list[Row], tmp_path: Path) -> None:
    summary = table(grid, command="ult report", machine="two cores", notes=["n"])
    paths = write_report(summary, tmp_path / "new" / "report")
    assert sorted(paths) == ["figure.png", "report.html", "table.csv", "table.md", "table.tex"]
    assert sorted(path.name for path in (tmp_path / "new" / "report").iterdir()) == sorted(paths)
    assert all(path.stat().st_size > 100 for path in paths.values())
    assert "two cores" in paths["table.md"].read_text(encoding="utf-8")


def test_there_is_no_report_without_rows(tmp_path: Path) -> None:
    with pytest.raises(UltError, match="at least one row"):
        html(table([]), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_folder_that_is_a_file(grid: list[Row], tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    with pytest.raises(UltError) as caught:
        write_report(table(grid), tmp_path / "report")
    assert "report" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.browser
def test_page_renders_in_a_browser(grid: list[Row], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on this machine")
    page = html(table(grid), tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1400",
         f"--screenshot={shot}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert pixels(shot).std() > 10
