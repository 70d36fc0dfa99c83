"""The contract of every arm, and what only some of them do."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from ult_lightning.base import NoOptions, Options, digest
from ult_lightning.compare import ARMS, Cell, CompareSettings, DenseSettings, Machine, run_grid
from ult_lightning.compare import _train as train_module
from ult_lightning.compare._end_to_end import NotFinite
from ult_lightning.compare.arms._arm import Outcome
from ult_lightning.compare.arms.dense import still_rising
from ult_lightning.data import Task, TaskSpec, load_task
from ult_lightning.results import Row, arm_looks
from ult_lightning.search import SearchSettings
from ult_lightning.tickets import MotherSpec, TicketStore

SOURCES = (TaskSpec.parse({"name": "mnist5k", "labels": "0-4", "train_limit": 200}),)
TARGETS = (TaskSpec.parse({"name": "digits", "train_limit": 100}),)
HELD: dict[tuple[str, int], Task] = {}


def settings(*arms: str, **change: Any) -> CompareSettings:
    found = CompareSettings(
        sources=SOURCES,
        targets=TARGETS,
        arms=arms or tuple(ARMS),
        seeds=(0,),
        mother=MotherSpec("conv2", options={"width": 0.125}),
        search=SearchSettings(trainer={"max_steps": 6}, batch_size=32),
        dense=DenseSettings(lrs=(0.1,)),
        arm_options={"dense_long": {"factor": 2}, "dense_converged": {"max_doublings": 1}},
    )
    return replace(found, **change)


def cell(place: Path, chosen: CompareSettings) -> Cell:
    return Cell(TARGETS[0], 0, chosen, Machine(TicketStore(place), {}, notice=lambda _: None, held=HELD))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def rows(place: Path) -> dict[str, Row]:
    found = run_grid(settings(), store=place, notice=lambda _: None)
    return {row.arm: row for row in found}


def test_the_looks_of_reports_are_those_of_the_arms() -> None:
    assert tuple(arm_looks()) == ARMS.names()
    assert len(ARMS) >= 10
    assert {name for name, look in arm_looks().items() if look.trains} == {
        "dense",
        "dense_long",
        "dense_converged",
        "finetuned",
    }


@pytest.mark.parametrize("name", ARMS.names())
def test_an_arm_keeps_the_contract(name: str, place: Path) -> None:
    arm = ARMS.get(name)
    assert arm.name == name
    assert arm.look.words
    for colour in (arm.look.light, arm.look.dark):
        assert re.fullmatch("#[0-9A-F]{6}", colour)
    assert issubclass(arm.options, Options)
    assert (arm.options is NoOptions) == (name not in ("dense_long", "dense_converged"))
    here = cell(place, settings())
    config = arm.settings(here)
    assert json.loads(json.dumps(config)) == config
    assert config["arm"] == name
    assert ("net" in config) == ("mother" in arm.needs) == (name != "raw_pixels")
    assert ("head" in config) == ("head" in arm.needs)
    assert ("sources" in config) == (arm.sources is not None and name != "specialist")
    whole = arm.settings(here, full=True)
    assert (whole.get("density"), config.get("density")) == (0.5 if "search" in arm.needs else None, None)
    assert whole.get("sources") == ("mnist5k:0-4" if "sources" in config else None)


@pytest.mark.parametrize("name", ARMS.names())
def test_an_arms_id_follows_what_it_needs_and_nothing_else(name: str, place: Path) -> None:
    arm, base = ARMS.get(name), settings()
    changes = {
        "mother": {"mother": replace(base.mother, options={"width": 0.25})},
        "head": {"head_options": {"lambdas": [1.0]}},
        "search": {"search": replace(base.search, density=0.3)},
        "dense": {"dense": DenseSettings(lrs=(0.1,), momentum=0.5)},
    }
    first = digest(arm.settings(cell(place, base)))
    for part, change in changes.items():
        other = digest(arm.settings(cell(place, replace(base, **change))))
        assert (other != first) == (part in arm.needs), part
    here = cell(place, base)
    HELD[repr(TARGETS[0]), 0] = replace(here.task, augmentation="crop_flip")
    try:
        other = digest(arm.settings(here))
    finally:
        HELD[repr(TARGETS[0]), 0] = replace(here.task, augmentation="shift")
    assert (other != first) == ("augmentation" in arm.needs)
    foreign = digest(arm.settings(cell(place, replace(base, arm_options={}))))
    assert (foreign != first) == (arm.options is not NoOptions)


@pytest.mark.parametrize("name", ARMS.names())
def test_a_row_states_steps_images_seconds_and_validation(name: str, rows: dict[str, Row]) -> None:
    row = rows[name]
    assert 0 <= row.extra["valid_accuracy"] <= 1
    assert row.extra["valid_accuracy"] * row.n_valid == pytest.approx(round(row.extra["valid_accuracy"] * row.n_valid))
    assert row.extra["chance"] == pytest.approx(37 / 359)
    assert row.total_seconds is not None
    assert row.total_seconds > 0
    assert row.extra["edge"] in (True, False)
    searched, trained, head = 6 * 32, 6 * 32, 100  # the head passes the 100 images once
    steps, images = {
        "dense": (6, trained),
        "dense_long": (12, 2 * trained),
        "dense_converged": (row.extra["steps"], 2 * (1 + 2) * trained),  # with and without augmentation
        "finetuned": (6 + 6, searched + trained),
        "joint": (6, searched + head),
        "specialist": (6, searched + head),
        "universal": (6, searched + head),
        "random_mask": (0, head),
        "random_features": (0, head),
        "raw_pixels": (0, head),
    }[name]
    assert (row.extra["steps"], row.extra["images"]) == (steps, images)


# raw pixels


def test_raw_pixels_are_scikit_learns_ridge_on_the_pixels(rows: dict[str, Row]) -> None:
    task, row = load_task(TARGETS[0], seed=0), rows["raw_pixels"]
    assert task.train.images.shape[1] == 1
    assert row.parameters_trained == (1024 + 1) * 10  # grey pixels count once
    assert (row.extra["bytes_shared"], row.extra["bytes_per_task"]) == (0, 4 * row.parameters_trained)
    (x, y), (tx, ty) = (
        (part.images.flatten(1).double().numpy(), part.labels.numpy()) for part in (task.train, task.test)
    )
    mean, std = x.mean(0), x.std(0)
    alive = std > 0
    z, tz = ((values[:, alive] - mean[alive]) / std[alive] for values in (x, tx))
    reference = Ridge(alpha=row.extra["lambda"] * len(z)).fit(z, np.eye(10)[y])
    assert row.value == pytest.approx((reference.predict(tz).argmax(1) == ty).mean(), abs=1.5 / 359)


def test_raw_pixels_of_colour_images_are_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = load_task

    def coloured(spec: TaskSpec, **more: Any) -> Any:
        task = real(spec, **more)
        wide = {
            part: replace(getattr(task, part), images=getattr(task, part).images.expand(-1, 3, -1, -1).contiguous())
            for part in ("train", "valid", "test")
        }
        return replace(task, **wide)

    monkeypatch.setattr("ult_lightning.compare._cell.load_task", coloured)
    (row,) = run_grid(settings("raw_pixels"), store=tmp_path, notice=lambda _: None)
    assert row.parameters_trained == (3072 + 1) * 10


# training until validation stops rising


@given(st.lists(st.floats(0, 1), max_size=8), st.integers(1, 10_000))
def test_validation_rises_until_two_gains_in_a_row_are_within_the_error(levels: list[float], n: int) -> None:
    def small(place: int) -> bool:
        best = max(levels[:place])
        return levels[place] - best <= math.sqrt(best * (1 - best) / n)

    expected = not (len(levels) >= 3 and small(len(levels) - 1) and small(len(levels) - 2))
    assert still_rising(levels, n) is expected


class Scripted:
    """Trainings whose validation accuracies are given, by steps and augmentation."""

    def __init__(self, levels: dict[tuple[int, bool], float]) -> None:
        self.levels = levels
        self.tested: list[tuple[int, bool]] = []
        self.trained: list[tuple[int, bool]] = []

    def train(self, cell: Cell, rate: float, steps: int, *, augment: bool, ticket: Any = None) -> Any:
        self.trained.append((steps, augment))
        name = cell.task.policy(augment)
        return train_module.Trained((steps, augment), self.levels[steps, augment], steps, steps * 32, 1.0, name)  # type: ignore[arg-type]

    def outcome(self, cell: Cell, pilot: Any, run: Any, **more: Any) -> Outcome:
        self.tested.append(run.model)
        return more  # type: ignore[return-value]


def converged(monkeypatch: pytest.MonkeyPatch, place: Path, levels: dict[tuple[int, bool], float], most: int) -> Any:
    script = Scripted(levels)
    monkeypatch.setattr(train_module, "train_end_to_end", script.train)
    monkeypatch.setattr(train_module, "trained_outcome", script.outcome)
    chosen = settings("dense_converged", arm_options={"dense_converged": {"max_doublings": most}})
    return script, ARMS.get("dense_converged").run(cell(place, chosen))


def test_it_stops_two_doublings_after_the_last_gain_and_tests_the_best(
    monkeypatch: pytest.MonkeyPatch,
    place: Path,
) -> None:
    """100 validation images: the standard error is 0.05 at 0.5 and 0.04 at 0.8."""
    levels = {
        (6, False): 0.5,
        (6, True): 0.3,
        (12, False): 0.6,
        (12, True): 0.7,
        (24, False): 0.6,
        (24, True): 0.8,
        (48, False): 0.7,
        (48, True): 0.82,
        (96, False): 0.83,
        (96, True): 0.81,
    }
    script, more = converged(monkeypatch, place, levels, most=9)
    assert script.trained == list(levels)
    assert script.tested == [(96, False)]
    path = more["extra"]["path"]
    assert [(one["steps"], one["valid_accuracy"]) for one in path] == [(s, v) for (s, _), v in levels.items()]
    assert [one["augment"] != "none" for one in path] == [augment for _, augment in levels]
    assert more["extra"]["converged"] is True
    assert (more["seconds"], more["images"]) == (10.0, 2 * 32 * (6 + 12 + 24 + 48 + 96))


def test_it_stops_at_its_cap_and_says_that_it_did(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    levels = {(6 * 2**k, augment): 0.2 + 0.2 * k for k in range(3) for augment in (False, True)}
    script, more = converged(monkeypatch, place, levels, most=2)
    assert script.trained == list(levels)
    assert script.tested == [(24, False)]  # of equals the first
    assert more["extra"]["converged"] is False


def test_a_task_without_augmentation_is_trained_without(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(Task, "policy", lambda self, augment: "none")
    levels = {(6, False): 0.5, (12, False): 0.5, (24, False): 0.5}
    script, _ = converged(monkeypatch, place, levels, most=9)
    assert script.trained == list(levels)
    assert script.tested == [(6, False)]


# the learning rate


def test_a_rate_outside_the_given_ones_is_found(tmp_path: Path) -> None:
    """Both rates are far too small for twenty steps."""
    said: list[str] = []
    chosen = settings(
        "dense",
        search=SearchSettings(trainer={"max_steps": 20}, batch_size=32),
        dense=DenseSettings(lrs=(0.003, 0.01), pilot_share=1.0),
    )
    (row,) = run_grid(chosen, store=tmp_path, notice=said.append)
    assert [rate for rate, _ in row.extra["grid"]] == [0.003, 0.01, 0.03, 0.09, 0.27]
    assert (row.extra["lr"], row.extra["edge"]) == (0.09, False)
    assert row.extra["images"] == (5 + 1) * 20 * 32
    assert row.extra["valid_accuracy"] == dict(row.extra["grid"])[0.09]  # the pilot was as long
    assert len(list((tmp_path / "pilots").glob("*.json"))) == 1
    assert any("learning rates of dense on digits: 0.003 " in line for line in said)


def test_rates_that_diverge_bound_the_grid_and_a_capped_one_says_so(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def train(cell: Cell, rate: float, steps: int, **_: Any) -> Any:
        if rate > 0.5:
            raise NotFinite("no number")
        return train_module.Trained(torch.nn.Identity(), rate, steps, 10, 1.0, "none")  # type: ignore[arg-type]

    monkeypatch.setattr(train_module, "train_end_to_end", train)
    pilot = train_module.validated_rate(cell(tmp_path, settings(dense=DenseSettings(lrs=(0.03, 0.1)))))
    assert pilot.grid.path == ((0.03, 0.03), (0.1, 0.1), (0.3, 0.3), (0.9, None))
    assert (pilot.rate, pilot.grid.edge, pilot.images) == (0.3, False, 30)
    again = train_module.validated_rate(cell(tmp_path, settings(dense=DenseSettings(lrs=(0.03, 0.1)))))
    assert again == pilot
    said: list[str] = []
    here = cell(tmp_path, settings(dense=DenseSettings(lrs=(1e-5, 2e-5))))
    capped = train_module.validated_rate(replace(here, machine=replace(here.machine, notice=said.append)))
    assert capped.grid.edge
    assert "still at the edge" in said[0]
