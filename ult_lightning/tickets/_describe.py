"""A ticket on one screen."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

from ult_lightning.base._text import aligned
from ult_lightning.tickets._mother_spec import Json
from ult_lightning.tickets._ticket import Ticket

_WIDTH = 96  # columns of wrapped text
_LABEL = 13  # columns of the labels before it
_LONGEST_NAME = 40
_LONGEST_SETTING = 240

_UNCHECKED = " (not checked: a module of your own is drawn by Ticket.load(path, module=factory) alone)"


def describe(ticket: Ticket, path: str | os.PathLike[str] | None = None) -> str:
    """What a person wants to know about a ticket: plain text, at most 96 columns wherever words allow.

    `path`: the file it lies in, for its size and for commands that can be copied; else the size it would have.
    """
    size = Path(path).stat().st_size if path is not None else len(ticket.to_bytes())
    name = os.fspath(path) if path is not None else "my.ticket"
    blocks = [
        [f"Ticket {ticket.id}", *_entries(_size(ticket, size, name if path is not None else ""))],
        _entries(_mother(ticket)),
        _entries(_origin(ticket.provenance)),
        _entries(certificate_words(ticket.provenance)),
        _parameter_lines(ticket),
        _use_lines(ticket, name),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _size(ticket: Ticket, size: int, name: str) -> Iterator[tuple[str, str]]:
    per_parameter = 8 * size / ticket.mask.total
    kind = " with its weights embedded" if ticket.weights is not None else ""
    yield "File", name
    yield "Size", f"{human_size(size)}{kind}, {per_parameter:.2f} bits per maskable parameter"
    kept, total = ticket.mask.kept, ticket.mask.total
    if len(ticket.subnetwork.bits) > 1:
        mask, *extras = (f"{part} {bits:.3g}" for part, bits in ticket.subnetwork.bits.items())
        yield "Subnetwork", ", ".join([f"{mask} bit per parameter", *extras])
    yield "Density", f"{ticket.density:.4f}, {kept:,} of {total:,} maskable parameters kept"


def _mother(ticket: Ticket) -> list[tuple[str, str]]:
    spec = ticket.spec
    options = f", {', '.join(_pairs(spec.options))}" if spec.options else ""
    scale = f", scaled for density {spec.scale_fan:g}" if spec.scale_fan is not None else ""
    image = f"{' x '.join(map(str, spec.input.shape))}, {spec.input.range}"
    crop, side = spec.input.crop, spec.input.pool
    cut = "" if crop is None else f", cropped to the central {crop} x {crop}"
    adapter = "" if side is None else f"{cut}, average-pooled to {side} x {side}"
    stored = {"statistics": ticket.statistics, "constants": ticket.constants}
    words = [f"{len(a)} {kind} ({sum(x.size for x in a.values()):,} values)" for kind, a in stored.items() if a]
    return [
        ("Mother", f"{spec.net}{options}, seed {spec.seed}"),
        ("Weights", f"{spec.init}{scale}; norm {spec.norm}, bias {spec.bias}"),
        ("Input", f"{image}{adapter}"),
        ("Stored too", ", ".join(words) if words else "nothing: this ticket is a seed and bits"),
        ("Fingerprint", ticket.fingerprint + (_UNCHECKED if spec.net == "module" else "")),
    ]


def _origin(provenance: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """What provenance says, each key only where it is there and has the customary form."""
    makers = (provenance.get(key) for key in ("made_by", "method"))
    yield "Made by", ", ".join(maker for maker in makers if isinstance(maker, str))
    yield "Settings", ", ".join(_pairs(_settings(provenance)))
    sources = provenance.get("sources")
    if isinstance(sources, list):
        yield from (("Sources" if place == 0 else "", _source(source)) for place, source in enumerate(sources))
    accuracies = _mapping(provenance, "validation").items()
    yield "Validation", ", ".join(f"{task} {_accuracy(value)}" for task, value in accuracies)
    seconds = provenance.get("seconds")
    environment = _mapping(provenance, "environment")
    if isinstance(seconds, (int, float)):
        machine = environment.get("device") or provenance.get("device")
        yield "Time", human_seconds(seconds) + (f" on {machine}" if machine else "")
    versions = {"ult_lightning": environment.get("code_version"), **_mapping(environment, "versions")}
    yield "Versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield "Created", str(provenance.get("created") or "")


def certificate_words(provenance: Mapping[str, Json]) -> list[tuple[str, str]]:
    """What a certificate says, as labels and texts: the bound, what it is about, how it was found, what samples show.

    Empty where the provenance has no certificate; parts of it that are missing or odd are left out.
    """
    certificate = _mapping(provenance, "certificate")
    bound = certificate.get("bound")
    if not _is_number(bound):
        return []
    bounds, domain, config = certificate.get("bounds"), certificate.get("domain"), _mapping(provenance, "config")
    count = len(bounds) if isinstance(bounds, list) else 0
    every = f", each of the {count:,} features" if count > 1 else ""
    where = f" on all of {domain}" if isinstance(domain, str) else " on all inputs in [0, 1]"
    eps = config.get("eps")
    limit = f" (asked for: {eps:.3g})" if _is_number(eps) and count else ""
    lines = [("Certificate", f"sup error at most {bound:.4g}{limit}{where}{every}, float32 arithmetic included")]
    wanted, kind = certificate.get("wanted"), certificate.get("kind")
    lines.append(("Wanted", wanted if isinstance(wanted, str) else "the outputs of the target network"))
    if isinstance(kind, str):
        lines.append(("Proof", kind))
    parts = {name: value for name, value in _mapping(certificate, "parts").items() if _is_number(value)}
    if parts:
        lines.append(("Parts", ", ".join(f"{name} {value:.3g}" for name, value in parts.items())))
    sampled, samples, relative = (certificate.get(key) for key in ("sampled", "samples", "relative"))
    if _is_number(sampled):
        points = f" at {samples:,} points" if isinstance(samples, int) else ""
        size = f", {relative:.2g} of the largest output" if _is_number(relative) else ""
        share = f", {100 * sampled / bound:.0f} % of the certificate" if bound > 0 else ""
        lines.append(("Sampled", f"{sampled:.4g} at most{points}{size}{share}"))
    return lines


def _is_number(value: Json) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _settings(provenance: Mapping[str, Json]) -> Mapping[str, Json]:
    """The settings of a search, or those of a construction without its mother and long lists."""
    if provenance.get("made_by") != "construct":
        return _mapping(provenance, "config", "search")
    config = _mapping(provenance, "config")
    return {key: value for key, value in config.items() if key != "spec" and len(str(value)) <= _LONGEST_SETTING}


def _parameter_lines(ticket: Ticket) -> list[str]:
    header = ("Parameter", "Shape", "Kept", "Of", "Density")
    rows = [header]
    for name in ticket.mask:
        part = ticket.mask[name]
        shape = " x ".join(map(str, part.shape)) or "scalar"
        rows.append((_short(name), shape, f"{int(part.sum()):,}", f"{part.size:,}", f"{part.mean():.4f}"))
    kept, total_size = f"{ticket.mask.kept:,}", f"{ticket.mask.total:,}"
    total = (f"{len(ticket.mask)} in all", "", kept, total_size, f"{ticket.density:.4f}")
    head, *lines, last = aligned([*rows, total], left=(0, 1), indent="")
    rule = "-" * len(head)
    return [head, rule, *lines, rule, last]


def _use_lines(ticket: Ticket, name: str) -> list[str]:
    factory = "" if ticket.spec.net != "module" else ", module=your_factory"
    channels, height, width = ticket.spec.input.shape
    numbers = (channels, height) == (1, 1)
    batch = "numbers" if numbers else "images"
    lines = [
        "Use it in Python",
        "    from ult_lightning import Ticket",
        f"    network = Ticket.load({name!r}{factory}).network()",
        f"    features = network({batch})  # (b, {channels}, {height}, {width}) -> (b, d), frozen",
    ]
    if not factory:
        argument = f"ticket={name}" if not set(name) & set(" '\"=,{}[]()$") else f"'ticket=\"{name}\"'"
        targets = "targets=[polynomials] head=lstsq" if numbers else "targets=[digits] head=ridge"
        lines += ["or on the command line", f"    ult transfer {argument} {targets}"]
    return lines


def human_size(size: int) -> str:
    """Bytes for people.

    >>> human_size(999), human_size(42_291), human_size(5_300_000)
    ('999 bytes', '41.3 KiB', '5.1 MiB')
    """
    if size < 1024:
        return f"{size} bytes"
    value, units = size / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1023.95 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.1f} {units[0]}"


def human_seconds(seconds: float) -> str:
    """A duration for people.

    >>> human_seconds(7.25), human_seconds(187), human_seconds(7_500)
    ('7.2 s', '3 min 7 s', '2 h 5 min')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _entries(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Labels with their wrapped texts, where there is a text."""
    lines = []
    for label, text in pairs:
        label, indent = label.ljust(_LABEL), " " * _LABEL
        wrapper = textwrap.TextWrapper(_WIDTH, label, indent, break_long_words=False, break_on_hyphens=False)
        lines += wrapper.wrap(text)
    return lines


def _mapping(source: Mapping[str, Json], *keys: str) -> Mapping[str, Json]:
    """The mapping inside mappings that these keys lead to; empty where there is none."""
    value: Json = source
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _pairs(mapping: Mapping[str, Json]) -> list[str]:
    return [f"{key} {_value(value)}" for key, value in mapping.items() if value not in (None, {}, [], "")]


def _value(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return f"({', '.join(_pairs(value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)


def _accuracy(value: Json) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, float) and 0 <= value <= 1 else _value(value)


def _source(source: Json) -> str:
    """One source task: its id and, where they are given, its split sizes."""
    if not isinstance(source, Mapping):
        return str(source)
    name = str(source.get("id") or source.get("name") or "unnamed")
    sizes = _mapping(source, "sizes")
    ordered = {split: sizes[split] for split in ("train", "valid", "test") if split in sizes}
    return f"{name}: {', '.join(_pairs(ordered))} images" if ordered else name


def _short(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    half = (_LONGEST_NAME - 3) // 2
    return f"{name[:half]}...{name[-half:]}"
