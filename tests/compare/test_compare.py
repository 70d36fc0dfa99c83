"""The grid: arms by contract, fairness, interruption, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ult_lightning.base import UltError
from ult_lightning.compare import ARMS, CompareSettings, DenseSettings, draw_mask, run_grid
from ult_lightning.compare import _arms as arms_module
from ult_lightning.data import TaskSpec
from ult_lightning.results import RowStore
from ult_lightning.search import SearchSettings
from ult_lightning.tickets import MotherSpec, TicketStore

ALL = tuple(ARMS.names())
SOURCES = (TaskSpec.parse({"name": "mnist5k", "labels": "0-4", "train_limit": 200}),)
TARGETS = (TaskSpec.parse({"name": "digits", "train_limit": 100}),)


def settings(arms=ALL, **change) -> CompareSettings:
    found = CompareSettings(
        sources=SOURCES, targets=TARGETS, arms=arms, seeds=(0,),
        mother=MotherSpec("conv2", options={"width": 0.125}),
        search=SearchSettings(max_steps=6, batch_size=32), dense=DenseSettings(lrs=(0.03, 0.1), long_factor=2),
    )  # fmt: skip
    return replace(found, **change)


def grid(tmp_path, chosen: CompareSettings, **more):
    return run_grid(chosen, store=tmp_path, notice=lambda _: None, **more)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    found = grid(tmp_path_factory.mktemp("store"), settings())
    return {row.arm: row for row in found}


def test_every_arm_gives_a_row_with_its_provenance(rows):
    assert set(rows) == set(ARMS.names())
    assert len(rows) >= 8
    for row in rows.values():
        assert (row.n, row.n_train, row.n_valid) == (359, 100, 100)
        assert 0.05 < row.value <= 1
        assert row.seconds["total"] > 0
        assert row.extra["bytes_shared"] + row.extra["bytes_per_task"] == row.bytes
        assert row.precision == "32"


def test_tickets_say_what_they_saw(rows):
    seen = {arm: row.seen for arm, row in rows.items() if row.ticket is not None}
    assert seen == {"finetuned": False, "joint": True, "specialist": True, "universal": False}
    assert rows["universal"].ticket == rows["finetuned"].ticket


def test_frozen_arms_fit_only_a_head(rows):
    head = rows["universal"].parameters_trained
    for arm in ("universal", "random_mask", "random_features", "joint", "specialist"):
        assert rows[arm].parameters_trained == head
    assert rows["dense"].parameters_trained > rows["finetuned"].parameters_trained > head


def test_dense_takes_the_steps_of_the_search_with_a_validated_rate(rows):
    dense, long = rows["dense"].extra, rows["dense_long"].extra
    assert dense["steps"] == 6
    assert long["steps"] == 12
    assert long["augment"] is True
    assert dense["augment"] is False
    assert set(dense["lr_path"]) == {"0.03", "0.1"}
    assert dense["lr_path"][f"{dense['lr']:g}"] == max(dense["lr_path"].values())
    assert dense["lr"] == long["lr"]


def test_bytes_of_k_tasks_are_shared_once_plus_a_head_each(rows):
    universal, dense = rows["universal"].extra, rows["dense"].extra
    assert universal["bytes_per_task"] == 4 * rows["universal"].parameters_trained
    assert universal["bytes_shared"] < 16 * 1024
    assert dense["bytes_shared"] == 0
    assert dense["bytes_per_task"] >= 4 * rows["dense"].parameters_trained


def test_a_random_mask_has_the_densities_of_the_ticket_and_other_bits():
    kept = {"a": 7, "b": 20}
    mask = draw_mask({"a": (3, 5), "b": (40,)}, kept, seed=0)
    assert {n: int(mask[n].sum()) for n in mask.names} == kept
    assert not np.array_equal(mask["b"], draw_mask({"a": (3, 5), "b": (40,)}, kept, seed=1)["b"])


def test_an_interrupted_grid_goes_on_where_it_was(tmp_path, monkeypatch):
    chosen = settings(("random_features", "universal"))
    calls = []
    real = arms_module.transfer

    def broken(*args, **more):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(arms_module, "transfer", broken)
    with pytest.raises(KeyboardInterrupt):
        grid(tmp_path, chosen)
    assert len(RowStore(tmp_path).all()) == 1
    assert len(TicketStore(tmp_path).ids()) == 1
    said: list[str] = []
    rows = run_grid(chosen, store=tmp_path, notice=said.append)
    assert [r.arm for r in rows] == ["random_features", "universal"]
    assert len(calls) == 3  # one row from the store, one measured
    assert "from the store" in said[0]


def test_force_redoes_each_piece_once(tmp_path):
    chosen = settings(("universal", "random_mask"))
    first = grid(tmp_path, chosen)
    again = grid(tmp_path, chosen, force=True)
    assert [r.value for r in again] == [r.value for r in first]
    assert again[0].created >= first[0].created


def test_machine_settings_do_not_change_a_row_id(tmp_path):
    one = grid(tmp_path / "a", settings(("random_features",)))
    two = grid(tmp_path / "b", settings(("random_features",)), cache_dir=tmp_path / "c")
    assert one[0].id == two[0].id


def test_search_settings_do_not_change_the_id_of_random_features(tmp_path):
    chosen = settings(("random_features",))
    one = grid(tmp_path, chosen)
    two = grid(tmp_path, replace(chosen, search=replace(chosen.search, lr=0.5)))
    assert one[0].id == two[0].id


def test_a_target_that_is_the_only_source_cannot_be_universal(tmp_path):
    for target in ("mnist5k:0-4", "mnist5k:parity"):
        with pytest.raises(UltError, match=r"sources: got \[mnist5k:0-4\].*never sees its target"):
            grid(tmp_path, settings(("universal",), targets=(TaskSpec.parse(target),)))


def test_classes_that_the_source_lacks_are_unseen(tmp_path):
    target = TaskSpec.parse({"name": "mnist5k", "labels": "5-9", "train_limit": 60})
    (row,) = grid(tmp_path, settings(("universal",), targets=(target,)))
    assert row.seen is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ("univresal",)}, "arm: got 'univresal'.*universal"),
        ({"arms": ()}, r"arms: got '\[\]'"),
        ({"sources": ()}, r"sources: got '\[\]'"),
        ({"targets": ()}, r"targets: got '\[\]'"),
        ({"seeds": ()}, r"seeds: got '\[\]'"),
        ({"seeds": (0, 0)}, "each entry once"),
        ({"seeds": (-1,)}, "whole numbers"),
    ],
)
def test_bad_grids_are_one_sentence(change, message):
    with pytest.raises(UltError, match=message) as found:
        settings(**change)
    assert "\n" not in str(found.value)


def test_rates_of_which_none_trains_are_one_sentence(tmp_path):
    chosen = settings(("dense",), dense=DenseSettings(lrs=(1e30, 1e31)))
    with pytest.raises(UltError, match=r"dense.lrs: got \[1e\+30, 1e\+31\], none of which trains"):
        grid(tmp_path, replace(chosen, mother=replace(chosen.mother, norm="none")))


def test_a_finetuned_network_keeps_pruned_weights_at_zero(tmp_path, monkeypatch):
    held = []
    real = arms_module.train_end_to_end
    monkeypatch.setattr(arms_module, "train_end_to_end", lambda cell, model, *a, **k: (held.append(model), real(cell, model, *a, **k))[1])  # fmt: skip
    (row,) = grid(tmp_path, settings(("finetuned",)))
    ticket = TicketStore(tmp_path).load(row.ticket)
    weights = dict(held[0].mother.body.named_parameters())
    start = dict(ticket.network().mother.body.named_parameters())
    for name in ticket.mask.names:
        keep = torch.from_numpy(ticket.mask[name].copy())
        assert float(weights[name].detach()[~keep].abs().sum()) == 0.0
        assert not torch.equal(weights[name], start[name])
