"""A constructed ticket beside the exact monomials, on images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ult_lightning.construct import monomial_values, monomials
from ult_lightning.results import RowStore
from ult_lightning.studies import STUDIES, run_study, study_axes
from ult_lightning.studies._constructed_on_images import EXACT, TICKET, ExactMonomials
from ult_lightning.tickets import InputSpec

NAME = "constructed_on_images"


def test_exact_monomials_are_products_of_the_pooled_pixels() -> None:
    for degree in (1, 2, 3):
        network = ExactMonomials(InputSpec((3, 32, 32), range="unit", adapter="crop28pool7"), degree)
        images = torch.rand(5, 3, 32, 32)
        pixels = images[:, :, 2:30, 2:30].reshape(5, 3, 7, 4, 7, 4).mean((1, 3, 5)).reshape(5, 49)
        wanted = monomial_values(pixels.double().numpy(), monomials(49, degree))
        assert network.dim == wanted.shape[1]
        np.testing.assert_allclose(network(images).numpy(), wanted, atol=1e-6)


def test_the_ticket_is_as_good_as_the_monomials(tmp_path: Path) -> None:
    store = RowStore(tmp_path / "store")
    data = {"data_dir": tmp_path, "cache_dir": tmp_path / "cache"}
    rows = run_study(NAME, {"fast": True}, store=store, data=data)
    assert len(rows) == 4
    metrics = set(study_axes(NAME, {"fast": True}).panels)
    assert {row.metric for row in rows} == metrics == {"accuracy_digits"}
    for pool in (3, 4):
        exact, ticket = (next(r for r in rows if r.arm == arm and r.extra["x"] == pool) for arm in (EXACT, TICKET))
        assert abs(exact.value - ticket.value) < 0.06  # 300 images to learn from, 359 to test on
        assert exact.value > 0.6
        assert exact.extra["features"] == ticket.extra["features"] == (54 if pool == 3 else 152)
        assert ticket.extra["certificate"] <= 0.02
        assert ticket.extra["units"] < 0.5 * ticket.extra["mother_units"]
        assert ticket.ticket is not None
        assert exact.ticket is None
        assert (exact.n, exact.n_train) == (ticket.n, ticket.n_train)
    again = run_study(NAME, {"fast": True}, store=store, data=data)
    assert [row.created for row in again] == [row.created for row in rows]  # nothing was measured twice


def test_its_panels_are_its_tasks() -> None:
    assert set(study_axes(NAME).panels) == {"accuracy_mnist", "accuracy_fashion_mnist"}
    assert STUDIES.get(NAME).options["pools"] == [7, 9]
