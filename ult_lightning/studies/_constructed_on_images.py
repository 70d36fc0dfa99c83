"""The bridge from theory to images: a ticket constructed for monomials of pooled pixels, with a ridge head."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from ult_lightning.construct import monomials, polynomial_ticket
from ult_lightning.data import TaskSpec, load_task
from ult_lightning.nets import INITS, adapt
from ult_lightning.results import StudyAxes
from ult_lightning.studies._study_runner import STUDIES, Options, Point, Result, Study
from ult_lightning.tickets import InputSpec, MotherSpec, Ticket
from ult_lightning.transfer import transfer

EXACT, TICKET = "exact monomials", "constructed ticket"


class ExactMonomials(nn.Module):
    """The features that the ticket approximates, computed as products: images (b, 3, 32, 32) to (b, k), frozen."""

    def __init__(self, fed: InputSpec, degree: int) -> None:
        super().__init__()
        assert fed.pool is not None
        self.spec = MotherSpec("exact monomials", norm="none", input=fed)
        powers = monomials(fed.pool**2, degree)
        self.dim = len(powers)
        places = [[i for i, r in enumerate(row) for _ in range(r)] for row in powers.tolist()]
        padded = [row + [fed.pool**2] * (degree - len(row)) for row in places]  # the entry behind the last is 1
        self.register_buffer("places", torch.tensor(padded))

    def forward(self, x: Tensor) -> Tensor:
        u = 0.5 * (1.0 + adapt(x, self.spec.input).mean(1).flatten(1))  # (b, d)
        u = torch.cat([u, torch.ones_like(u[:, :1])], 1)
        places: Any = self.places
        product = u[:, places[:, 0]]
        for column in places.T[1:]:
            product = product * u[:, column]
        return product

    def fingerprint(self) -> str:
        """SHA-256 of the places that are multiplied."""
        places: Any = self.places
        return hashlib.sha256(places.cpu().numpy().tobytes()).hexdigest()


def _points(options: Options, data: Mapping[str, Any]) -> Iterator[Point]:
    @cache
    def task(name: str, seed: int) -> Any:
        return load_task(replace(TaskSpec.parse(name), train_limit=options["train_limit"] or None), seed=seed, **data)

    chosen = {name: options[name] for name in ("degree", "eps", "init")}
    for seed, pool in product(options["seeds"], options["pools"]):
        fed = InputSpec((3, 32, 32), range="unit", adapter=f"crop{options['crop']}pool{pool}")
        exact = partial(ExactMonomials, fed, options["degree"])
        ticket = cache(partial(polynomial_ticket, pool**2, **chosen, seed=seed, input=fed))
        for name in options["tasks"]:
            same = {name: options[name] for name in ("train_limit", "lambdas", "degree")}
            science = {"task": name, "input": fed.to_dict(), **same}
            metric = f"accuracy_{name}"
            for series, make, own in ((EXACT, exact, {}), (TICKET, ticket, chosen)):
                measure = partial(_measured, make, partial(task, name, seed), list(options["lambdas"]), pool, metric)
                yield Point(series, seed, {**science, **own}, (metric,), measure)


def _measured(make: Any, load: Any, lambdas: list[float], pool: int, metric: str) -> Result:
    """The test accuracy of a ridge head, its penalty chosen on validation."""
    made = make()
    ticket = made if isinstance(made, Ticket) else None
    network: Any = made if ticket is None else ticket.network()
    result = transfer(network, load(), head="ridge", options={"lambdas": lambdas})
    fit = result.fit
    extra: dict[str, Any] = {
        "seconds": result.seconds["total"],
        "seconds_of": dict(result.seconds),
        "features": network.dim,
        "hyper": fit.hyper,
        "valid_accuracy": fit.valid_accuracy,
        "n_valid": fit.n_valid,
    }
    if ticket is not None:
        layers = [shape for name, shape in ticket.mask.shapes.items() if name.endswith("weight")]
        extra |= {
            "kept": ticket.mask.kept,
            "total": ticket.mask.total,
            "density": ticket.density,
            "certificate": ticket.provenance["certificate"]["bound"],
            "construct_seconds": ticket.provenance["seconds"],
            "mother_units": sum(shape[0] for shape in layers),
            "units": network.compact.units,
        }
    shared = {
        "ticket": None if ticket is None else ticket.id,
        "n_train": fit.n_train,
        "unit": "fraction",
        "trained": "head",
        "parameters_trained": fit.head.weight.numel() + fit.head.bias.numel(),
    }
    return Result({metric: result.accuracy}, pool, result.n_test, extra=extra, shared=shared)


STUDIES.add(
    "constructed_on_images",
    Study(
        name="constructed_on_images",
        claim="A ticket that theory constructs, neither searched nor trained, serves images: with a ridge head it is as "
        "good as the exact monomials of the pooled pixels.",
        title="Monomials of pooled pixels with a ridge head",
        axes=StudyAxes(x="pixels after pooling, per side", panels={}, log_y=False),
        panels=lambda options: {f"accuracy_{name}": f"test accuracy, {name}" for name in options["tasks"]},
        options={
            "tasks": ["mnist", "fashion_mnist"],
            "pools": [7, 9],
            "crop": 28,
            "degree": 2,
            "eps": 1e-3,
            "init": "kaiming_normal",
            "train_limit": 0,
            "lambdas": [1e-2, 3.162e-3, 1e-3, 3.162e-4, 1e-4, 3.162e-5, 1e-5, 3.162e-6, 1e-6, 3.162e-7, 1e-7],
            "seeds": [0, 1, 2],
        },
        fast={"tasks": ["digits"], "pools": [3, 4], "seeds": [0], "eps": 0.02, "train_limit": 300},
        choices={"init": INITS.names()},
        points=_points,
        needs_data=True,
    ),
)
