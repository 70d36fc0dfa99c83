from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ult_lightning.tickets import InputSpec, Mask, MotherSpec, Ticket, describe
from ult_lightning.tickets._describe import human_seconds, human_size

PROVENANCE = {
    "id": "3f2a9c81d07b44aa",
    "made_by": "search",
    "method": "edge_popup",
    "config": {
        "search": {"density": 0.5, "max_steps": None, "batch_size": 128, "augment": False, "lr": 0.1}
        | {f"setting_{i}": "a word" for i in range(9)}
    },
    "sources": [
        {"id": "mnist5k:0-4", "sizes": {"test": 500, "train": 1800, "valid": 200}},
        {"id": "cifar10_jpeg", "sizes": {"test": 10000, "train": 10000, "valid": 1000}},
    ],
    "validation": {"mnist5k:0-4": 0.9712, "cifar10_jpeg": 0.6},
    "seconds": 187.2,
    "environment": {"code_version": "0.1.0", "versions": {"torch": "2.9.1"}, "device": "a processor, 2 cores"},
}


CERTIFICATE = {
    "bound": 0.0009468,
    "bounds": [0.0006, 0.0009468],
    "domain": "[0, 1]^3",
    "wanted": "prod_i ((1 + x_i) / 2)^r_ji",
    "kind": "rigorous: from parts",
    "parts": {"log": 0.0002538, "float32": 7.533e-06},
    "sampled": 0.0004734,
    "samples": 4096,
}
CONSTRUCTED = {
    "made_by": "construct",
    "method": "polynomial",
    "config": {
        "family": "polynomial",
        "eps": 1e-3,
        "spec": {"seed": 0},
        "exponents": [[1] * 99] * 9,
        "plan": {"log": [2, 3]},
    },
    "certificate": CERTIFICATE,
}


@pytest.fixture
def full(make: Callable[..., Ticket]) -> Ticket:
    return make(provenance=PROVENANCE, spec=MotherSpec("conv2", {"width": 2}, seed=3, scale_fan=0.5))


def test_it_tells_what_a_person_wants_to_know(full: Ticket, tmp_path: Path) -> None:
    path = full.save(tmp_path / "my.ticket")
    text = describe(full, path)
    for line in [
        "Ticket 3f2a9c81d07b44aa",
        f"File         {path}",
        f"Size         {human_size(path.stat().st_size)}, {8 * path.stat().st_size / 21:.2f} bits per maskable parameter",
        f"Density      {full.density:.4f}, {full.mask.kept} of 21 maskable parameters kept",
        "Mother       conv2, width 2, seed 3",
        "Weights      signed_constant, scaled for density 0.5; norm batch, bias none",
        "Input        3 x 32 x 32, standardized",
        "Stored too   2 statistics (4 values), 1 constants (1 values)",
        f"Fingerprint  {full.fingerprint}",
        "Made by      search, edge_popup",
        "Sources      mnist5k:0-4: train 1,800, valid 200, test 500 images",
        "             cifar10_jpeg: train 10,000, valid 1,000, test 10,000 images",
        "Validation   cifar10_jpeg 60.00 %, mnist5k:0-4 97.12 %",
        "Time         3 min 7 s on a processor, 2 cores",
        "Versions     ult_lightning 0.1.0, torch 2.9.1",
        f"    network = Ticket.load({str(path)!r}).network()",
        f"    ult transfer ticket={path} targets=[digits] head=ridge",
    ]:
        assert line in text.splitlines()
    assert "Settings     augment no, batch_size 128, density 0.5, lr 0.1, setting_0 a word" in text
    assert "max_steps" not in text


def test_a_certificate_in_words(make: Callable[..., Ticket]) -> None:
    lines = describe(make(provenance=CONSTRUCTED)).splitlines()
    for line in [
        "Made by      construct, polynomial",
        "Settings     eps 0.001, family polynomial, plan (log [2, 3])",
        "Certificate  sup error at most 0.0009468 (asked for: 0.001) on all of [0, 1]^3, each of the 2",
        "             features, float32 arithmetic included",
        "Wanted       prod_i ((1 + x_i) / 2)^r_ji",
        "Proof        rigorous: from parts",
        "Parts        float32 7.53e-06, log 0.000254",
        "Sampled      0.0004734 at most at 4,096 points, 50 % of the certificate",
    ]:
        assert line in lines


def test_the_certificate_of_a_network(make: Callable[..., Ticket]) -> None:
    certificate = {"kind": "interval (loose)", "bound": 0.5, "sampled": 0.01, "relative": 0.002}
    provenance = {"made_by": "construct", "config": {"eps": 0.01}, "certificate": certificate}
    lines = describe(make(provenance=provenance)).splitlines()
    for line in [
        "Certificate  sup error at most 0.5 on all inputs in [0, 1], float32 arithmetic included",
        "Wanted       the outputs of the target network",
        "Proof        interval (loose)",
        "Sampled      0.01 at most, 0.002 of the largest output, 2 % of the certificate",
    ]:
        assert line in lines


@pytest.mark.parametrize("key", CERTIFICATE)
@pytest.mark.parametrize("wrong", [None, True, "text", [1], {"a": None}], ids=str)
def test_an_odd_certificate_can_be_shown(make: Callable[..., Ticket], key: str, wrong: object) -> None:
    text = describe(make(provenance=CONSTRUCTED | {"certificate": CERTIFICATE | {key: wrong}}))
    assert ("Certificate" in text) == (key != "bound")
    assert "Parameter" in text


def test_a_ticket_over_numbers_is_shown_with_its_own_command(make: Callable[..., Ticket]) -> None:
    text = describe(make(spec=MotherSpec("conv2", {"width": 1}, input=InputSpec((1, 1, 3), range="unit"))))
    assert "features = network(numbers)  # (b, 1, 1, 3) -> (b, d), frozen" in text
    assert "ult transfer ticket=my.ticket targets=[polynomials] head=lstsq" in text


def test_one_row_per_parameter_and_aligned_columns(full: Ticket) -> None:
    lines = describe(full).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Parameter "))
    rows = lines[start + 2 : start + 5]
    assert [row.split()[0] for row in rows] == list(full.mask)
    assert [row.split()[-1] for row in rows] == [f"{value:.4f}" for value in full.densities.values()]
    assert lines[start + 1] == lines[start + 5] == "-" * len(lines[start])
    assert lines[start + 6].startswith("3 in all")
    assert {len(line) for line in lines[start : start + 7]} == {len(lines[start])}


def test_it_fits_a_terminal(full: Ticket) -> None:
    long = "features.13.conv.1.0." * 4 + "weight"
    wide = dataclasses.replace(full, subnetwork=Mask({long: np.ones((512, 512, 3, 3))}), constants={})
    for ticket in (full, wide):
        assert max(map(len, describe(ticket).splitlines())) <= 100


def test_the_python_lines_run(full: Ticket, tmp_path: Path) -> None:
    text = describe(full, full.save(tmp_path / 'it\'s "mine".ticket'))
    lines = [line.strip() for line in text.splitlines() if re.match(r" {4}(from|network|features) ", line)]
    assert len(lines) == 3
    names: dict[str, object] = {}
    exec("\n".join(lines[:2]), names)
    assert isinstance(names["network"], dict)
    compile(lines[2], "describe", "exec")


def test_a_bare_ticket_has_no_empty_labels(make: Callable[..., Ticket]) -> None:
    ticket = make(provenance={}, statistics={}, constants={}, spec=MotherSpec("conv2", {"width": 1}, norm="none"))
    text = describe(ticket)
    assert f"Ticket {ticket.id}" in text
    assert "Stored too   nothing: this ticket is a seed and bits" in text
    for label in ("File", "Made by", "Settings", "Sources", "Validation", "Time", "Versions"):
        assert label not in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    "provenance",
    [
        {key: wrong}
        for key in (*PROVENANCE, "created", "certificate")
        for wrong in (None, 3, "text", [1], ["a"], [{}], {"a": None}, {"a": [1, {"b": True}]})
        if key != "id"
    ],
    ids=str,
)
def test_any_provenance_can_be_shown(make: Callable[..., Ticket], provenance: dict[str, object]) -> None:
    assert "Parameter" in describe(make(provenance=provenance))


def test_embedded_weights_pools_and_own_modules_are_named(make: Callable[..., Ticket]) -> None:
    spec = MotherSpec("module", {"width": 1}, input=InputSpec(adapter="pool7", range="unit"))
    ticket = Ticket.from_bytes(make(spec=spec).to_bytes(weights=True))
    text = describe(ticket)
    assert "KiB with its weights embedded, " in text or "bytes with its weights embedded, " in text
    assert "Input        3 x 32 x 32, unit, average-pooled to 7 x 7" in text
    assert "Ticket.load('my.ticket', module=your_factory).network()" in text
    assert "ult transfer" not in text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (2**20 - 1, "1.0 MiB"), (5 * 2**40, "5.0 TiB"),
     (5000 * 2**40, "5000.0 TiB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 0 s"),
        (60, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text
