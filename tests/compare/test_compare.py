"""The grid: arms by contract, fairness, interruption, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ult_lightning.base import UltError
from ult_lightning.compare import ARMS, CompareSettings, DenseSettings, draw_mask, run_grid
from ult_lightning.compare import _cell as cell_module
from ult_lightning.compare import _frozen_arm as frozen_module
from ult_lightning.compare import _grid as grid_module
from ult_lightning.compare import _train as train_module
from ult_lightning.data import Task, TaskSpec, load_task
from ult_lightning.results import RowStore
from ult_lightning.search import SearchSettings, frozen_on
from ult_lightning.tickets import MotherSpec, TicketStore

ALL = tuple(ARMS.names())
SOURCES = (TaskSpec.parse({"name": "mnist5k", "labels": "0-4", "train_limit": 200}),)
TARGETS = (TaskSpec.parse({"name": "digits", "train_limit": 100}),)


def settings(arms=ALL, **change) -> CompareSettings:
    found = CompareSettings(
        sources=SOURCES, targets=TARGETS, arms=arms, seeds=(0,),
        mother=MotherSpec("conv2", options={"width": 0.125}),
        search=SearchSettings(trainer={"max_steps": 6}, batch_size=32), dense=DenseSettings(lrs=(0.03, 0.1)),
        arm_options={"dense_long": {"factor": 2}, "dense_converged": {"max_doublings": 2}},
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
    assert dense["augment"] == "none"
    assert long["augment"] == "shift"  # digits are never mirrored
    assert [rate for rate, _ in dense["grid"]][:2] == [0.03, 0.1]
    assert dict(dense["grid"])[dense["lr"]] == max(score for _, score in dense["grid"])
    assert (dense["lr"], dense["grid"], dense["edge"]) == (long["lr"], long["grid"], long["edge"])


def test_each_row_reads_the_test_split_once_and_last(tmp_path, monkeypatch):
    reads: list[str] = []
    real = Task.batches
    monkeypatch.setattr(Task, "batches", lambda self, split, *a, **k: (reads.append(split), real(self, split, *a, **k))[1])  # fmt: skip
    drawn = Task.batch
    monkeypatch.setattr(Task, "batch", lambda self, split, *a, **k: (reads.append(split), drawn(self, split, *a, **k))[1])  # fmt: skip
    for arm in ALL:
        del reads[:]
        grid(tmp_path, settings((arm,)))
        assert reads.count("test") == 1, arm
        assert reads[-1] == "test", arm
        assert set(reads) == {"train", "valid", "test"}, arm


def test_frozen_arms_without_the_target_take_their_statistics_from_the_sources(rows):
    source, target = (load_task(spec, seed=0) for spec in (*SOURCES, *TARGETS))
    mother = settings().mother
    assert rows["random_features"].extra["fingerprint"] == frozen_on([source], mother).fingerprint()
    assert rows["random_features"].extra["fingerprint"] != frozen_on([target], mother).fingerprint()
    for arm in ("universal", "random_mask"):
        assert rows[arm].extra["shown"]["sources"] == "mnist5k:0-4"
        assert rows[arm].settings["sources.train"] == [200]
    assert rows["universal"].settings["sources"] == rows["random_mask"].settings["sources"]


def test_joint_takes_the_target_as_it_is_whatever_the_limits_of_a_source_of_its_name(tmp_path):
    sources = (*SOURCES, TaskSpec.parse({"name": "digits", "train_limit": 300}))
    (row,) = grid(tmp_path, settings(("joint",), sources=sources))
    used = TicketStore(tmp_path).load(row.ticket).provenance["sources"]
    assert [(s["id"], s["sizes"]["train"]) for s in used] == [("mnist5k:0-4", 200), ("digits", 100)]


def test_joint_leaves_out_another_edition_of_the_targets_data(tmp_path, monkeypatch):
    real = load_task

    def another_edition(spec, **more):
        task = real(spec, **more)
        return replace(task, digest="0" * 64) if task.id == "mnist5k:0-4" else task

    monkeypatch.setattr("ult_lightning.compare._cell.load_task", another_edition)
    sources = (*SOURCES, TaskSpec.parse({"name": "digits", "train_limit": 100}))
    target = TaskSpec.parse({"name": "mnist5k", "labels": "parity", "train_limit": 100})
    said: list[str] = []
    (row,) = run_grid(settings(("joint",), sources=sources, targets=(target,)), store=tmp_path, notice=said.append)
    used = TicketStore(tmp_path).load(row.ticket).provenance["sources"]
    assert [s["id"] for s in used] == ["digits", "mnist5k:parity"]
    assert any("mnist5k:0-4 is left out" in line for line in said)


def write_folder(root, classes: int = 2) -> None:
    for part, count in (("train", 40), ("test", 10)):
        for label in range(classes):
            for number in range(count):
                file = root / part / str(label) / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                image = np.random.default_rng([label, number, count]).integers(0, 99 + 99 * label, (32, 32))
                Image.fromarray(image.astype(np.uint8)).save(file)


def test_the_same_data_under_another_name_is_the_same_row_with_the_name_typed(tmp_path):
    write_folder(tmp_path / "birds")
    (tmp_path / "link").symlink_to(tmp_path / "birds")
    birds, link = (TaskSpec.parse(f"folder:{tmp_path / name}") for name in ("birds", "link"))
    one = grid(tmp_path / "s", settings(("random_features",), targets=(birds,)))
    two = grid(tmp_path / "s", settings(("random_features",), targets=(link,), seeds=(0, 1)))
    assert [row.task for row in one] == [birds.id]
    assert [row.task for row in two] == [link.id, link.id]
    assert two[0].id == one[0].id
    (joint,) = grid(tmp_path / "s", settings(("joint",), sources=(*SOURCES, link), targets=(birds,)))
    used = TicketStore(tmp_path / "s").load(joint.ticket).provenance["sources"]
    assert [source["id"] for source in used] == ["mnist5k:0-4", birds.id]


def test_a_validation_part_that_is_the_test_split_is_said_once(tmp_path):
    write_folder(tmp_path / "birds")
    (tmp_path / "birds" / "test").rename(tmp_path / "birds" / "val")
    birds = TaskSpec.parse(f"folder:{tmp_path / 'birds'}")
    said: list[str] = []
    run_grid(settings(("random_features",), targets=(birds,), seeds=(0, 1)), store=tmp_path / "s", notice=said.append)
    assert sum("its validation part is the test split" in line for line in said) == 1


def test_the_order_of_the_seeds_changes_no_row(tmp_path):
    one = grid(tmp_path / "a", settings(("dense",), seeds=(0, 1)))
    two = grid(tmp_path / "b", settings(("dense",), seeds=(1,)))
    assert two[0].id == one[1].id
    pilots = [sorted(file.name for file in (tmp_path / store / "pilots").glob("*.json")) for store in "ab"]
    assert len(pilots[0]) == 1
    assert pilots[0] == pilots[1]
    assert two[0].value == one[1].value


def test_arms_without_sources_run_where_every_source_is_the_target(tmp_path):
    chosen = settings(("dense", "specialist"), sources=TARGETS)
    chosen = replace(chosen, search=SearchSettings(trainer={"max_epochs": 2}, batch_size=50))
    dense, specialist = grid(tmp_path, chosen)
    assert dense.extra["steps"] == 4  # two epochs of the target's 100 images
    assert TicketStore(tmp_path).load(specialist.ticket).provenance["steps"] == 4


def test_the_tasks_of_a_finished_seed_are_let_go(tmp_path, monkeypatch):
    machines = []
    monkeypatch.setattr(
        grid_module, "Machine", lambda *a, real=grid_module.Machine, **k: machines.append(real(*a, **k)) or machines[-1]
    )
    held: list[int] = []
    run_grid(settings(("random_features",), seeds=(0, 1, 2)), store=tmp_path,
             notice=lambda _: held.append(len(machines[0].held)))  # fmt: skip
    assert held == [2, 2, 2]


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
    real = frozen_module.transfer

    def broken(*args, **more):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(frozen_module, "transfer", broken)
    with pytest.raises(KeyboardInterrupt):
        grid(tmp_path, chosen)
    assert len(RowStore(tmp_path).all()) == 1
    assert len(TicketStore(tmp_path).ids()) == 1
    said: list[str] = []
    rows = run_grid(chosen, store=tmp_path, notice=said.append)
    assert [r.arm for r in rows] == ["random_features", "universal"]
    assert len(calls) == 3  # one row from the store, one measured
    assert "from the store" in said[0]


def test_force_redoes_each_piece_once(tmp_path, monkeypatch):
    chosen = settings(("universal", "random_mask"))
    first = grid(tmp_path, chosen)
    calls = []
    transfer, search = frozen_module.transfer, cell_module.search_once
    monkeypatch.setattr(frozen_module, "transfer", lambda *a, **k: (calls.append("transfer"), transfer(*a, **k))[1])

    def searching(*args, **more):
        calls.append(f"search, force={more['force']}")
        return search(*args, **more)

    monkeypatch.setattr(cell_module, "search_once", searching)
    assert grid(tmp_path, chosen) == first
    assert calls == []
    again = grid(tmp_path, chosen, force=True)
    assert [r.value for r in again] == [r.value for r in first]
    assert calls == ["search, force=True", "transfer", "search, force=False", "transfer"]


def test_machine_settings_do_not_change_a_row_id(tmp_path):
    one = grid(tmp_path / "a", settings(("random_features",)))
    two = grid(tmp_path / "b", settings(("random_features",)), cache_dir=tmp_path / "c")
    assert one[0].id == two[0].id


def test_search_settings_do_not_change_the_id_of_random_features(tmp_path):
    chosen = settings(("random_features",))
    one = grid(tmp_path, chosen)
    two = grid(tmp_path, replace(chosen, search=replace(chosen.search, method_options={"lr": 0.5})))
    assert one[0].id == two[0].id


def test_a_target_that_is_the_only_source_cannot_be_universal(tmp_path):
    for target in ("mnist5k:0-4", "mnist5k:parity"):
        with pytest.raises(UltError, match=r"sources: got \[mnist5k:0-4\].*must not have seen: universal; "):
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
        ({"arm_options": {"dens": {}}}, "arm: got 'dens'.*dense"),
        ({"arm_options": {"dense": 3}}, "arm.dense: got 3, wanted options with values"),
        ({"arm_options": {"dense_long": {"factor": 0}}}, "arm.dense_long.factor: got 0"),
        (
            {"arm_options": {"dense_converged": {"doublings": 1}}},
            "option of arm.dense_converged: got 'doublings'.*max_doublings",
        ),
        ({"head": "rigde"}, "head: got 'rigde'.*ridge"),
        ({"head_options": {"lambda": [1]}}, "option of head.options: got 'lambda'.*lambdas"),
        ({"head_options": {"lambdas": [0]}}, "head.options.lambdas: got 0"),
        ({"head": "sgd", "head_options": {"epochs": 0}}, "head.options.epochs: got 0"),
    ],
)
def test_bad_grids_are_one_sentence(change, message):
    with pytest.raises(UltError, match=message) as found:
        settings(**change)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lrs": ()}, r"lrs: got \[\]"),
        ({"lrs": (0.1, 0.1)}, "lrs: got .*each entry once"),
        ({"lrs": (-0.1,)}, "lrs: got -0.1"),
        ({"pilot_share": 1.5}, "pilot_share: got 1.5, wanted a number above 0 and at most 1"),
        ({"pilot_seed": -1}, "pilot_seed: got -1"),
        ({"momentum": 5}, "momentum: got 5"),
        ({"weight_decay": -1}, "weight_decay: got -1"),
        ({"schedule": "cosin"}, "schedule: got 'cosin'.*cosine"),
    ],
)
def test_bad_dense_settings_are_one_sentence(change, message):
    with pytest.raises(UltError, match=message) as found:
        DenseSettings(**change)
    assert "\n" not in str(found.value)


def test_rates_of_which_none_trains_are_one_sentence(tmp_path):
    chosen = settings(("dense",), dense=DenseSettings(lrs=(1e30, 1e31)))
    with pytest.raises(UltError, match=r"dense.lrs: got \[1e\+30, 1e\+31\], none of which trains"):
        grid(tmp_path, replace(chosen, mother=replace(chosen.mother, norm="none")))


def test_a_finetuned_network_keeps_pruned_weights_at_zero(tmp_path, monkeypatch):
    held = []
    real = train_module.train_end_to_end
    monkeypatch.setattr(train_module, "train_end_to_end", lambda *a, **k: held.append(real(*a, **k)) or held[-1])
    (row,) = grid(tmp_path, settings(("finetuned",)))
    ticket = TicketStore(tmp_path).load(row.ticket)
    weights = dict(held[-1].model.mother.body.named_parameters())
    start = dict(ticket.network().mother.body.named_parameters())
    for name in ticket.mask.names:
        keep = torch.from_numpy(ticket.mask[name].copy())
        assert float(weights[name].detach()[~keep].abs().sum()) == 0.0
        assert not torch.equal(weights[name], start[name])


def test_training_that_was_cut_short_is_no_row(tmp_path):
    """Rows of a run under max_time would stand under the id of the whole run."""
    chosen = settings(("dense",), search=SearchSettings(trainer={"max_steps": 3000}, batch_size=32))
    chosen = replace(chosen, dense=DenseSettings(lrs=(0.1,)))
    with pytest.raises(UltError, match=r"stopped after \d+ of 3000 steps, by max_time or a callback"):
        grid(tmp_path, chosen, trainer={"max_time": "00:00:00:01"})
    assert RowStore(tmp_path).all() == []
