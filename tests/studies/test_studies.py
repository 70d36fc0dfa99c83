"""Studies: every registered one runs, says everything, is done once, and shows what it claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import ult_lightning.construct
from ult_lightning.base import UltError
from ult_lightning.construct import ConstructError
from ult_lightning.results import Row, RowStore
from ult_lightning.studies import STUDIES, UNREACHED, run_study, study_options
from ult_lightning.studies import _certified_tickets as tickets_module
from ult_lightning.studies._block_size import _median_law, _tail_law
from ult_lightning.studies._depth import digits_target

THEORY = ("block_size", "depth", "kept", "width", "certificate")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RowStore:
    return RowStore(tmp_path_factory.mktemp("store"))


def fast(name: str, store: RowStore, **more: Any) -> list[Row]:
    return run_study(name, {"fast": True}, store=store, **more)


@pytest.mark.parametrize("name", THEORY)
def test_every_study_gives_rows_that_say_everything(name: str, store: RowStore) -> None:
    study = STUDIES.get(name)
    heard: list[str] = []
    rows = fast(name, store, notice=heard.append)
    assert rows
    assert heard
    assert heard[0].startswith(f"{name}: point 1 of ")
    for row in rows:
        assert (row.task, row.unit) == (name, "absolute")
        assert row.metric in study.axes.panels
        assert row.settings["study"] == name
        assert row.extra["series"] == row.arm
        assert row.extra["kind"] in ("measured", "law", "published")
        assert np.isfinite([row.extra["x"], row.extra["group"]]).all()
        assert row.value > 0
        assert Row.from_json(row.to_json()) == row
        if row.ticket is not None:
            assert 0 < row.extra["kept"] < row.extra["total"]
            assert row.extra["sampled"] <= row.extra["bound"]
    assert len({row.id for row in rows}) == len(rows)
    assert {row.metric for row in rows} == set(study.axes.panels)


def test_the_list_above_is_of_all_studies_of_the_theory() -> None:
    assert set(THEORY) <= set(STUDIES.names())
    for name in STUDIES:
        study = STUDIES.get(name)
        assert study.name == name
        assert study.claim
        assert study.claim.endswith(".")
        assert set(study.fast) <= set(study.options)


@pytest.mark.parametrize("name", THEORY)
def test_the_experiment_has_the_options_of_the_study(name: str, repo: Path) -> None:
    path = repo / "conf" / "experiment" / f"theory_{name}.yaml"
    content = yaml.safe_load(path.read_text())
    assert content["study"] == name
    assert content["options"] == dict(STUDIES.get(name).options)
    assert study_options(name, content["options"]) == content["options"]
    assert f"ult construct experiment={path.stem}" in path.read_text()


def test_finished_points_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    store = RowStore(tmp_path)
    options = {"blocks": [4, 6], "pools": ["uniform"], "targets": 50, "seeds": [0]}
    first = run_study("block_size", options, store=store, notice=made.append)
    assert len(made) == 2 + 2  # per block a simulation of two metrics and the law of the median; no law of the tail yet
    made.clear()
    assert run_study("block_size", options, store=store, notice=made.append) == first
    assert made == []
    store.path(first[0].id).unlink()  # interrupted: the other rows stay
    again = run_study("block_size", options, store=store, notice=made.append)
    assert len(made) == 1
    assert [row.value for row in again] == [row.value for row in first]
    more = run_study("block_size", {**options, "seeds": [0, 1]}, store=store, notice=made.append)
    assert len(made) == 1 + 2
    assert {row.id for row in first} < {row.id for row in more}
    made.clear()
    run_study("block_size", options, store=store, force=True, notice=made.append)
    assert len(made) == 4


def test_rows_depend_on_their_point_alone() -> None:
    options = {"pools": ["product"], "targets": 50, "seeds": [3]}
    alone = run_study("block_size", {**options, "blocks": [8]})
    among = run_study("block_size", {**options, "blocks": [4, 8], "pools": ["uniform", "product"]})
    values = {row.id: row.value for row in among}
    assert len(alone) == 3
    for row in alone:
        assert values[row.id] == row.value


def test_simulated_errors_follow_the_laws() -> None:
    options = {"blocks": [12, 14], "targets": 1000, "seeds": [0]}
    rows = {
        (r.settings["study.pool"], r.metric, r.extra["x"], r.extra["kind"]): r.value
        for r in run_study("block_size", options)
    }
    for pool in ("uniform", "product"):
        for n in (12, 14):
            law = rows[pool, "median_error", n, "law"]
            assert rows[pool, "median_error", n, "measured"] == pytest.approx(law, rel=0.25)
    assert rows["uniform", "error_99", 14, "measured"] == pytest.approx(rows["uniform", "error_99", 14, "law"], rel=1.0)
    assert _median_law("uniform", 20) == pytest.approx(1.7e-6, rel=0.1)  # 100,000 targets, simulated
    assert _tail_law("uniform", 15) == pytest.approx(3.0e-3, rel=0.5)
    assert _tail_law("product", 8) is None


def test_a_wide_mother_holds_the_ticket_and_a_narrow_one_does_not() -> None:
    rows = run_study("width", {"scales": [0.03, 0.5], "styles": ["two"], "seeds": [0, 1]})
    narrow, wide = ([r.value for r in rows if r.extra["x"] == x] for x in (0.03, 0.5))
    assert len(narrow) == len(wide) == 2
    assert min(narrow) > 0.05
    assert max(wide) < 1.4e-3


def test_a_mother_that_holds_nothing_has_the_error_of_nothing() -> None:
    rows = run_study("width", {"scales": [0.004], "styles": ["two"], "seeds": [0]})
    assert len(rows) == 1
    assert rows[0].value == pytest.approx(1.0, abs=0.01)


def test_what_is_out_of_reach_is_a_row_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = ult_lightning.construct.polynomial_ticket

    def demanding(*, eps: float, **more: Any) -> Any:
        if eps < 1e-3:
            raise ConstructError(f"eps: got {eps}, wanted at least 0.001.")
        return original(eps=eps, **more)

    monkeypatch.setattr(ult_lightning.construct, "polynomial_ticket", demanding)
    options = {"eps": [1e-7, 2e-2], "styles": ["direct"], "seeds": [0]}
    rows = run_study("kept", options, store=RowStore(tmp_path))
    assert Counter(row.metric for row in rows) == {UNREACHED: 1, "sup_error": 2}
    failed = next(row for row in rows if row.metric == UNREACHED)
    assert "wanted at least" in failed.extra["why"]
    assert "x" not in failed.extra
    assert run_study("kept", options, store=RowStore(tmp_path)) == rows


def test_kept_is_certified_within_eps(store: RowStore) -> None:
    rows = [row for row in fast("kept", store) if row.extra["kind"] == "measured"]
    assert len(rows) == 8
    for row in rows:
        assert row.value == row.extra["bound"] <= row.extra["group"] == row.settings["study.eps"]
        assert row.extra["x"] == row.extra["kept"]
    published = [row for row in fast("kept", store) if row.extra["kind"] == "published"]
    assert [(row.extra["x"], row.value) for row in published] == [(1074, 1.111e-3)]


def test_copies_cost_more_than_two_layers(store: RowStore) -> None:
    rows = {(row.arm, row.metric): row for row in fast("depth", store)}
    assert rows["2L", "kept_per_parameter"].value < 6 < 15 < rows["L+1", "kept_per_parameter"].value
    for row in rows.values():
        assert (row.n, row.n_train) == (397, 1400)
        assert row.extra["target_accuracy"] > 0.6
        assert abs(row.extra["accuracy"] - row.extra["target_accuracy"]) < 0.05
    assert rows["2L", "relative_error"].value < 0.1


def test_the_target_is_trained_by_its_seed_alone() -> None:
    first = digits_target(hidden=(30, 20), seed=1, epochs=1)
    digits_target.cache_clear()
    second = digits_target(hidden=(30, 20), seed=1, epochs=1)
    for one, two in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert one.equal(two)
    other = digits_target(hidden=(30, 20), seed=2, epochs=1)
    assert not other.module[0].weight.equal(first.module[0].weight)
    shares = [float((first.module[i].weight != 0).double().mean()) for i in (0, 2, 4)]
    assert shares == pytest.approx([0.1, 0.1, 0.5], abs=1e-3)
    assert not any(p.requires_grad for p in first.module.parameters())


def test_certificates_hold(store: RowStore) -> None:
    rows = fast("certificate", store)
    assert {row.arm for row in rows} == {"univariate", "network (2L)"}
    for row in rows:
        assert row.extra["x"] == row.extra["sampled"]
        assert row.extra["bound_over_sampled"] >= 1
        assert row.value == row.extra["bound"]
    assert set(tickets_module.FAMILIES) == {"univariate", "polynomial", "fourier", "network"}


def test_a_study_may_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(
        STUDIES.get("block_size"), name="own", options={"blocks": [4], "pools": ["uniform"], "targets": 9, "seeds": [0]}
    )
    monkeypatch.setitem(STUDIES._members, "own", own)
    assert {row.task for row in run_study("own")} == {"own"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("widht", {}, "study: got 'widht', wanted one of .*; did you mean width"),
        ("kept", {"epsilon": [1e-3]}, "option of the study kept: got 'epsilon'"),
        ("kept", {"eps": 1e-3}, "options.eps: got 0.001, wanted a list that is not empty"),
        ("kept", {"eps": []}, r"options.eps: got \[\], wanted a list that is not empty"),
        ("kept", {"eps": [0.1, -1.0]}, "options.eps: got -1.0, wanted a number above 0"),
        ("kept", {"seeds": [-1]}, "options.seeds: got -1, wanted a whole number of at least 0"),
        ("kept", {"seeds": [0, 0]}, r"options.seeds: got \[0, 0\], wanted each entry once"),
        ("kept", {"styles": ["direkt"]}, "options.styles: got 'direkt', wanted one of direct, two"),
        ("kept", {"init": "uniforn"}, "options.init: got 'uniforn'.*did you mean uniform"),
        ("width", {"log_pieces": 2.5}, "options.log_pieces: got 2.5, wanted a whole number above 0"),
        ("block_size", {"targets": True}, "options.targets: got True, wanted a whole number above 0"),
        ("depth", {"fast": "yes"}, "options.fast: got 'yes', wanted true or false"),
    ],
)
def test_mistakes_are_told(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UltError, match=message):
        run_study(name, options)
