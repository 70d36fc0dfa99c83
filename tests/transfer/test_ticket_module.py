"""TicketModule as a LightningModule that a stranger uses: with a Trainer of their own and the exported DataModule."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from tests.search.host_reads import HostReads
from ult_lightning import Mask, MotherSpec, TaskModel, Ticket, TicketError, TicketModule, UltError, load_task
from ult_lightning.data import Task, TaskDataModule
from ult_lightning.heads import FrozenError, TaskModelError
from ult_lightning.nets import as_arrays, build_mother, fingerprint, maskable, statistics
from ult_lightning.tickets import InputSpec
from ult_lightning.transfer import transfer

pytestmark = pytest.mark.filterwarnings("ignore::Warning")  # advice of Lightning's
CLASSES = {"ours": 10, "theirs": 10}


@pytest.fixture(scope="module")
def ticket() -> Ticket:
    return make_ticket()


def make_ticket(input: InputSpec | None = None) -> Ticket:
    mother = build_mother(MotherSpec("conv2", {"width": 0.125}, seed=3, input=input or InputSpec()))
    rng = np.random.default_rng(0)
    mask = Mask({name: rng.random(tuple(p.shape)) < 0.5 for name, p in maskable(mother.body).items()})
    return Ticket(mother.spec, mask, as_arrays(statistics(mother.body)), fingerprint(mother.body))


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [load_task({"name": name, "train_limit": 400}, seed=0) for name in ("digits", "mnist5k")]


def data_of(tasks: list[Task], **options: Any) -> TaskDataModule:
    return TaskDataModule(tasks, **{"batch_size": 32, "seed": 0, **options})


def trainer(folder: Path, **arguments: Any) -> pl.Trainer:
    usual = {"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
             "enable_model_summary": False, "default_root_dir": folder}  # fmt: skip
    return pl.Trainer(**{**usual, **arguments})


def accuracies_of(loop: pl.Trainer, module: TicketModule, data: TaskDataModule) -> dict[str, float]:
    results = loop.test(module, datamodule=data, verbose=False)
    return {key.partition("/dataloader")[0]: value for one in results for key, value in one.items()}


@pytest.mark.parametrize("mixing", ["alternate", "joint"])
def test_it_fits_tests_predicts_and_loads_from_its_checkpoint(
    ticket: Ticket,
    tasks: list[Task],
    mixing: str,
    tmp_path: Path,
) -> None:
    data, module = data_of(tasks, mixing=mixing), TicketModule(ticket, CLASSES)
    before = module.network.fingerprint()
    loop = trainer(tmp_path, num_sanity_val_steps=2, max_epochs=6)
    loop.fit(module, datamodule=data)
    assert loop.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)
    assert float(loop.callback_metrics["val/ours"]) > 0.8
    result = accuracies_of(loop, module, data)
    assert set(result) == {"test/mean", "test/ours", "test/theirs"}
    for name, task in zip(CLASSES, tasks, strict=True):
        ridge = transfer(ticket.network(), task).accuracy  # type: ignore[arg-type]
        assert result[f"test/{name}"] == pytest.approx(ridge, abs=0.05)
    assert result["test/mean"] == pytest.approx((result["test/ours"] + result["test/theirs"]) / 2)

    loop.save_checkpoint(tmp_path / "mine.ckpt")
    state = torch.load(tmp_path / "mine.ckpt", weights_only=True)["state_dict"]
    assert state
    assert not any(key.startswith("network") for key in state)
    again = TicketModule.load_from_checkpoint(tmp_path / "mine.ckpt", map_location="cpu", weights_only=True)
    assert again.network.fingerprint() == before
    assert again.options == module.options
    assert again.descriptions == module.descriptions != {}
    x = torch.randn(3, 3, 32, 32)
    assert torch.equal(again(x, "theirs"), module.eval()(x, 1))
    first, second = trainer(tmp_path).predict(again, datamodule=data)
    assert second[0].shape[1] == 10
    right = (torch.cat(first).argmax(1) == tasks[0].test.labels).float().mean()
    assert float(right) == pytest.approx(result["test/ours"])
    images = tasks[1].test.images[:50]
    assert torch.equal(again.task_model("theirs")(images).argmax(1), torch.cat(second)[:50].argmax(1))


def test_a_fit_that_goes_on_is_the_fit_that_was_not_interrupted(
    ticket: Ticket,
    tasks: list[Task],
    tmp_path: Path,
) -> None:
    whole = TicketModule(ticket, CLASSES, schedule="constant")
    trainer(tmp_path, max_epochs=2).fit(whole, datamodule=data_of(tasks))
    half, rest = (TicketModule(ticket, CLASSES, schedule="constant") for _ in range(2))
    loop = trainer(tmp_path, max_epochs=1)
    loop.fit(half, datamodule=data_of(tasks))
    loop.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, max_epochs=2).fit(rest, datamodule=data_of(tasks), ckpt_path=tmp_path / "half.ckpt")
    for name in CLASSES:
        assert torch.equal(rest.head(name).weight, whole.head(name).weight)
        assert not torch.equal(half.head(name).weight, whole.head(name).weight)


@pytest.mark.parametrize("mixing", ["alternate", "joint"])
def test_no_step_of_training_makes_the_host_wait(
    ticket: Ticket,
    tasks: list[Task],
    mixing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[list[str]] = []
    step = TicketModule.training_step

    def counted(self: TicketModule, batch: Any, batch_idx: int) -> torch.Tensor:
        with HostReads() as reads:
            loss = step(self, batch, batch_idx)
        with HostReads() as control:
            float(loss.detach())
        waits.append(reads.names)
        assert control.count == 1
        return loss

    monkeypatch.setattr(TicketModule, "training_step", counted)
    module = TicketModule(ticket, CLASSES)
    trainer(tmp_path, max_epochs=1).fit(module, datamodule=data_of(tasks, mixing=mixing, validation=False))
    assert waits
    assert waits == [[]] * len(waits)


def test_the_network_is_frozen_whatever_is_done_to_it(ticket: Ticket, tasks: list[Task], tmp_path: Path) -> None:
    module = TicketModule(ticket, CLASSES, schedule="constant")
    module.train()
    assert not any(part.training for part in module.network.modules())
    optimizer = module.configure_optimizers()["optimizer"]  # type: ignore[index,call-overload]
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in module.heads.parameters()}
    module(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in module.network.parameters())
    statistic = next(b for b in module.network.buffers() if b.is_floating_point())
    statistic.add_(1.0)
    loop = trainer(tmp_path, max_steps=2, max_epochs=-1)
    with pytest.raises(FrozenError, match=r"The network changed: fingerprint \w{16} before, \w{16} after"):
        loop.fit(module, datamodule=data_of(tasks, validation=False))
    with pytest.raises(FrozenError):
        trainer(tmp_path).test(module, datamodule=data_of(tasks), verbose=False)
    with pytest.raises(FrozenError):
        module.fit_ridge(data_of(tasks))


def test_ridge_heads_are_those_of_transfer(ticket: Ticket, tasks: list[Task], tmp_path: Path) -> None:
    module = TicketModule(ticket, CLASSES)
    for lambdas in (None, [10.0]):
        accuracies = module.fit_ridge(data_of(tasks), lambdas=lambdas)
        assert list(accuracies) == list(CLASSES)
        for name, task in zip(CLASSES, tasks, strict=True):
            options = None if lambdas is None else {"lambdas": lambdas}
            result = transfer(ticket.network(), task, options=options)  # type: ignore[arg-type]
            head = module.head(name)
            assert torch.equal(head.weight, result.fit.head.weight)
            assert torch.equal(head.bias, result.fit.head.bias)
            assert accuracies[name] == result.fit.valid_accuracy
    result = accuracies_of(trainer(tmp_path), module, data_of(tasks))
    assert result["test/theirs"] == pytest.approx(transfer(ticket.network(), tasks[1], options={"lambdas": [10.0]}).accuracy)  # type: ignore[arg-type]  # fmt: skip


def test_training_goes_on_from_the_function_that_ridge_found(ticket: Ticket, tasks: list[Task], tmp_path: Path) -> None:
    """Standardising a head's features by its first batch leaves what it computes."""
    module = TicketModule(ticket, CLASSES, lr=1e-12, schedule="constant")
    module.fit_ridge(data_of(tasks))
    before = [module.head(name) for name in CLASSES]
    trainer(tmp_path, max_steps=4, max_epochs=-1).fit(module, datamodule=data_of(tasks, validation=False))
    x = module.network(tasks[0].batch("test", torch.arange(20))[0])
    for head, name in zip(before, CLASSES, strict=True):
        assert bool(module.heads[list(CLASSES).index(name)].standardised)
        torch.testing.assert_close(module.head(name)(x), head(x), atol=1e-4, rtol=1e-4)


def test_a_saved_module_is_the_same_module(ticket: Ticket, tasks: list[Task], tmp_path: Path) -> None:
    module = TicketModule(ticket, CLASSES)
    with pytest.raises(UltError, match="The normalisation of 'ours' is not known yet; fit or test"):
        module.save(tmp_path / "both.model")
    module.fit_ridge(data_of(tasks))
    path = module.save(tmp_path / "both.model")
    again, images = TicketModule.load(path), tasks[0].test.images[:5]
    for name in CLASSES:
        assert torch.equal(again.task_model(name)(images), module.task_model(name)(images))
    assert again.save(tmp_path / "twice.model").read_bytes() == path.read_bytes()
    with pytest.raises(TaskModelError, match=r"both.model holds 2 heads \(ours, theirs\); read it with"):
        TaskModel.load(path)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(TaskModelError, match="is damaged"):
        TicketModule.load(path)


def test_one_head_is_a_task_model_and_back(ticket: Ticket, tasks: list[Task], tmp_path: Path) -> None:
    module, images = TicketModule(ticket, {"mine": 10}), tasks[0].test.images[:5]
    module.fit_ridge(data_of(tasks[:1]))
    path = module.save(tmp_path / "one.model")
    assert TicketModule.load(path).names == ["mine"]
    model = TaskModel.load(path)
    assert torch.equal(model(images), module.task_model("mine")(images))
    again = TicketModule.load(model.save(tmp_path / "back.model"))
    assert again.names == [tasks[0].id]
    assert torch.equal(again.task_model(0)(images), model(images))


def test_a_mother_of_your_own_comes_back_by_its_factory(tasks: list[Task], tmp_path: Path) -> None:
    def factory() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=4, bias=False), torch.nn.Flatten())

    mother = build_mother(MotherSpec("module", norm="none", seed=1), factory)
    whole = Mask({name: np.ones(tuple(p.shape), bool) for name, p in maskable(mother.body).items()})
    own = Ticket(mother.spec, whole, {}, fingerprint(mother.body), module=factory)
    module = TicketModule(own, CLASSES)
    module.fit_ridge(data_of(tasks))
    loop = trainer(tmp_path)
    accuracies = accuracies_of(loop, module, data_of(tasks))
    loop.save_checkpoint(tmp_path / "own.ckpt")
    path = module.save(tmp_path / "own.model")
    for again in (
        TicketModule.load_from_checkpoint(tmp_path / "own.ckpt", module=factory),
        TicketModule.load(path, module=factory),
    ):
        assert accuracies_of(trainer(tmp_path), again, data_of(tasks)) == accuracies
        assert torch.equal(again.task_model("ours").weight, module.task_model("ours").weight)
    with pytest.raises(TicketError, match="module=your_factory"):
        TicketModule.load(path)


def test_data_of_other_tasks_are_refused(ticket: Ticket, tasks: list[Task], tmp_path: Path) -> None:
    few = load_task({"name": "digits", "labels": "0-4"}, seed=0)
    module = TicketModule(ticket, CLASSES)
    for wrong in (tasks[:1], [tasks[0], few]):
        with pytest.raises(UltError, match=r"datamodule: got .* wanted tasks of \[10, 10\] classes"):
            module.fit_ridge(data_of(wrong))
        with pytest.raises(UltError, match=r"datamodule: got .* wanted tasks of \[10, 10\] classes"):
            trainer(tmp_path).fit(module, datamodule=data_of(wrong))
    with pytest.raises(UltError, match=r"datamodule.range: got 'unit', wanted standardized; the ticket's"):
        trainer(tmp_path).test(module, datamodule=data_of(tasks, range="unit"), verbose=False)
    unit = TicketModule(make_ticket(InputSpec(range="unit")), CLASSES)
    assert min(unit.fit_ridge(data_of(tasks, range="unit")).values()) > 0.8


@pytest.mark.parametrize(
    ("tasks", "options", "message"),
    [
        ({}, {}, "tasks: got {}, wanted at least one task"),
        (CLASSES, {"lr": 0}, "lr: got 0, wanted a number above 0"),
        (CLASSES, {"schedule": "cosin"}, "schedule: got 'cosin'.*did you mean cosine"),
    ],
)
def test_what_it_does_not_take_is_one_sentence(
    ticket: Ticket,
    tasks: dict[str, int],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UltError, match=message):
        TicketModule(ticket, tasks, **options)


def test_a_wrong_task_gets_the_nearest_name(ticket: Ticket) -> None:
    with pytest.raises(UltError, match="task: got 'our', wanted one of ours, theirs; did you mean ours"):
        TicketModule(ticket, CLASSES)(torch.zeros(1, 3, 32, 32), "our")


def test_a_loss_that_is_not_finite_ends_the_fit(ticket: Ticket, tasks: list[Task], tmp_path: Path) -> None:
    module = TicketModule(ticket, CLASSES, lr=1e38)
    with pytest.raises(UltError, match=r"The loss is not finite after step \d+; try a smaller lr"):
        trainer(tmp_path).fit(module, datamodule=data_of(tasks, validation=False))


def test_the_example_of_its_docstring_runs(
    ticket: Ticket,
    tasks: list[Task],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticket.save(tmp_path / "my.ticket")
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(TicketModule) or ""
    lines = text.partition("Example::\n")[2].partition("\nRaises")[0]
    code = inspect.cleandoc(lines).replace("max_epochs=5", "max_steps=2, accelerator='cpu', logger=False")
    names: dict[str, Any] = {"images": tasks[0].test.images[:3]}
    exec(code, names)
    assert names["logits"].shape == (3, 10)
