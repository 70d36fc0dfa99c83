"""Steps that bring their own gradients give what Lightning's own steps give; CUDA graphs are stood in for by eager passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from ult_lightning import find_ticket, load_task
from ult_lightning.compare import EndToEnd
from ult_lightning.data import Task, TaskDataModule
from ult_lightning.nets import OWN, build_mother
from ult_lightning.search import METHODS, Learner, MaskSearch, SearchSettings, TrainingStep, _training_step
from ult_lightning.tickets import MotherSpec

SMALL = MotherSpec("conv2", options={"width": 0.125})
LEARNERS = [name for name in METHODS if issubclass(METHODS.get(name), Learner)]


class EagerGraph:
    """What a StepGraph does, without one."""

    replays = 0

    def __init__(self, module: TrainingStep, batch: Any) -> None:
        self.module, self.held = module, batch
        self.parameters = [p for p in module.parameters() if p.requires_grad]

    def replay(self, batch: Any) -> torch.Tensor:
        type(self).replays += 1
        assert tuple(_training_step._kind(batch)) == tuple(_training_step._kind(self.held))
        loss = _training_step._both_passes(self.module, batch)
        for parameter in self.module.parameters():  # a graph gives gradients to those that had them in its capture
            parameter.grad = parameter.grad if any(parameter is p for p in self.parameters) else None
        return loss


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> type[EagerGraph]:
    def warm_up(self: TrainingStep, batch: Any) -> torch.Tensor:
        self._has_gradients = True
        return _training_step._both_passes(self, batch)

    EagerGraph.replays = 0
    monkeypatch.setattr(TrainingStep, "_may_capture", lambda self: self.cuda_graph and self.step_is_static)
    monkeypatch.setattr(TrainingStep, "_warm_up", warm_up)
    monkeypatch.setattr(_training_step, "StepGraph", EagerGraph)
    return EagerGraph


def tasks() -> list[Task]:
    return [load_task({"name": name, "train_limit": 200}, seed=0) for name in ("digits", "mnist5k")]


@pytest.mark.parametrize("mixing", ["alternate", "joint"])
@pytest.mark.parametrize("method", LEARNERS)
def test_a_search_that_replays_its_steps_gives_the_same_ticket(
    method: str, mixing: str, graphs: type[EagerGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings(method=method, batch_size=32, mixing=mixing, trainer={"max_epochs": 2})  # type: ignore[arg-type]
    replayed = find_ticket(tasks(), SMALL, settings, progress=False)
    assert graphs.replays >= 8
    graphs.replays = 0
    monkeypatch.setattr(MaskSearch, "cuda_graph", False)
    plain = find_ticket(tasks(), SMALL, settings, progress=False)
    assert graphs.replays == 0
    assert replayed.mask == plain.mask
    assert replayed.provenance["validation"] == plain.provenance["validation"]


def test_training_that_replays_its_steps_gives_the_same_weights(graphs: type[EagerGraph], tmp_path: Any) -> None:
    def fitted(cuda_graph: bool) -> dict[str, torch.Tensor]:
        model = EndToEnd(SMALL, 10, lr=0.05, steps=12)
        model.cuda_graph = cuda_graph
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            gradient_clip_val=1.0,
            default_root_dir=tmp_path,
        )
        trainer.fit(model, datamodule=TaskDataModule(tasks()[:1], batch_size=32, seed=0))
        return model.state_dict()

    replayed = fitted(True)
    assert graphs.replays > 0
    for name, value in fitted(False).items():
        assert torch.equal(replayed[name], value), name


class Frees(Callback):
    """Trains the head alone for an epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.mother.requires_grad_(trainer.current_epoch > 0)


def test_parameters_that_are_freed_between_epochs_are_trained(graphs: type[EagerGraph]) -> None:
    model = EndToEnd(SMALL, 10, lr=0.05, schedule="constant")
    before = [p.detach().clone() for p in model.mother.parameters()]
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[Frees()],
    )
    trainer.fit(model, datamodule=TaskDataModule(tasks()[:1], batch_size=16, seed=0))
    assert graphs.replays > 0
    assert all(not torch.equal(a, b) for a, b in zip(before, model.mother.parameters(), strict=True))


def test_a_step_that_cannot_be_captured_runs_eagerly_and_says_so(
    graphs: type[EagerGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(module: TrainingStep, batch: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    settings = SearchSettings(batch_size=32, trainer={"max_steps": 8})
    monkeypatch.setattr(_training_step, "StepGraph", refused)
    with pytest.warns(
        _training_step.GraphWarning, match="runs eagerly: operation not permitted when stream is capturing$"
    ):
        eager = find_ticket(tasks()[:1], SMALL, settings, progress=False)
    monkeypatch.setattr(MaskSearch, "cuda_graph", False)
    assert find_ticket(tasks()[:1], SMALL, settings, progress=False).mask == eager.mask


def test_a_module_of_ones_own_and_a_method_that_changes_its_work_are_never_captured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = SearchSettings(batch_size=32)
    assert MaskSearch(SMALL, {"digits": 10}, settings).step_is_static
    own = MotherSpec(OWN)
    assert not MaskSearch(own, {"digits": 10}, settings, module=lambda: build_mother(SMALL).body).step_is_static
    monkeypatch.setattr(METHODS.get("edge_popup"), "step_is_static", False)
    assert not MaskSearch(SMALL, {"digits": 10}, settings).step_is_static


class Scaled(EndToEnd):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return 0.1 * super().training_step(batch, batch_idx)


class Zeroed(EndToEnd):
    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("kind", [Scaled, Zeroed])
def test_a_subclass_with_hooks_of_its_own_is_never_captured(kind: type[EndToEnd]) -> None:
    assert EndToEnd(SMALL, 10)._own_hooks
    assert not kind(SMALL, 10)._own_hooks


def test_a_fit_begins_without_what_an_interrupted_one_left() -> None:
    model = EndToEnd(SMALL, 10)
    model._has_gradients, model._graphs["old"] = True, object()  # type: ignore[assignment]
    trainer = Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    before = model.head.weight.detach().clone()
    trainer.fit(model, datamodule=TaskDataModule(tasks()[:1], batch_size=32, seed=0))
    assert not model._graphs
    assert not torch.equal(before, model.head.weight)


def test_batches_of_other_makings_are_of_no_kind() -> None:
    x = torch.zeros(2, 3)
    assert len(tuple(_training_step._kind([(x, x, 1)]))) == 3
    with pytest.raises(TypeError):
        tuple(_training_step._kind({"x": x}))
