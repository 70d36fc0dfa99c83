from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from ult_lightning.data import DataError, TaskBatch, TaskBatches, TaskDataModule, TaskStream


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

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.001)


def _trainer(tmp_path: Path, **options: Any) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", devices=1, default_root_dir=tmp_path, **{**quiet, **options})


@pytest.mark.filterwarnings("ignore")  # Lightning's advice about loaders, loggers and progress
@pytest.mark.parametrize("mixing", ["alternate", "joint"])
def test_a_trainer_fits_and_tests(tmp_path: Path, mixing: Any) -> None:
    module = TaskDataModule(
        ["digits:0-4", "digits:parity"],
        batch_size=64,
        mixing=mixing,
        seed=0,
        data_dir=tmp_path,
        steps_per_epoch=6,
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

    module = TaskDataModule(
        ["digits"], batch_size=32, seed=7, data_dir=tmp_path, steps_per_epoch=3, augment=True
    )
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
    module = TaskDataModule([task], seed=0)
    module.prepare_data()
    module.setup("fit")
    assert module.tasks[0] is task


@pytest.mark.parametrize("tasks", [[], "digits", {"name": "digits"}])
def test_what_is_no_list_of_tasks(tasks: Any) -> None:
    with pytest.raises(DataError, match="wanted a list of at least one task; such as"):
        TaskDataModule(tasks, seed=0)


def test_several_devices_are_refused(made_task: Any) -> None:
    class Wide:
        world_size = 2

    module = TaskDataModule([made_task()], seed=0)
    module.trainer = Wide()  # type: ignore[assignment]
    with pytest.raises(DataError, match=r"devices: got 2, wanted one process.*; use Trainer"):
        module.setup()
