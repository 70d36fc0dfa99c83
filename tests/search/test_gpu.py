"""A search on a GPU: it never waits for the device within a step, and its ticket is the same network on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer

from ult_lightning import find_ticket, load_task
from ult_lightning.compare import EndToEnd
from ult_lightning.data import Task, TaskDataModule
from ult_lightning.search import METHODS, OBJECTIVES, GraphWarning, Learner, MaskSearch, SearchSettings
from ult_lightning.search._training_step import StepGraph
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


@pytest.mark.parametrize("augment", ["none", "shift", "crop_flip"])
@pytest.mark.usefixtures("waiting_refused")
def test_no_batch_waits_for_the_device(augment: str) -> None:
    task = load_task({"name": "digits", "train_limit": 200}, seed=0).to("cuda")
    stream = Task.stream([task], batch_size=32, seed=0, augment=augment)
    stream.step(0)
    torch.cuda.set_sync_debug_mode("error")
    for number in range(1, 5):  # within one pass, whose order is copied once
        stream.step(number)


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


@pytest.mark.parametrize("mixing", ["alternate", "joint"])
@pytest.mark.parametrize("method", LEARNERS)
def test_replayed_steps_give_the_masks_of_eager_ones(method: str, mixing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [load_task({"name": name, "train_limit": 400}, seed=0) for name in ("digits", "mnist5k")]
    settings = SearchSettings(
        method=method,
        batch_size=32,
        mixing=mixing,  # type: ignore[arg-type]
        trainer={"max_epochs": 2, "precision": 32},
    )
    where: dict[str, object] = {"device": "cuda", "trainer": {"deterministic": "warn"}, "progress": False}
    replays: list[int] = []
    replay = StepGraph.replay
    monkeypatch.setattr(StepGraph, "replay", lambda graph, batch: [replays.append(1), replay(graph, batch)][1])
    replayed = find_ticket(tasks, SMALL, settings, **where)
    assert len(replays) > 10
    monkeypatch.setattr(MaskSearch, "cuda_graph", False)
    eager = find_ticket(tasks, SMALL, settings, **where)
    same = sum(int((replayed.mask[name] == eager.mask[name]).sum()) for name in eager.mask.names)
    assert same >= 0.999 * eager.mask.total


def test_gradients_are_clipped_on_a_gpu() -> None:
    task = load_task({"name": "digits", "train_limit": 200}, seed=0)
    settings = SearchSettings(batch_size=32, trainer={"max_steps": 12, "gradient_clip_val": 0.5, "precision": "bf16"})
    assert find_ticket([task], SMALL, settings, device="cuda", progress=False).provenance["steps"] == 12


def test_a_module_that_reads_values_is_not_captured_and_still_trains() -> None:
    class Reads(EndToEnd):
        def step_loss(self, batch: object) -> torch.Tensor:
            loss = super().step_loss(batch)
            return loss if float(loss) > -1 else -loss

    model = Reads(SMALL, 10, lr=0.05, steps=8)
    trainer = Trainer(
        max_steps=8, accelerator="gpu", devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    with pytest.warns(GraphWarning, match="runs eagerly"):
        trainer.fit(model, datamodule=TaskDataModule([load_task("digits", seed=0).to("cuda")], batch_size=32, seed=0))
    assert trainer.global_step == 8
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
