from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from ult_lightning.data import DataError, TaskBatch, TaskBatches, TaskDataModule, TaskStream

from .layouts import write_folder


class Linear(LightningModule):
    """One linear head per task; notes what it was given."""

    def __init__(self, classes: list[int]) -> None:
        super().__init__()
        self.heads = torch.nn.ModuleList([torch.nn.Linear(3072, k) for k in classes])
        for weight in self.heads.parameters():
            torch.nn.init.zeros_(weight)
        self.seen: list[tuple[int, int]] = []
        self.right = torch.zeros(len(classes))
        self.count = torch.zeros(len(classes))

    def _scores(self, batch: TaskBatch) -> torch.Tensor:
        return self.heads[batch.task](batch.x.flatten(1))

    def training_step(self, batches: list[TaskBatch]) -> torch.Tensor:
        self.seen += [(self.current_epoch, batch.task) for batch in batches]
        return torch.stack([torch.nn.functional.cross_entropy(self._scores(b), b.y) for b in batches]).mean()

    def _count(self, batch: TaskBatch) -> None:
        self.right[batch.task] += (self._scores(batch).argmax(1) == batch.y).sum()
        self.count[batch.task] += len(batch.y)

    def validation_step(self, batch: TaskBatch, index: int, dataloader_idx: int = 0) -> None:
        self._count(batch)

    def test_step(self, batch: TaskBatch, index: int, dataloader_idx: int = 0) -> None:
        self._count(batch)

    def predict_step(self, batch: TaskBatch, index: int, dataloader_idx: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        return self._scores(batch), batch.y

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.001)


def _trainer(tmp_path: Path, **options: Any) -> Trainer:
    quiet = {"devices": 1, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", default_root_dir=tmp_path, **{**quiet, **options})


@pytest.mark.filterwarnings("ignore")  # Lightning's advice about loaders, loggers and progress
@pytest.mark.parametrize("mixing", ["alternate", "joint"])
def test_a_trainer_fits_and_tests(tmp_path: Path, mixing: Any) -> None:
    module = TaskDataModule(
        ["digits:0-4", "digits:parity"], batch_size=64, mixing=mixing, seed=0, data_dir=tmp_path, steps_per_epoch=6
    )
    trainer, model = _trainer(tmp_path, max_epochs=2, num_sanity_val_steps=0), Linear([5, 2])
    trainer.fit(model, datamodule=module)
    turns = [0, 1] * 6
    assert [task for _, task in model.seen] == (turns if mixing == "alternate" else turns * 2)
    assert {epoch for epoch, _ in model.seen} == {0, 1}
    sizes = [task.sizes for task in module.tasks]
    assert model.count.tolist() == [2 * size["valid"] for size in sizes]
    model.right.zero_(), model.count.zero_()
    trainer.test(model, datamodule=module, verbose=False)
    assert model.count.tolist() == [size["test"] for size in sizes]
    assert model.right[0] / model.count[0] > 0.8


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_sets_the_epoch(tmp_path: Path) -> None:
    """The batches of the second epoch are those of the stream's epoch 1."""
    given: list[torch.Tensor] = []

    class Noting(Linear):
        def training_step(self, batches: list[TaskBatch]) -> torch.Tensor:
            given.append(batches[0].x.clone())
            return super().training_step(batches)

    module = TaskDataModule(["digits"], batch_size=32, seed=7, data_dir=tmp_path, steps_per_epoch=3, augment=True)
    trainer = _trainer(tmp_path, max_epochs=2, limit_val_batches=0)
    trainer.fit(Noting([10]), datamodule=module)
    stream = TaskStream(module.tasks, batch_size=32, seed=7, steps_per_epoch=3, augment=True)
    wanted = [stream.step(step)[0].x for step in range(6)]
    assert len(given) == 6
    assert all(torch.equal(one, two) for one, two in zip(given, wanted, strict=True))


def test_loaders_without_a_trainer(tmp_path: Path) -> None:
    module = TaskDataModule(["digits", "digits:0+1"], seed=0, data_dir=tmp_path, eval_batch_size=100)
    module.prepare_data()
    module.setup()
    assert isinstance(module.train_dataloader(), TaskStream)
    for loaders, split in ((module.val_dataloader(), "valid"), (module.test_dataloader(), "test")):
        assert [type(loader) for loader in loaders] == [TaskBatches, TaskBatches]
        assert [sum(len(b.y) for b in loader) for loader in loaders] == [t.sizes[split] for t in module.tasks]
        assert [next(iter(loader)).task for loader in loaders] == [0, 1]
    tasks = module.tasks
    module.setup()
    assert all(one is two for one, two in zip(module.tasks, tasks, strict=True))


def test_tasks_that_are_loaded_already_are_taken_as_they_are(made_task: Any) -> None:
    task = made_task(40)
    module = task.module([task], seed=0)
    module.prepare_data()
    module.setup("fit")
    assert module.tasks[0] is task


@pytest.mark.parametrize("tasks", [[], "digits", {"name": "digits"}])
def test_what_is_no_list_of_tasks(tasks: Any) -> None:
    with pytest.raises(DataError, match="wanted a list of at least one task; such as"):
        TaskDataModule(tasks, seed=0)


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_validates_tests_and_predicts_without_a_fit(tmp_path: Path) -> None:
    module = TaskDataModule(["digits:0-4", "digits:parity"], seed=0, data_dir=tmp_path, eval_batch_size=100)
    model = Linear([5, 2])
    for run, split in (("validate", "valid"), ("test", "test")):
        model.count.zero_()
        getattr(_trainer(tmp_path), run)(model, datamodule=module, verbose=False)
        assert model.count.tolist() == [task.sizes[split] for task in module.tasks]
    predicted = _trainer(tmp_path).predict(model, datamodule=module)
    assert predicted is not None
    for loader, task in zip(predicted, module.tasks, strict=True):
        scores, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert torch.equal(labels, task.test.labels)
        assert scores.shape == (len(task.test), task.classes)


@pytest.mark.filterwarnings("ignore")
def test_one_module_serves_one_trainer_after_another(tmp_path: Path, made_task: Any) -> None:
    module = TaskDataModule([made_task(64)], batch_size=16, seed=0)
    first, second = Linear([2]), Linear([2])
    for model in (first, second):
        _trainer(tmp_path, max_epochs=1).fit(model, datamodule=module)
    assert torch.equal(first.heads[0].weight, second.heads[0].weight)


def test_a_module_has_nothing_to_save(made_task: Any) -> None:
    assert TaskDataModule([made_task()], seed=0).state_dict() == {}


def test_steps_per_epoch_are_known_as_soon_as_the_tasks_are(made_task: Any, tmp_path: Path) -> None:
    assert TaskDataModule([made_task(50), made_task(30)], batch_size=8, seed=0).steps_per_epoch == 10
    assert TaskDataModule([made_task(50)], batch_size=8, seed=0, steps_per_epoch=3).steps_per_epoch == 3
    module = TaskDataModule(["digits"], batch_size=100, seed=0, data_dir=tmp_path)
    with pytest.raises(DataError, match=r"The tasks are not loaded yet; call setup\(\) first"):
        _ = module.steps_per_epoch
    module.setup()
    assert module.steps_per_epoch == 13


@pytest.mark.parametrize("augment", [True, "none", "crop_flip"])
def test_the_policy_reaches_the_stream(made_task: Any, augment: Any) -> None:
    module = TaskDataModule([made_task(40)], batch_size=8, seed=3, augment=augment)
    module.setup()
    wanted = TaskStream(module.tasks, batch_size=8, seed=3, augment=augment)
    assert torch.equal(module.train_dataloader().step(2)[0].x, wanted.step(2)[0].x)


def test_what_should_be_known_is_said_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "birds")
    (tmp_path / "birds" / "test").rename(tmp_path / "birds" / "val")
    said: list[str] = []
    module = TaskDataModule([f"folder:{tmp_path / 'birds'}"], seed=0, data_dir=tmp_path, notice=said.append)
    module.prepare_data()
    module.setup()
    assert len(said) == 1
    assert "its validation part is the test split" in said[0]


class _Ranked:
    """As much of a Trainer as the module asks for."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.global_rank, self.world_size = rank, world_size
        self.strategy = self
        self.root_device = torch.device("cpu")


@pytest.mark.parametrize("mixing", ["alternate", "joint"])
@pytest.mark.parametrize("augment", [False, "shift", "crop_flip"])
def test_each_rank_trains_on_its_own_part_of_each_batch(made_task: Any, mixing: Any, augment: Any) -> None:
    tasks = [made_task(40), made_task(8)]
    whole = TaskStream(tasks, batch_size=16, mixing=mixing, seed=0, augment=augment)
    streams = []
    for rank in range(4):
        module = TaskDataModule(tasks, batch_size=16, mixing=mixing, seed=0, augment=augment)
        module.trainer = _Ranked(rank, 4)  # type: ignore[assignment]
        module.setup()
        streams.append(module.train_dataloader())
        assert len(streams[-1]) == len(whole)
        held_out = torch.cat([batch.y for batch in module.val_dataloader()[0]])
        assert torch.equal(held_out, tasks[0].valid.labels)  # every rank evaluates on all of it
    for step in range(6):
        parts = [stream.step(step) for stream in streams]
        for place, batch in enumerate(whole.step(step)):
            assert torch.equal(torch.cat([part[place].x for part in parts]), batch.x)
            assert torch.equal(torch.cat([part[place].y for part in parts]), batch.y)
            assert len({len(part[place].y) for part in parts}) == 1


@pytest.mark.parametrize(("n", "batch_size", "got"), [(40, 10, 10), (42, 64, 42)])
def test_batches_that_no_ranks_can_share_are_refused(made_task: Any, n: int, batch_size: int, got: int) -> None:
    module = TaskDataModule([made_task(n)], batch_size=batch_size, seed=0)
    module.trainer = _Ranked(0, 4)  # type: ignore[assignment]
    module.setup()
    with pytest.raises(DataError) as caught:
        module.train_dataloader()
    assert str(caught.value) == (
        f"batch_size: got 'batches of {got} images of made', wanted a multiple of 4, the number of devices; change "
        "batch_size or devices."
    )


@pytest.mark.filterwarnings("ignore")
def test_two_processes_give_the_weights_of_one(tmp_path: Path, made_task: Any) -> None:
    tasks, weights = [made_task(64), made_task(48, classes=3)], []
    for devices in (1, 2):
        model = Linear([2, 3])
        module = TaskDataModule(tasks, batch_size=16, mixing="joint", seed=0, augment="crop_flip")
        options = {"devices": devices, "strategy": "ddp_fork" if devices > 1 else "auto"}
        trainer = _trainer(tmp_path, max_epochs=2, num_sanity_val_steps=0, **options)
        trainer.fit(model, datamodule=module)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert weights[0].abs().max() > 0
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-4, atol=1e-6)
