"""MaskSearch as a LightningModule that a stranger uses: with a Trainer of their own and the exported DataModule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping

from tests.search.host_reads import HostReads
from ult_lightning import find_ticket, load_task
from ult_lightning.base import UltError
from ult_lightning.data import Task, TaskDataModule
from ult_lightning.search import METHODS, OBJECTIVES, Learner, MaskSearch, SearchSettings
from ult_lightning.tickets import MotherSpec

SMALL = MotherSpec("conv2", options={"width": 0.125})
FEW = SearchSettings(trainer={"max_steps": 6}, batch_size=32)
LEARNERS = [name for name in METHODS if issubclass(METHODS.get(name), Learner)]


def tasks() -> list[Task]:
    return [load_task({"name": name, "train_limit": 200}, seed=0) for name in ("digits", "mnist5k")]


def trainer(folder: object, **arguments: object) -> Trainer:
    usual = {"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
             "enable_model_summary": False, "default_root_dir": folder}  # fmt: skip
    return Trainer(**{**usual, **arguments})


@pytest.mark.filterwarnings("ignore::Warning")
@pytest.mark.parametrize("method", LEARNERS)
def test_it_fits_tests_predicts_and_loads_from_its_checkpoint(method, tmp_path):
    data = TaskDataModule(tasks(), batch_size=32, seed=0)
    search = MaskSearch(SMALL, {"digits": 10, "mnist5k": 10}, replace(FEW, method=method))
    loop = trainer(tmp_path, num_sanity_val_steps=2)
    loop.fit(search, datamodule=data)
    assert len(search.history) == 2, "the sanity check is no epoch"
    assert loop.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)
    tested = {key.partition("/dataloader")[0]: value for result in loop.test(search, datamodule=data, verbose=False)
              for key, value in result.items()}  # fmt: skip
    assert set(tested) == {"test/mean", "test/digits", "test/mnist5k"}
    loop.save_checkpoint(tmp_path / "mine.ckpt")
    again = MaskSearch.load_from_checkpoint(tmp_path / "mine.ckpt", map_location="cpu")
    assert again.settings == search.settings
    assert again.history == search.history
    for module in (again, search):
        module.eval()
        module.method.before_step(0)
    x = torch.randn(3, 3, 32, 32)
    assert torch.equal(again(x, 1), search(x, 1))
    assert again.method.subnetwork() == search.method.subnetwork()
    first, second = trainer(tmp_path).predict(again, datamodule=data)
    assert sum(len(logits) for logits in first) == len(data.tasks[0].test)
    assert second[0].shape[1] == 10
    right = (torch.cat(first).argmax(1) == data.tasks[0].test.labels).float().mean()
    assert float(right) == pytest.approx(tested["test/digits"])


@pytest.mark.parametrize("objective", OBJECTIVES.names())
@pytest.mark.parametrize("method", LEARNERS)
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_no_step_of_training_makes_the_host_wait(method, objective, scope, monkeypatch):
    """Mask selection goes the way it goes on a device; everything else is the same code there."""
    from ult_lightning.search.methods import method as base
    from ult_lightning.search.methods import top_k

    monkeypatch.setattr(base, "top_k_mask", top_k.top_k_mask_on_device)
    monkeypatch.setattr(base, "top_k_masks", top_k.top_k_masks_on_device)
    sources = tasks()
    settings = SearchSettings(method=method, method_options={"scope": scope}, objective=objective, batch_size=16)
    search = MaskSearch(SMALL, {t.id: t.classes for t in sources}, settings, steps=10)
    optimizer = search.configure_optimizers()["optimizer"]
    batch = TaskDataModule(sources, batch_size=16, mixing="joint", seed=0).train_dataloader().step(0)
    search.__dict__["_fabric"] = None
    with HostReads() as reads:
        for index in range(3):
            loss = search.training_step(batch, index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert reads.names == []
    with HostReads() as reads:
        float(loss.detach())
    assert reads.count == 1


def test_a_random_head_is_masked_and_not_trained():
    search = MaskSearch(SMALL, {"digits": 10}, replace(FEW, objective="frozen_head", density=0.25), steps=6)
    (head,) = search.heads
    assert int((head.weight != 0).sum()) == round(0.25 * head.weight.numel())
    trained = [p for group in search.configure_optimizers()["optimizer"].param_groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for learner in search.learners for p in learner.parameters()}
    ticket = find_ticket(
        tasks()[:1], SMALL, replace(FEW, objective="frozen_head", trainer={"max_steps": 80}), progress=False
    )
    assert ticket.provenance["validation"]["digits"] > 0.4
    assert set(ticket.mask.names) == {"0.weight", "3.weight"}


def test_a_method_that_is_not_trained_is_no_module():
    with pytest.raises(UltError, match=r"method: got 'snip', wanted a method that is trained"):
        MaskSearch(SMALL, {"digits": 10}, SearchSettings(method="snip"))


def test_arguments_of_the_trainer_pass_and_those_that_change_numbers_change_the_ticket():
    plain = find_ticket(tasks(), SMALL, FEW, progress=False)
    profiled = find_ticket(tasks(), SMALL, FEW, progress=False, trainer={"log_every_n_steps": 1, "benchmark": False})
    assert profiled.id == plain.id
    assert profiled.content_digest == plain.content_digest
    accumulated = replace(FEW, trainer={"max_steps": 6, "accumulate_grad_batches": 2})
    other = find_ticket(tasks(), SMALL, accumulated, progress=False)
    assert other.provenance["steps"] == 6
    assert other.id != plain.id
    assert other.content_digest != plain.content_digest
    limited = SearchSettings(trainer={"max_epochs": 3, "limit_train_batches": 2}, batch_size=32)
    assert find_ticket(tasks(), SMALL, limited, progress=False).provenance["steps"] == 6


def test_the_usual_values_enter_no_id():
    usual = SearchSettings(
        method_options={"lr": 0.1, "scope": "layer"},
        objective="joint",
        trainer={"max_epochs": 6, "precision": "32-true", "accumulate_grad_batches": 1},
    )
    assert usual.given() == SearchSettings().given() == {}
    assert usual == SearchSettings()
    assert SearchSettings(**usual.to_dict()) == usual
    given = SearchSettings(method="biprop", method_options={"lr": 0.2}, trainer={"max_steps": 3}).given()
    assert given == {"method": "biprop", "method_options": {"lr": 0.2}, "trainer": {"max_steps": 3}}
    assert SearchSettings(method="synflow", trainer={"max_steps": 3}, batch_size=4).given() == {"method": "synflow"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acelerator": "cpu"}, r"trainer: got 'acelerator'.*accelerator"),
        ({"callbacks": []}, r"trainer.callbacks: got \[\], wanted no value"),
        ({"devices": 2}, r"trainer.devices: got 2, wanted 1"),
        ({"accelerator": "tpu"}, r"trainer: Lightning refuses these arguments: "),
    ],
)
def test_what_a_trainer_does_not_take_is_one_sentence(arguments: Mapping[str, object], message: str):
    with pytest.raises(UltError, match=message) as found:
        find_ticket(tasks()[:1], SMALL, FEW, progress=False, trainer=arguments)
    assert "\n" not in str(found.value)


def test_callbacks_are_called_and_may_not_end_a_search_early(tmp_path):
    class Count(Callback):
        steps = 0

        def on_train_batch_end(self, *_: object) -> None:
            self.steps += 1

    count = Count()
    find_ticket(tasks(), SMALL, FEW, progress=False, callbacks=[count])
    assert count.steps == 6
    settings = replace(FEW, trainer={"max_epochs": 4})
    stop = EarlyStopping("val/mean", mode="max", stopping_threshold=0.0)
    with pytest.raises(UltError, match=r"stopped after \d+ of \d+ steps, .* the same search goes on from there"):
        find_ticket(tasks(), SMALL, settings, progress=False, callbacks=[stop], run_dir=tmp_path)
    resumed = find_ticket(tasks(), SMALL, settings, progress=False, run_dir=tmp_path, notice=lambda _: None)
    assert resumed.content_digest == find_ticket(tasks(), SMALL, settings, progress=False).content_digest


def test_biprop_is_kept_with_its_scales_as_best_and_as_last(tmp_path):
    for select in ("last", "best"):
        settings = replace(FEW, method="biprop", select=select, trainer={"max_epochs": 2})
        ticket = find_ticket(tasks(), SMALL, settings, progress=False)
        assert set(ticket.subnetwork.scales) == {"0.weight", "3.weight"}
        values = ticket.network().mother.body[3].weight.abs().unique()
        assert len(values) == 2
        assert float(values[1]) == pytest.approx(float(ticket.subnetwork.scales["3.weight"]))


@pytest.mark.filterwarnings("ignore::Warning")
def test_a_module_from_a_checkpoint_trains_on_and_a_resume_within_an_epoch_is_refused(tmp_path):
    data = TaskDataModule(tasks()[:1], batch_size=32, seed=0)
    search = MaskSearch(SMALL, {"digits": 10}, SearchSettings(batch_size=32))
    running = trainer(tmp_path, max_epochs=1)
    running.fit(search, datamodule=data)
    running.save_checkpoint(tmp_path / "end.ckpt")
    again = MaskSearch.load_from_checkpoint(tmp_path / "end.ckpt", map_location="cpu")
    before = [p.detach().clone() for p in again.method.parameters()]
    fresh = trainer(tmp_path, max_epochs=1)
    fresh.fit(again, datamodule=data)
    assert fresh.global_step == running.global_step
    assert not all(torch.equal(a, b) for a, b in zip(before, again.method.parameters(), strict=True))
    short = trainer(tmp_path, max_epochs=1, max_steps=running.global_step - 1)
    short.fit(MaskSearch(SMALL, {"digits": 10}, SearchSettings(batch_size=32)), datamodule=data)
    short.save_checkpoint(tmp_path / "inside.ckpt")
    with pytest.raises(UltError, match=r"ckpt_path: got .a checkpoint of step \d+., wanted one written at the end of"):
        trainer(tmp_path, max_epochs=2).fit(
            MaskSearch(SMALL, {"digits": 10}, SearchSettings(batch_size=32)),
            datamodule=data,
            ckpt_path=str(tmp_path / "inside.ckpt"),
        )


def test_settings_can_be_copied_and_arguments_that_would_cut_a_search_are_refused():
    import copy
    import pickle

    settings = SearchSettings(trainer={"max_steps": 5, "gradient_clip_val": 1.0})
    assert copy.deepcopy(settings) == pickle.loads(pickle.dumps(settings)) == settings
    for name, value in (
        ("overfit_batches", 1),
        ("limit_test_batches", 1),
        ("limit_train_batches", "abc"),
        ("limit_val_batches", 0),
    ):
        with pytest.raises(UltError, match=rf"trainer\.{name}: got"):
            SearchSettings(trainer={name: value})
    with pytest.raises(UltError, match=r"trainer.gradient_clip_val: got .* pass it as SearchSettings"):
        find_ticket(tasks()[:1], SMALL, FEW, trainer={"gradient_clip_val": 1e-3}, progress=False)
    with pytest.raises(UltError, match=r"module: got 'a factory', wanted none beside the net 'conv2'"):
        find_ticket(tasks()[:1], SMALL, FEW, module=lambda: torch.nn.Linear(2, 2), progress=False)


def test_a_callback_that_waits_for_what_nobody_logs_is_one_sentence():
    with pytest.raises(UltError, match=r"trainer: Early stopping conditioned on metric `nope`"):
        find_ticket(tasks()[:1], SMALL, FEW, callbacks=[EarlyStopping("nope")], progress=False)
