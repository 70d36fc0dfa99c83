"""`ult construct`: families in, tickets with certificates out; studies in, rows and figures out."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.cli.conftest import Answer, Say
from ult_lightning import construct as rooms
from ult_lightning.base import Options, option
from ult_lightning.cli.verbs import _construct_study as study
from ult_lightning.cli.verbs.construct import read
from ult_lightning.construct import FAMILIES, Family, FourierOptions
from ult_lightning.tickets import InputSpec, Ticket, TicketStore

QUIET = ("construct", "logger=none")
SMALL: dict[str, tuple[str, ...]] = {
    "polynomial": ("inputs=2", "degree=2", "eps=2e-2"),
    "fourier": ("inputs=1", "bound=1", "eps=5e-2"),
    "univariate": ("function=square", "eps=1e-2"),
    "network": ("target=net.safetensors", "block=15", "seed=1"),
}


def save_network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        for part in module.parameters():
            part.copy_(torch.rand(part.shape, generator=generator) - 0.3)
    rooms.save_target(module, "net.safetensors")
    return module


def made(say: Say, family: str, *words: str) -> tuple[Answer, Ticket]:
    if family == "network":
        save_network()
    answer = say(*QUIET, f"family={family}", *SMALL[family], "out=my.ticket", *words)
    assert answer.code == 0, answer.err
    return answer, Ticket.load("my.ticket")


def test_every_family_has_a_constructor_a_small_case_and_keys_in_the_yaml(repo: Path) -> None:
    assert set(FAMILIES) == set(SMALL)
    text = (repo / "conf" / "construct.yaml").read_text()
    for family in FAMILIES:
        assert callable(getattr(rooms, f"{family}_ticket"))
        keys = [entry.name for entry in fields(FAMILIES.get(family).options)]
        assert len(keys) > 5
        assert [key for key in keys if f"\n{key}: null " not in text] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_ticket_its_screen_and_its_second_life(say: Say, family: str) -> None:
    answer, ticket = made(say, family)
    certificate: Any = ticket.provenance["certificate"]
    assert ticket.provenance["made_by"] == "construct"
    assert certificate["sampled"] <= certificate["bound"]
    for line in (
        f"Constructed in {ticket.provenance['seconds']:.1f} s: a {family} ticket",
        f"{ticket.mask.kept:,} of {ticket.mask.total:,} parameters, density {ticket.density:.4f}",
        f"sup error at most {certificate['bound']:.4g}",
        f"{certificate['sampled']:.4g} at most",
        str(certificate["kind"]),
        "\nNext:\n  ult t",
    ):
        assert line in answer.out
    assert TicketStore("store").load(ticket.id).mask == ticket.mask
    again, same = made(say, family)
    assert "Found in the store" in again.out
    assert same.provenance["created"] == ticket.provenance["created"]
    forced, other = made(say, family, "force=true")
    assert "Constructed in" in forced.out
    assert (other.id, other.mask) == (ticket.id, ticket.mask)


def test_another_seed_is_another_ticket(say: Say) -> None:
    _, first = made(say, "polynomial")
    _, second = made(say, "polynomial", "seed=1")
    assert first.id != second.id
    assert len(TicketStore("store").ids()) == 2


def test_the_next_command_runs_and_shows_the_certificate(say: Say) -> None:
    answer, ticket = made(say, "polynomial")
    assert "  ult transfer ticket=my.ticket 'targets=[polynomials,products]' head=lstsq" in answer.out
    words = ("targets=[polynomials:2]", "head=lstsq", "logger=none")
    assert say("transfer", "ticket=my.ticket", *words).code == 0
    shown = say("ticket", "show", "my.ticket").out
    bound: Any = ticket.provenance["certificate"]
    assert f"Certificate  sup error at most {bound['bound']:.4g} (asked for: 0.02) on all of [0, 1]^2" in shown
    assert "Settings     degree 2, eps 0.02, family polynomial, inputs 2" in shown


def test_the_end_screen_says_what_was_chosen_and_why(say: Say) -> None:
    answer, ticket = made(say, "polynomial")
    config: Any = ticket.provenance["config"]
    log, exp = ("[{},{},{}]".format(*config["plan"][key]) for key in ("log", "exp"))
    pieces: Any = ticket.provenance["pieces"]
    chosen = f"log={log} linear={config['plan']['linear']} exp={exp} pieces=[{pieces[0]},{pieces[1]}]\n"
    assert chosen in answer.out
    assert "1/sqrt(eps)" in answer.out
    answer, ticket = made(say, "polynomial", "linear=150", "tolerance=0.4")
    config = ticket.provenance["config"]
    assert (config["plan"]["linear"], config["plan"]["tolerance"]) == (150, 0.4)
    assert "linear, tolerance as you said" in answer.out


@pytest.mark.parametrize(
    ("family", "words", "plan"),
    [
        ("polynomial", ("log=[60,8,60]", "exp=[120,90]", "pieces=[5,6]"), {"log": [60, 8, 60], "exp": [120, 90], "pieces": [5, 6]}),
        ("fourier", ("eps=0.3", "fold=[50,12,60]", "wave=[90,90]", "pieces=7"),
         {"fold": [50, 12, 60], "wave": [90, 90], "pieces_per_period": 7}),
        ("fourier", ("fold=false", "linear=120"), {"fold": None, "linear": 120}),
        ("univariate", ("eps=0.3", "chain=[40,7,50]", "pieces=5"), {"chain": [40, 7, 50], "pieces": 5}),
    ],
)  # fmt: skip
def test_widths_and_pieces_of_the_users(say: Say, family: str, words: tuple[str, ...], plan: dict[str, Any]) -> None:
    _, ticket = made(say, family, "eps=0.3", *words)
    config: Any = ticket.provenance["config"]
    assert {key: config["plan"][key] for key in plan} == plan


def test_fold_is_passed_on(say: Say) -> None:
    answer, ticket = made(say, "fourier", "fold=true")
    assert f" pieces={ticket.provenance['pieces']}\n" in answer.out
    assert ticket.spec.options["fold"]


def test_exponents_say_the_number_of_inputs(say: Say) -> None:
    words = ("family=polynomial", "exponents=[[1,0],[2,1]]", "eps=2e-2", "out=my.ticket", "init=burkholz_uniform")
    assert say(*QUIET, *words).code == 0
    ticket = Ticket.load("my.ticket")
    assert ticket.spec.input.shape == (1, 1, 2)
    assert ticket.spec.init == "burkholz_uniform"
    config: Any = ticket.provenance["config"]
    assert config["exponents"] == [[1, 0], [2, 1]]


def test_a_ticket_over_images(say: Say) -> None:
    words = ("family=polynomial", "pool=2", "degree=1", "eps=5e-2", "out=my.ticket")
    answer = say(*QUIET, *words)
    assert answer.code == 0, answer.err
    ticket = Ticket.load("my.ticket")
    assert ticket.spec.input == InputSpec((3, 32, 32), range="unit", adapter="pool2")
    assert "  ult transfer ticket=my.ticket 'targets=[digits]' head=ridge" in answer.out
    assert say("transfer", "ticket=my.ticket", "targets=[digits]", "logger=none", "train_limit=200").code == 0


def test_a_network_ticket_gives_the_network(say: Say) -> None:
    np.save("typical.npy", np.random.default_rng(0).random((64, 3)))
    answer, ticket = made(say, "network", "calibration=typical.npy", "feedback=true")
    x = torch.rand(50, 1, 1, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, wanted = ticket.network()(x), save_network()(x.flatten(1))
    certificate: Any = ticket.provenance["certificate"]
    assert float((found - wanted).abs().max()) <= certificate["bound"]
    assert "kept parameters for each of the target's" in answer.out
    assert "the outputs of the target network" in answer.out


def test_the_contents_of_files_count_not_their_names(say: Say) -> None:
    made(say, "network")
    module = save_network()
    with torch.no_grad():
        module[0].bias += 0.1
    rooms.save_target(module, "net.safetensors")
    answer = say(*QUIET, "family=network", *SMALL["network"])
    assert "Constructed in" in answer.out
    assert len(TicketStore("store").ids()) == 2


def test_a_ticket_that_went_missing_is_made_again(say: Say) -> None:
    _, ticket = made(say, "univariate")
    TicketStore("store").path(ticket.id).unlink()
    answer, again = made(say, "univariate")
    assert "cannot be used and is made again" in answer.out
    assert again.id == ticket.id
    (index,) = Path("store/constructed").glob("*.json")
    index.write_text("[]")
    answer, _ = made(say, "univariate")
    assert "does not name a ticket" in answer.out


def test_a_sweep(say: Say) -> None:
    answer = say(*QUIET, "-m", "family=univariate", "function=square,log", "eps=2e-2")
    assert answer.code == 0, answer.err
    assert len(TicketStore("store").ids()) == 2


def test_the_bound_is_what_a_sweep_optimises(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from ult_lightning.cli.verbs import construct as verb

    values: list[float | None] = []
    real = verb.run
    monkeypatch.setattr(verb, "run", lambda *told: values.append(real(*told)) or values[-1])
    _, ticket = made(say, "univariate")
    certificate: Any = ticket.provenance["certificate"]
    assert values == [certificate["bound"]]


def test_a_study_writes_rows_a_table_and_a_figure(say: Say) -> None:
    answer = say(*QUIET, "study=block_size", "options.fast=true", "out=figures")
    assert answer.code == 0, answer.err
    rows = [json.loads(line) for line in say("rows").out.splitlines()]
    assert rows
    assert {row["task"] for row in rows} == {"block_size"}
    assert {path.suffix for path in Path("figures").iterdir()} >= {".png", ".csv"}
    assert "Written: figures/" in answer.out
    for series in {row["arm"] for row in rows}:
        assert series in answer.out


def test_the_table_of_a_study_is_the_median_over_seeds() -> None:
    class Fake:
        def __init__(self, arm: str, value: float, **extra: Any) -> None:
            self.arm, self.metric, self.value, self.extra = arm, "sup_error", value, extra

    rows: Any = [Fake("two", v, x=10.0, group=1) for v in (3.0, 1.0, 2.0)] + [
        Fake("law", 5.0, x=7.0, group=1),
        Fake("none", 0.0),
    ]
    lines = study.table(rows, x="kept")
    assert [line.split() for line in lines] == [
        ["series", "metric", "kept", "median", "rows"],
        ["two", "sup_error", "10", "2", "3"],
        ["law", "sup_error", "7", "5", "1"],
        ["none", "sup_error", "-", "-", "1"],
    ]
    many: Any = [Fake(f"s{n}", 1.0, x=1.0, group=1) for n in range(50)]
    assert len(study.table(many, x="kept")) == 42
    assert "10 more" in study.table(many, x="kept")[-1]


def test_a_quick_look_wins_over_what_an_experiment_repeats() -> None:
    defaults = {"seeds": [0, 1], "eps": 0.1}
    assert study.changed_options({"seeds": [0, 1], "eps": 0.2}, defaults) == {"seeds": [0, 1], "eps": 0.2}
    assert study.changed_options({"seeds": [0, 1], "eps": 0.2, "fast": True}, defaults) == {"eps": 0.2, "fast": True}


def test_the_options_of_the_config(repo: Path) -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(repo / "conf"), version_base="1.3"):
        job = read(compose("construct", overrides=["family=fourier", "bound=3", "fold=true", "logger=none"]))
    assert (job.family, job.seed) == ("fourier", 0)
    assert job.options == FourierOptions(bound=3, fold=True)
    assert job.options.given() == {"bound": 3, "fold": True}


def test_a_family_from_outside(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class LineOptions(Options):
        slope: float = option(1.0, above=0)

    def construct(options: LineOptions, *, seed: int, notice: Any) -> Ticket:
        line = rooms.Function("line", lambda x: options.slope * x + x * x / 100, 0.0, 1.0, 0.02)
        return rooms.univariate_ticket(line, 1e-2, seed=seed, notice=notice)

    monkeypatch.setattr(FAMILIES, "_members", dict(FAMILIES._members))
    FAMILIES.add("line", Family(LineOptions, construct))
    words = ("family=line", "out=my.ticket")
    answer = say(*QUIET, *words, "+slope=0.5")
    assert answer.code == 0, answer.err
    assert "a line ticket, seed 0." in answer.out
    assert "Next:\n  ult ticket show my.ticket" in answer.out
    x = torch.linspace(0, 1, 50).reshape(-1, 1, 1, 1)
    found = Ticket.load("my.ticket").network()(x)[:, 0]
    assert float((found - 0.5 * x.flatten()).abs().max()) <= 0.021
    assert "Found in the store" in say(*QUIET, *words, "+slope=0.5").out
    assert "Constructed in" in say(*QUIET, *words).out
    assert say(*QUIET, *words, "+slope=0").sentence == "slope: got 0, wanted a number above 0."
    assert "slope: got 2, wanted null, since family=univariate" in say(*QUIET, "family=univariate", "+slope=2").err
