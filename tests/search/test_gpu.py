"""A search on a GPU: it never waits for the device within a step, and its ticket is the same network on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ult_lightning import find_ticket, load_task
from ult_lightning.data import Task
from ult_lightning.search import METHODS, OBJECTIVES, Learner, MaskSearch, SearchSettings
from ult_lightning.tickets import MotherSpec, Ticket
from ult_lightning.transfer import transfer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore::Warning"),
]

SMALL = MotherSpec("conv2", options={"width": 0.25})
LEARNERS = [name for name in METHODS if issubclass(METHODS.get(name), Learner)]


@pytest.fixture
def waiting_refused() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("objective", OBJECTIVES.names())
@pytest.mark.parametrize("method", LEARNERS)
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.usefixtures("waiting_refused")
def test_a_step_never_waits_for_the_device(method: str, objective: str, scope: str) -> None:
    task = load_task({"name": "digits", "train_limit": 200}, seed=0).to("cuda")
    settings = SearchSettings(method=method, method_options={"scope": scope}, objective=objective, batch_size=32)
    search = MaskSearch(SMALL, {task.id: task.classes}, settings, steps=6).to("cuda")
    optimizer = search.configure_optimizers()["optimizer"]
    stream = Task.stream([task], batch_size=32, seed=0)
    batches = [stream.step(number) for number in range(4)]
    for index, batch in enumerate(batches):
        if index == 1:  # the first step may allocate and choose kernels
            torch.cuda.set_sync_debug_mode("error")
        loss = search.training_step(batch, index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with pytest.raises(RuntimeError, match="synchroniz"):
        float(loss.detach())


@pytest.mark.parametrize("method", METHODS)
def test_a_ticket_of_a_gpu_is_the_same_network_on_a_cpu(method: str, tmp_path: Path) -> None:
    task = load_task({"name": "digits", "train_limit": 400}, seed=0)
    settings = SearchSettings(method=method, batch_size=32, trainer={"max_steps": 30, "precision": 32})
    searched = find_ticket([task], SMALL, settings, device="cuda", progress=False)
    searched.save(tmp_path / "ticket.safetensors")
    ticket = Ticket.load(tmp_path / "ticket.safetensors")
    assert ticket.mask == searched.mask
    here = transfer(ticket.network(), task, precision="32", device="cpu")
    there = transfer(searched.network().to("cuda"), task, precision="32", device="cuda")
    assert here.fingerprint_before == here.fingerprint_after == there.fingerprint_after
    assert abs(here.accuracy - there.accuracy) < 0.02
