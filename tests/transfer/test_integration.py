"""Real tickets on real tasks: what `nets`, `data` and `tickets` promise, heads rely on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ult_lightning import Mask, MotherSpec, TaskModel, Ticket, load_task
from ult_lightning.data import Task
from ult_lightning.heads import HEADS
from ult_lightning.nets import (
    apply_subnetwork,
    as_arrays,
    build_mother,
    constants,
    estimate_statistics,
    fingerprint,
    maskable,
    statistics,
)
from ult_lightning.tickets import InputSpec
from ult_lightning.transfer import transfer


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("data")
    return load_task("digits", seed=0, data_dir=folder, cache_dir=folder)


def random_ticket(task: Task, **options: object) -> Ticket:
    spec = MotherSpec("conv2", {"width": 0.125}, seed=3, input=InputSpec(**options))  # type: ignore[arg-type]
    mother = build_mother(spec)
    rng = np.random.default_rng(0)
    mask = Mask({name: rng.random(tuple(p.shape)) < 0.5 for name, p in maskable(mother.body).items()})
    whole, fixed = fingerprint(mother.body), as_arrays(constants(mother.body))
    apply_subnetwork(mother.body, mask)
    images = task.batch("train", torch.arange(200), range=spec.input.range)[0]  # type: ignore[arg-type]
    estimate_statistics(mother, [images])
    return Ticket(spec, mask, as_arrays(statistics(mother.body)), whole, constants=fixed)


@pytest.mark.parametrize("options", [{}, {"range": "unit"}, {"adapter": "pool8"}])
def test_digits_are_read_by_a_random_ticket_and_a_ridge_head(digits: Task, options: dict[str, str]) -> None:
    ticket = random_ticket(digits, **options)
    result = transfer(ticket.network(), digits)  # type: ignore[arg-type]
    assert result.accuracy > 0.9
    assert result.n_test == len(digits.test)
    assert result.fingerprint_after == ticket.network().fingerprint()  # type: ignore[operator]


@pytest.mark.parametrize("head", HEADS.names())
def test_every_head_serves_a_saved_task_model(digits: Task, head: str, tmp_path: Path) -> None:
    ticket = random_ticket(digits)
    options = {"epochs": 3} if head == "sgd" else None
    result = transfer(ticket.network(), digits, head=head, options=options, keep_predictions=True)  # type: ignore[arg-type]
    assert result.accuracy > 0.9
    path = TaskModel(ticket, result.fit.head, digits.describe()).save(tmp_path / "digits")
    logits = TaskModel.load(path)(digits.test.images)
    assert result.predictions is not None
    agree = (logits.argmax(1) == result.predictions).double().mean()
    assert agree >= 0.995
    small = torch.from_numpy(_eight_by_eight()).unsqueeze(1)
    assert TaskModel.load(path)(small).shape == (len(small), 10)


@pytest.mark.parametrize("shots", [1, 5])
def test_few_shots_take_the_dual_form(digits: Task, shots: int) -> None:
    few = digits.few_shot(shots, draw=0)
    result = transfer(random_ticket(digits).network(), few)  # type: ignore[arg-type]
    assert result.fit.hyper["form"] == "dual"
    assert result.fit.n_train == 10 * shots
    assert result.n_test == len(digits.test)
    assert result.accuracy > 0.3


def _eight_by_eight() -> np.ndarray:
    from sklearn.datasets import load_digits

    return (load_digits().images[:3] / 16).astype(np.float32)
