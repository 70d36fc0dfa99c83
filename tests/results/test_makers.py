"""The contract of all that makes rows: flat settings under known names, the same for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ult_lightning.compare import ARMS, Cell, CompareSettings, Machine
from ult_lightning.data import TaskSpec, load_functions, load_task
from ult_lightning.nets import build_mother, fingerprint, maskable
from ult_lightning.results import SETTING_NAMES, flat, row_id
from ult_lightning.search import SearchSettings, find_ticket
from ult_lightning.studies import STUDIES, run_study
from ult_lightning.tickets import InputSpec, Mask, MotherSpec, Ticket, TicketStore
from ult_lightning.transfer import function_rows, transfer_row

SOURCE = TaskSpec.parse({"name": "mnist5k", "labels": "0-4", "train_limit": 200})
TARGET = TaskSpec.parse({"name": "digits", "train_limit": 100})
MOTHER = MotherSpec("conv2", options={"width": 0.125})
SEARCH = SearchSettings(trainer={"max_steps": 2}, batch_size=32)


def cell(place: Path) -> Cell:
    chosen = CompareSettings(
        sources=(SOURCE,), targets=(TARGET,), arms=tuple(ARMS), seeds=(0,), mother=MOTHER, search=SEARCH
    )
    return Cell(TARGET, 0, chosen, Machine(TicketStore(place), {}, notice=lambda _: None))


def transferred() -> dict[str, Any]:
    source, target = (load_task(spec, seed=0) for spec in (SOURCE, TARGET))
    ticket = find_ticket([source], MOTHER, SEARCH, progress=False, notice=lambda _: None)
    return transfer_row(ticket, ticket.network(), target).settings  # type: ignore[arg-type]


def functions() -> list[dict[str, Any]]:
    spec = MotherSpec("lenet_300_100", norm="none", bias="nonzero", init="kaiming_normal",
                      input=InputSpec((1, 1, 2), range="unit"))  # fmt: skip
    body = build_mother(spec).body
    whole = Mask({name: np.ones(tuple(part.shape), bool) for name, part in maskable(body).items()})
    ticket = Ticket(spec, whole, {}, fingerprint(body))
    task = load_functions("products", inputs=2, seed=0)
    return [row.settings for row in function_rows(ticket, ticket.network(), task)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The settings of rows by who made them."""
    here = cell(tmp_path_factory.mktemp("store"))
    small = {"blocks": [4], "pools": ["uniform"], "targets": 9, "seeds": [0]}
    sup, rms = functions()
    return {
        **{f"compare {name}": ARMS.get(name).settings(here) for name in ARMS},
        **{f"full compare {name}": ARMS.get(name).settings(here, full=True) for name in ARMS},
        "transfer": transferred(),
        "functions sup": sup,
        "functions rms": rms,
        **{f"study {n}": row.settings for n, row in enumerate(run_study("block_size", small))},
    }


def test_all_settings_are_flat_and_have_known_names(made: dict[str, dict[str, Any]]) -> None:
    assert len(made) >= 2 * len(ARMS) + 4
    for maker, settings in made.items():
        for name, value in settings.items():
            assert name.partition(".")[0] in SETTING_NAMES, (maker, name)
            for one in value if isinstance(value, list) else [value]:
                assert one is None or isinstance(one, str | int | float | bool), (maker, name)
        assert {"made_by", "arm", "metric", "seed"} <= set(settings), maker
    hashed = [settings for maker, settings in made.items() if not maker.startswith("full")]
    assert len(set(map(row_id, hashed))) == len(hashed)


def test_makers_call_the_same_things_by_the_same_names(made: dict[str, dict[str, Any]]) -> None:
    universal, ticket = made["compare universal"], made["transfer"]
    own = {"made_by", "arm", "ticket", "ticket.content", "ticket.made_by", "numerics"}
    assert set(universal) - own == set(ticket) - own
    same = set(universal) - own
    assert len(same) > 10
    assert {name: universal[name] for name in same} == {name: ticket[name] for name in same}


def test_defaults_enter_no_settings(made: dict[str, dict[str, Any]]) -> None:
    for settings in (made["compare universal"], made["transfer"]):
        assert {"batch_size", "steps", "net.width", "head"} <= set(settings)
        assert not {"density", "method", "objective", "norm", "head.lambdas", "mixing"} & set(settings)
    assert not [name for name in made["compare dense"] if name.startswith("dense.")]


def test_the_points_of_all_studies_are_flat() -> None:
    count = 0
    for name in STUDIES:
        study = STUDIES.get(name)
        options = {**study.options, **study.fast}
        for point in study.points(options, {}) if study.needs_data else study.points(options):
            count += 1
            for value in flat("study", point.science).values():
                assert all(isinstance(v, str | int | float) for v in (value if isinstance(value, list) else [value]))
    assert count > 20
