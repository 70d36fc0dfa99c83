"""Searching: tickets through the public API, resuming, refusals."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ult_lightning import find_ticket, load_task
from ult_lightning.base import UltError
from ult_lightning.data import Task
from ult_lightning.search import (
    METHODS,
    EmptyLayerWarning,
    MaskSearch,
    SearchSettings,
    VanishedBiasWarning,
    kept_counts,
    search_once,
    ticket_id,
)
from ult_lightning.search import _run as run_module
from ult_lightning.tickets import InputSpec, MotherSpec, Ticket, TicketStore, describe

SMALL = MotherSpec("conv2", options={"width": 0.125})
FEW = SearchSettings(trainer={"max_steps": 6}, batch_size=32)
FEW_STEPS = 6


def trains(settings: SearchSettings = FEW, **options) -> SearchSettings:
    """The settings with other options of the method."""
    return replace(settings, method_options={**settings.method_options.to_dict(), **options})


def task(name: str = "digits", seed: int = 0, limit: int = 200):
    return load_task({"name": name, "train_limit": limit}, seed=seed)


def search(sources=None, spec=SMALL, settings=FEW, **more) -> Ticket:
    return find_ticket(sources or [task()], spec, settings, progress=False, **more)


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_every_method_makes_a_ticket_of_the_density_asked_for(method, norm, tmp_path):
    spec = replace(SMALL, norm=norm)
    options = {"scope": "layer"}
    ticket = search(spec=spec, settings=replace(FEW, method=method, method_options=options, density=0.3))
    for name in ticket.mask.names:
        assert int(ticket.mask[name].sum()) == round(0.3 * ticket.mask[name].size)
    assert bool(ticket.statistics) == (norm == "batch")
    assert ticket.fingerprint == Ticket.load(ticket.save(tmp_path / "a.ticket")).fingerprint
    assert ticket.network()(torch.randn(2, 3, 32, 32)).shape == (2, ticket.network().dim)


def test_the_same_settings_give_the_same_bits_and_another_seed_gives_others():
    first, again, other = (search(), search(), search(spec=replace(SMALL, seed=1), settings=replace(FEW, seed=1)))
    assert first.content_digest == again.content_digest
    assert first.id == again.id == ticket_id([task()], SMALL, FEW)
    assert other.id != first.id
    assert other.fingerprint != first.fingerprint


def test_the_search_moves_the_mask_and_learns_its_sources():
    start = MaskSearch(SMALL, {"digits": 10}, FEW).method.subnetwork().mask
    ticket = search([task(limit=1000)], settings=SearchSettings(trainer={"max_steps": 80}, batch_size=64))
    assert not np.array_equal(ticket.mask["3.weight"], start["3.weight"])
    assert ticket.provenance["validation"]["digits"] > 0.6


def test_global_density_is_over_all_weights():
    ticket = search(settings=replace(trains(scope="global"), density=0.2))
    assert ticket.mask.kept == round(0.2 * ticket.mask.total)


def test_a_layer_may_have_a_density_of_its_own():
    ticket = search(settings=replace(FEW, densities={"0.weight": 1.0}))
    assert ticket.densities["0.weight"] == 1.0
    assert ticket.densities["3.weight"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("mixing", ["alternate", "joint"])
def test_two_sources_share_one_mask_that_is_computed_once_per_step(mixing, monkeypatch):
    calls = []
    update = METHODS.get("edge_popup").before_step
    monkeypatch.setattr(
        METHODS.get("edge_popup"), "before_step", lambda self, step: (calls.append(step), update(self, step))[1]
    )
    ticket = search([task(), task("mnist5k")], settings=replace(FEW, mixing=mixing))
    assert set(ticket.provenance["validation"]) == {"digits", "mnist5k"}
    validations, at_start, at_end = 1, 1, 1
    assert len(calls) == FEW_STEPS + validations + at_start + at_end
    assert calls[1 : FEW_STEPS + 1] == list(range(FEW_STEPS))


def test_global_density_may_leave_one_layer_nothing_and_says_so():
    with pytest.warns(EmptyLayerWarning, match=r"keeps nothing of [03].weight: .* raise density, or set scope=layer"):
        ticket = search(settings=replace(trains(scope="global", lr=0.0), density=0.001), spec=SMALL)
    assert ticket.mask.kept == 1


@pytest.mark.parametrize(("accuracies", "epochs"), [((0.2, 0.9, 0.5), 2), ((0.9, 0.2, 0.5), 1), ((0.2, 0.5, 0.9), 3)])
def test_best_keeps_the_mask_of_the_best_epoch(accuracies, epochs, monkeypatch):
    """A constant rate, so that the mask after e epochs is that of a search of e epochs."""
    settings = trains(SearchSettings(trainer={"max_epochs": 3}, batch_size=32), lr=1.0, schedule="constant")
    told = iter(accuracies)
    real = MaskSearch.on_validation_epoch_end

    def scripted(self):
        real(self)
        self.history[-1] = dict.fromkeys(self.history[-1], next(told))

    expected = search(settings=replace(settings, trainer={"max_epochs": epochs})).mask
    monkeypatch.setattr(MaskSearch, "on_validation_epoch_end", scripted)
    best = search(settings=replace(settings, select="best"))
    assert best.provenance["mask"] == "best"
    assert all(np.array_equal(best.mask[name], expected[name]) for name in expected.names)


def test_a_search_never_reads_the_test_split(monkeypatch):
    reads = []
    batches, batch = Task.batches, Task.batch
    monkeypatch.setattr(
        Task, "batches", lambda self, split, *a, **k: (reads.append(split), batches(self, split, *a, **k))[1]
    )
    monkeypatch.setattr(
        Task, "batch", lambda self, split, *a, **k: (reads.append(split), batch(self, split, *a, **k))[1]
    )
    search(settings=replace(FEW, trainer={"max_epochs": 2}, select="best"))
    assert set(reads) == {"train", "valid"}


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_learning_rate_falls_with_every_step(schedule, monkeypatch):
    rates = []
    step = MaskSearch.training_step
    monkeypatch.setattr(
        MaskSearch,
        "training_step",
        lambda self, *a: (rates.append([g["lr"] for g in self.optimizers().param_groups]), step(self, *a))[1],
    )
    search(settings=trains(SearchSettings(trainer={"max_epochs": 2}, batch_size=40), schedule=schedule))
    assert len(rates) == 10
    factors = [0.5 * (1 + math.cos(math.pi * t / 10)) if schedule == "cosine" else 1.0 for t in range(10)]
    assert np.allclose(rates, [[0.1 * f, 0.01 * f] for f in factors])


def test_scores_that_are_not_finite_are_one_sentence_and_leave_no_checkpoint(tmp_path):
    with pytest.raises(
        UltError, match=r"The scores are not finite after step 1; nothing was saved over: try a smaller lr"
    ):
        search(settings=replace(trains(lr=9e29, weight_decay=1e20), trainer={"max_steps": 1}), run_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    """A disk that fills up while the second checkpoint is written leaves the first."""
    from ult_lightning.search import _trainer

    sizes, real = [], _trainer.write_bytes

    def full(path, content):
        if sizes:
            raise UltError(f"{path}: the disk is full")
        real(path, content)
        sizes.append(len(content))

    monkeypatch.setattr(_trainer, "write_bytes", full)
    with pytest.raises(UltError, match="the disk is full"):
        search(settings=SearchSettings(trainer={"max_epochs": 3}, batch_size=50), run_dir=tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.stat().st_size == sizes[0]
    assert torch.load(left, weights_only=False)["global_step"] == 4


def test_a_module_of_your_own_can_be_searched(tmp_path):
    def factory() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())

    ticket = search(spec=MotherSpec("module"), module=factory)
    again = Ticket.load(ticket.save(tmp_path / "own.ticket"), module=factory)
    assert again.network()(torch.zeros(1, 3, 32, 32)).shape == (1, 512)


def test_biases_are_masked_apart_and_never_all_pruned():
    spec = MotherSpec("lenet_300_100", norm="none", bias="nonzero", init="kaiming_normal")
    ticket = search(spec=spec, settings=replace(FEW, density=0.001))
    assert all(d > 0 for d in ticket.densities.values())


def test_a_run_folder_of_another_search_is_refused(tmp_path):
    first = search(run_dir=tmp_path)
    for other in (replace(FEW, seed=7), replace(FEW, density=0.2), replace(FEW, trainer={"max_steps": 9})):
        with pytest.raises(
            UltError, match=r"run_dir: got .*, wanted a folder without the checkpoint of another search"
        ):
            search(settings=other, run_dir=tmp_path)
    said: list[str] = []
    again = search(run_dir=tmp_path, notice=said.append)
    assert "Resumed from step 6" in said[0]
    assert again.content_digest == first.content_digest


def test_the_seconds_of_a_resumed_search_are_those_of_all_its_runs(tmp_path):
    search(run_dir=tmp_path)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert 0 < checkpoint["ult"]["seconds"] < 500
    checkpoint["ult"]["seconds"] = 1000.0
    torch.save(checkpoint, tmp_path / "last.ckpt")
    assert 1000 < search(run_dir=tmp_path, notice=lambda _: None).provenance["seconds"] < 1500


def test_force_leaves_a_running_search_its_checkpoint_until_it_holds_the_lock(tmp_path, monkeypatch):
    store = TicketStore(tmp_path)
    folder = tmp_path / "searches" / ticket_id([task()], SMALL, FEW)
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"of another process")
    seen = []
    real = run_module.once
    monkeypatch.setattr(
        run_module, "once", lambda *a, **k: (seen.append((folder / "last.ckpt").exists()), real(*a, **k))[1]
    )
    said: list[str] = []
    search_once(store, [task()], SMALL, FEW, progress=False, force=True, notice=said.append)
    assert seen == [True]
    assert said == []  # gone by then: neither resumed from nor found broken


@pytest.mark.parametrize("content", [b"", b"text", [1, 2], {"global_step": 7}, {"global_step": "x", "ult": {}}])
def test_a_checkpoint_that_cannot_be_read_starts_anew(content, tmp_path):
    if isinstance(content, bytes):
        (tmp_path / "last.ckpt").write_bytes(content)
    else:
        torch.save(content, tmp_path / "last.ckpt")
    said: list[str] = []
    ticket = search(run_dir=tmp_path, notice=said.append)
    assert "cannot be read; the search starts anew" in said[0]
    assert ticket.content_digest == search().content_digest


def own(channels: int, dropout: float = 0.0):
    def factory() -> nn.Module:
        layers = (nn.Conv2d(3, channels, 3, stride=4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten())
        return nn.Sequential(*layers)

    return factory


def test_tickets_of_modules_of_your_own_have_ids_of_their_own_and_are_reused(tmp_path):
    store, spec = TicketStore(tmp_path), MotherSpec("module")
    names = set()
    for channels in (4, 6):
        first, reused = search_once(store, [task()], spec, FEW, module=own(channels), progress=False)
        assert not reused
        again, reused = search_once(store, [task()], spec, FEW, module=own(channels), progress=False)
        assert reused
        assert again == first
        names.add(first.id)
    assert set(store.ids()) == names
    assert len(names) == 2


def test_dropout_in_a_module_of_your_own_leaves_the_search_as_it_is():
    spec = MotherSpec("module")
    with_it, again, without = (search(spec=spec, module=own(4, dropout)) for dropout in (0.5, 0.5, 0.0))
    assert with_it.content_digest == again.content_digest == without.content_digest


def test_biases_that_vanish_are_told():
    spec = MotherSpec("conv", options={"channels": [4, "M"] + [4] * 24}, norm="none", bias="nonzero")
    with pytest.warns(
        VanishedBiasWarning, match=r"non-zero biases of \d of 25 layers are below 1e-12, from \d+.bias on"
    ):
        search(spec=spec, settings=replace(FEW, trainer={"max_steps": 1}))


@pytest.mark.parametrize("n", range(5, 400, 7))
def test_the_least_density_that_is_offered_is_enough(n):
    with pytest.raises(UltError, match="say at least density=") as found:
        kept_counts({"a.weight": (n,)}, replace(FEW, density=1e-9))
    least = float(str(found.value).rpartition("density=")[2].rstrip("."))
    assert kept_counts({"a.weight": (n,)}, replace(FEW, density=least)) == {"a.weight": 1}
    assert least < 0.6 / n


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": InputSpec(shape=(1, 28, 28))}, r"input.shape: got \(1, 28, 28\), wanted \(3, 32, 32\)"),
        ({"scale_fan": 0.5}, r"densities: got .* wanted none beside scale_fan"),
    ],
)
def test_mothers_that_do_not_fit_are_one_sentence(change, message):
    with pytest.raises(UltError, match=message):
        search(spec=replace(SMALL, **change), settings=replace(FEW, densities={"0.weight": 0.9}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"method_options": {"scope": "global"}, "densities": {"0.weight": 0.9}},
            r"densities: got .*, wanted method.options.scope=layer",
        ),
        ({"density": 0}, r"density: got 0, wanted a number above 0"),
        ({"density": 1.5}, r"density: got 1.5"),
        ({"density": "abc"}, r"density: got 'abc'"),
        ({"method": "egde_popup"}, r"method: got 'egde_popup'.*edge_popup"),
        ({"mixing": "alternat"}, r"mixing: got 'alternat'.*alternate"),
        ({"batch_size": 0}, r"batch_size: got 0"),
        ({"method_options": {"lr": float("nan")}}, r"method.options.lr: got nan"),
        (
            {"method_options": {"lr": 1e300}},
            r"method.options.lr: got 1e\+300, wanted a number at least 0 and below 1e\+30",
        ),
        ({"method_options": {"lrr": 1}}, r"option of method.options: got .lrr.*lr"),
        ({"head_lr": 1e300}, r"head_lr: got 1e\+300, wanted a number from 0 to below 1e\+30"),
        ({"trainer": {"max_step": 3}}, r"trainer: got .max_step., .*max_steps"),
        ({"trainer": {"logger": True}}, r"trainer.logger: got True, wanted no value"),
        (
            {"trainer": {"accelerator": "cpu"}},
            r"trainer.accelerator: got .cpu., wanted an argument that changes numbers",
        ),
        ({"trainer": {"max_epochs": 0}}, r"trainer.max_epochs: got 0"),
        ({"trainer": {"precision": "17"}}, r"trainer.precision: got .17."),
        ({"method": "snip", "method_options": {}, "select": "best"}, r"select: got .best., wanted last"),
        (
            {"objective": "frozen_head", "objective_options": {"init": "orthogonl"}},
            r"objective.options.init: got .orthogonl.*orthogonal",
        ),
        (
            {"method_options": {"scope": "global"}, "density": 1e-7},
            r"keeps none of the 792 weights; say at least density=0.00065",
        ),
        ({"densities": {"0.wieght": 0.5}}, r"densities: got '0.wieght'.*0.weight"),
        ({"density": 1e-5}, r"keeps none of the .* weights of 0.weight"),
        ({"loss_weights": (1.0, 2.0)}, r"loss_weights: got \[1.0, 2.0\], wanted one weight for each of 1 sources"),
    ],
)
def test_bad_settings_are_one_sentence(change, message):
    with pytest.raises(UltError, match=message) as found:
        search(settings=replace(FEW, **change))
    assert "\n" not in str(found.value)


def test_empty_sources_are_one_sentence():
    with pytest.raises(UltError, match=r"sources: got .*at least one task"):
        find_ticket([], SMALL, FEW)


def test_a_loss_that_is_not_finite_is_one_sentence_and_leaves_no_ticket(tmp_path):
    store = TicketStore(tmp_path)
    with pytest.raises(UltError, match=r"The loss is not finite after step \d+; nothing was saved over"):
        search_once(store, [task()], replace(SMALL, norm="none"), replace(FEW, trainer={"max_steps": 30}, head_lr=1e29),
                    progress=False)  # fmt: skip
    assert store.ids() == ()


def test_a_finished_search_is_reused_and_force_redoes_it(tmp_path):
    store = TicketStore(tmp_path)
    first, reused = search_once(store, [task()], SMALL, FEW, progress=False)
    assert not reused
    again, reused = search_once(store, [task()], SMALL, FEW, progress=False)
    assert reused
    assert again == first
    forced, reused = search_once(store, [task()], SMALL, FEW, progress=False, force=True)
    assert not reused
    assert forced.content_digest == first.content_digest
    assert not list((tmp_path / "searches").glob("*"))


def test_a_broken_ticket_is_searched_again(tmp_path):
    store = TicketStore(tmp_path)
    first, _ = search_once(store, [task()], SMALL, FEW, progress=False)
    store.path(first.id).write_bytes(store.path(first.id).read_bytes()[:-10])
    said: list[str] = []
    again, reused = search_once(store, [task()], SMALL, FEW, progress=False, notice=said.append)
    assert not reused
    assert again.content_digest == first.content_digest
    assert "cannot be used and is made again" in said[0]


KILLED = """
import sys
from ult_lightning import load_task
from ult_lightning.search import SearchSettings, search_once
from ult_lightning.tickets import MotherSpec, TicketStore
tasks = [load_task({"name": "digits", "train_limit": 320}, seed=0), load_task({"name": "mnist5k", "train_limit": 320}, seed=0)]
settings = SearchSettings(trainer={"max_epochs": 4}, batch_size=32, select="best", augment=True)
search_once(TicketStore(sys.argv[1]), tasks, MotherSpec("conv2", options={"width": 0.125}), settings, progress=False)
"""


@pytest.mark.slow
def test_a_search_killed_outright_resumes_and_ends_with_the_same_bits(tmp_path, repo):
    def run(store: Path) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", KILLED, str(store)], stdout=subprocess.PIPE, text=True,
                                cwd=repo, env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip

    straight = run(tmp_path / "straight")
    straight.communicate()
    killed = run(tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed" / "searches").glob("*/last.ckpt")):
        assert killed.poll() is None, "the search ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert TicketStore(tmp_path / "killed").ids() == ()
    said, _ = run(tmp_path / "killed").communicate()
    assert "Resumed from step" in said
    (name,) = TicketStore(tmp_path / "straight").ids()
    one, two = (TicketStore(tmp_path / s).load(name) for s in ("straight", "killed"))
    assert two.content_digest == one.content_digest
    assert two.provenance["validation"] == one.provenance["validation"]
    assert one.provenance["resumed_from_step"] is None
    assert two.provenance["resumed_from_step"] % 20 == 0
    assert two.provenance["resumed_from_step"] > 0


def test_a_conv4_ticket_is_at_most_1_05_bits_per_parameter_and_16_kib(tmp_path):
    ticket = search(spec=MotherSpec("conv4"), settings=SearchSettings(trainer={"max_steps": 1}, batch_size=4))
    size = ticket.save(tmp_path / "conv4.ticket").stat().st_size
    assert size <= 1.05 * ticket.mask.total / 8 + 16 * 1024


def test_a_searched_ticket_is_described_with_its_versions_and_machine():
    said = describe(search())
    assert re.search(r"torch\s+2\.", said)
    assert re.search(r"Time +.* on .* cores?", said)
    own_one = describe(search(spec=MotherSpec("module"), module=own(4)))
    assert "not checked: a module of your own" in " ".join(own_one.split())
