"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ult_lightning.base import write_text
from ult_lightning.report._columns import Column
from ult_lightning.report._figure import caption, described, png
from ult_lightning.report._style import DARK, DASH, LIGHT, percent, target_title
from ult_lightning.report._table import Section, Table

_MOST_ROWS = 2000

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p class="lead">{lead}</p>
</header>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1f23; --soft: #59616a; --line: #dfe3e8;
  --tint: #f5f7f9; --mark: #0067a8; --warn: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e8eaed; --soft: #a8b0b9;
  --line: #343b44; --tint: #1d2126; --mark: #7dbcf5; --warn: #f0b466; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 74rem; margin: 0 auto; padding: 2.5rem clamp(1rem, 4vw, 3rem) 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 .4rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
.lead, .sizes { color: var(--soft); margin: 0; }
.lead { max-width: 62ch; }
figure { margin: 2rem 0 0; }
picture { display: block; }
figure img { display: block; width: 100%; max-width: 58rem; min-width: 34rem; height: auto; margin: 0 auto; border-radius: 6px; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 58rem; margin: .6rem auto 0; }
.scroll { overflow-x: auto; }
table { margin-top: 1.5rem; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--mark); outline-offset: 3px; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
.arms { table-layout: fixed; min-width: 60rem; }
caption { text-align: left; padding-bottom: .5rem; }
caption strong { font-size: 1.05rem; }
th, td { padding: .42rem .5rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); vertical-align: bottom;
  white-space: normal; font-size: .78rem; }
th.word, td.word, tbody th { text-align: left; }
th:first-child { padding-left: 0; }
.arms tbody th, td.wrap { white-space: normal; overflow-wrap: anywhere; }
tbody th { font-weight: 600; }
.arms th:first-child { position: sticky; left: 0; background: var(--paper); }
tbody tr:hover, .arms tbody tr:hover th { background: var(--tint); }
ul { padding-left: 1.2rem; margin: .4rem 0; max-width: 80ch; }
li { margin: .25rem 0; }
.warn li::marker { color: var(--warn); }
.warn strong { color: var(--warn); }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem;
  overflow-x: auto; font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: .5rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
details { margin-top: 2rem; } summary { cursor: pointer; color: var(--mark); font-weight: 600; }
code { font: .85em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media print { main { padding: 0; max-width: none; } details { display: none; } table, figure { break-inside: avoid; }
  .scroll { overflow: visible; } }
"""


def html(summary: Table, path: str | Path, figure: bytes | None = None) -> Path:
    """Write one self-contained page (tables, figure, how to read it, command, machine, all rows); returns its path.

    `figure` is a PNG to embed; by default the figure is drawn, in a light and a dark form.
    """
    write_text(path, page(summary, figure))
    return Path(path)


def page(summary: Table, figure: bytes | None = None) -> str:
    """The page as text."""
    targets = list(dict.fromkeys(section.task for section in summary.sections))
    seeds = sorted({row.seed for row in summary.rows})
    arms = len({line.arm for line in summary.lines})
    lead = (
        f"{_plural(len(targets), 'target')} ({', '.join(targets)}), {_plural(arms, 'arm')},"
        f" {_plural(len(seeds), 'seed')}, {_plural(len(summary.rows), 'row')}."
    )
    body = [_figure(summary, figure), '<section aria-labelledby="tables">', '<h2 id="tables">Table</h2>']
    body += [_section(summary, section, place) for place, section in enumerate(summary.sections)]
    body += ["</section>", _reading(summary), _origin(summary), _every_row(summary)]
    title = "Universal tickets: pruning against training"
    return _PAGE.format(title=title, style=_STYLE.strip(), lead=escape(lead), body="\n".join(filter(None, body)))


def _figure(summary: Table, light: bytes | None) -> str:
    """The light figure, and the dark one where the page draws both itself."""
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_data(png(summary, DARK))}">'
    image = f'<img alt="{escape(described(summary))}" src="{_data(light or png(summary, LIGHT))}">'
    pictures = f'<picture class="scroll">{dark}{image}</picture>'
    return f"<figure>\n{pictures}\n<figcaption>{escape(caption(summary))}</figcaption>\n</figure>"


def _data(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _section(summary: Table, section: Section, place: int) -> str:
    columns = summary.printed
    head = "".join(_cell("th", column, column.title.replace(" task", "\N{NO-BREAK SPACE}task")) for column in columns)
    body = []
    for line in section.lines:
        label, *cells = (_cell("td", column, column.text(line, section.decimals)) for column in columns)
        body.append(f"<tr>{label}{''.join(cells)}</tr>")
    title = f'<strong id="target-{place}">{escape(section.title)}</strong>'
    named = f'{title}<br><span class="sizes">{escape(section.sizes)}</span>'
    shares = [round(100 * column.share / sum(one.share for one in columns)) for column in columns]
    shares[0] += 100 - sum(shares)
    widths = "".join(f'<col style="width:{share}%">' for share in shares)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="target-{place}">\n'
        f'<table class="arms">\n<caption>{named}</caption>\n<colgroup>{widths}</colgroup>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(body)}\n</tbody>\n</table>\n</div>"
    )


def _cell(tag: str, column: Column, text: str) -> str:
    """A heading or a value; the arm heads its row."""
    if tag == "td" and column.name == "arm":
        return f'<th scope="row">{escape(text)}</th>'
    scope = ' scope="col"' if tag == "th" else ""
    kind = f' class="word{" wrap" * column.wide}"' if column.words else ""
    return f"<{tag}{scope}{kind}>{escape(text)}</{tag}>"


def _reading(summary: Table) -> str:
    out = ["<section>", "<h2>How to read it</h2>", _listed(summary.sentences)]
    if summary.warnings:
        out += ['<div class="warn">', "<strong>Mind:</strong>", _listed(summary.warnings), "</div>"]
    if summary.notes:
        out += ["<h2>Notes</h2>", _listed(summary.notes)]
    return "\n".join([*out, "</section>"])


def _listed(sentences: Sequence[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "\n</ul>"


def _origin(summary: Table) -> str:
    """Where the numbers come from: command, machine, versions."""
    out = ["<section>", "<h2>Where it comes from</h2>"]
    if summary.command:
        out.append(f'<pre tabindex="0" aria-label="command"><code>{escape(summary.command)}</code></pre>')
    facts = {
        "machine": summary.machine or "",
        "precision": _distinct([str(row.precision) for row in summary.rows]),
        "code": _distinct([str(row.code_version) for row in summary.rows]),
        "libraries": _distinct(
            [f"{name} {version}" for row in summary.rows for name, version in sorted(row.versions.items())]
        ),
        "rows made": _span([str(row.created) for row in summary.rows]),
    }
    out.append("<dl>")
    out += [f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value]
    return "\n".join([*out, "</dl>", "</section>"])


def _distinct(values: Sequence[str]) -> str:
    return ", ".join(value for value in dict.fromkeys(values) if value)


def _span(values: Sequence[str]) -> str:
    first, last = min(values), max(values)
    return first if first == last else f"{first} to {last}"


def _every_row(summary: Table) -> str:
    """All measured numbers, folded away."""
    names = ("target", "arm", "seed", "draw", "accuracy %", "ticket", "row")
    head = "".join(f'<th scope="col" class="word">{name}</th>' for name in names)
    decimals = {section.title: section.decimals for section in summary.sections}
    body = []
    for row in summary.rows[:_MOST_ROWS]:
        target = target_title(row.task, row.extra.get("shots"))
        value = percent(row.value, decimals.get(target, 2))
        texts = (target, row.arm, str(row.seed), str(row.extra.get("draw", DASH)), value)
        cells = "".join(f'<td class="word">{escape(text)}</td>' for text in texts)
        ids = "".join(f'<td class="word"><code>{escape(text)}</code></td>' for text in (row.ticket or DASH, row.id))
        body.append(f"<tr>{cells}{ids}</tr>")
    left = len(summary.rows) - len(body)
    more = f"<p>{left} more rows are in the store.</p>" if left > 0 else ""
    return (
        f"<details>\n<summary>Every row ({len(summary.rows)})</summary>\n"
        '<div class="scroll" role="region" tabindex="0" aria-label="every row">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(body)}\n</tbody>\n</table>\n</div>\n"
        f"{more}</details>"
    )


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
