"""The LightningModule that trains a network end to end, as a stranger uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from ult_lightning.base._trainer_arguments import quiet_lightning
from ult_lightning.compare import EndToEnd
from ult_lightning.compare._end_to_end import NotFinite
from ult_lightning.data import TaskSpec, load_task
from ult_lightning.search import SearchSettings, find_ticket
from ult_lightning.tickets import MotherSpec, Ticket

SPEC = MotherSpec("conv2", options={"width": 0.125})
PLAIN = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def loader(n: int = 24) -> DataLoader[Any]:
    """Images whose class is their mean."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    x = torch.randn(n, 3, 32, 32, generator=generator) * 0.1 + y.view(-1, 1, 1, 1).float()
    return DataLoader(TensorDataset(x, y), batch_size=8)


def trainer(**more: Any) -> Trainer:
    return Trainer(**{**PLAIN, "enable_checkpointing": False, "max_epochs": 4, **more})


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with quiet_lightning():
        yield


@pytest.fixture(scope="module")
def ticket() -> Ticket:
    source = load_task(TaskSpec.parse({"name": "digits", "train_limit": 100}), seed=0)
    return find_ticket([source], SPEC, SearchSettings(trainer={"max_steps": 2}, batch_size=32), progress=False)


def test_it_trains_validates_tests_and_predicts_on_plain_loaders() -> None:
    model = EndToEnd(SPEC, 3, lr=0.1, steps=60)
    running = trainer(max_epochs=20)
    running.fit(model, loader(), loader())
    assert running.callback_metrics["val/accuracy"] == 1.0
    assert running.callback_metrics["train/loss"] < 1.0
    (tested,) = running.test(model, loader(), verbose=False)
    assert tested == {"test/accuracy": 1.0}
    logits = torch.cat(running.predict(model, loader()))  # type: ignore[arg-type]
    assert logits.shape == (24, 3)
    assert logits.argmax(1).tolist() == [place % 3 for place in range(24)]


def test_it_takes_the_streams_of_data() -> None:
    task = load_task(TaskSpec.parse({"name": "digits", "train_limit": 100}), seed=0)
    model = EndToEnd(SPEC, 10, steps=6)
    running = trainer(max_epochs=1)
    running.fit(model, task.stream([task], batch_size=32, seed=0), task.ordered("valid"))
    assert 0 < running.callback_metrics["val/accuracy"] < 1
    images = torch.zeros(5, 3, 32, 32)
    assert torch.equal(model.eval().predict_step(images, 0), model(images))


def test_a_checkpoint_holds_all_of_it(tmp_path: Path, ticket: Ticket) -> None:
    """The hyper-parameters are plain values: torch reads the file without running code."""
    for model in (EndToEnd(SPEC.to_dict(), 3, lr=0.2, seed=4), EndToEnd.from_ticket(ticket, 3, lr=0.2)):
        running = trainer(max_epochs=1)
        running.fit(model, loader())
        running.save_checkpoint(tmp_path / "m.ckpt")
        torch.load(tmp_path / "m.ckpt", weights_only=True)
        again = EndToEnd.load_from_checkpoint(tmp_path / "m.ckpt", map_location="cpu")
        assert dict(again.hparams) == dict(model.hparams)
        assert again.hparams["mother"] == SPEC.to_dict()
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name
        assert len(again.masks) == len(model.masks)


def test_pruned_weights_stay_at_zero(ticket: Ticket) -> None:
    model = EndToEnd.from_ticket(ticket, 3)
    start = {name: p.detach().clone() for name, p in model.mother.body.named_parameters()}
    trainer(max_epochs=2).fit(model, loader())
    moved = dict(model.mother.body.named_parameters())
    assert len(ticket.mask.names) > 1
    for name in ticket.mask.names:
        keep = torch.from_numpy(ticket.mask[name].copy())
        assert torch.equal(moved[name].detach()[~keep], torch.zeros(int((~keep).sum())))
        assert not torch.equal(moved[name], start[name])


class NoWaiting(TorchDispatchMode):
    """Refuses to bring a number from the device to the host: item(), bool(), float()."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(func), func
        assert "is_nonzero" not in str(func), func
        return func(*args, **(kwargs or {}))


class Watched(EndToEnd):
    """Its training step may not wait for the device."""

    watched = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        with NoWaiting():
            loss = super().training_step(batch, batch_idx)
        self.watched += 1
        return loss


def test_a_training_step_does_not_wait_for_the_device() -> None:
    with NoWaiting(), pytest.raises(AssertionError):
        torch.ones(()).item()
    model = Watched(SPEC, 3, steps=6)
    trainer(max_epochs=2).fit(model, loader())
    assert model.watched == 6


@pytest.mark.parametrize("limits", [{"max_epochs": 1}, {"max_steps": 2, "max_epochs": 5}])
def test_a_loss_that_is_not_finite_ends_the_run(limits: dict[str, int]) -> None:
    """At the end of an epoch, and where the steps end inside one."""
    model = EndToEnd(MotherSpec("conv2", options={"width": 0.125}, norm="none"), 3, lr=1e30, schedule="constant")
    with pytest.raises(NotFinite, match=r"not finite at lr 1e\+30; give a smaller lr"):
        trainer(**limits).fit(model, loader())


def test_a_run_that_diverged_ends_before_its_epoch() -> None:
    model = EndToEnd(MotherSpec("conv2", options={"width": 0.125}, norm="none"), 3, lr=1e30, schedule="constant")
    running = trainer(max_epochs=1)
    with pytest.raises(NotFinite):
        running.fit(model, loader(1200))
    assert running.global_step == 49
