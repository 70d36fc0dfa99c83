"""The bridge from theory to images: a ticket constructed for monomials of pooled pixels, with a ridge head."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ult_lightning.nets import INITS
from ult_lightning.studies._study import STUDIES, Axes, Found, Options, Point, Study
from ult_lightning.tickets import InputSpec, MotherSpec

if TYPE_CHECKING:
    from ult_lightning.data import Task
    from ult_lightning.tickets import Ticket

EXACT, TICKET = "exact monomials", "constructed ticket"
_SHAPE = (3, 32, 32)


class ExactMonomials(nn.Module):
    """The features that the ticket approximates, computed as products: images (b, 3, 32, 32) to (b, k), frozen."""

    def __init__(self, fed: InputSpec, degree: int) -> None:
        super().__init__()
        from ult_lightning.construct import monomials

        assert fed.pool is not None
        self.spec = MotherSpec("exact monomials", norm="none", input=fed)
        powers = monomials(fed.pool**2, degree)
        self.dim = len(powers)
        places = [[i for i, r in enumerate(row) for _ in range(r)] for row in powers.tolist()]
        padded = [row + [fed.pool**2] * (degree - len(row)) for row in places]  # the entry behind the last is 1
        self.register_buffer("places", torch.tensor(padded))

    def forward(self, x: Tensor) -> Tensor:
        from ult_lightning.nets import adapt

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
    for seed in options["seeds"]:

        @cache
        def load(name: str, seed: int = seed) -> Task:
            from ult_lightning.data import TaskSpec, load_task

            spec = replace(TaskSpec.parse(name), train_limit=options["train_limit"] or None)
            return load_task(spec, seed=seed, **data)

        for pool in options["pools"]:
            fed = InputSpec(_SHAPE, range="unit", adapter=f"crop{options['crop']}pool{pool}")
            made = {"degree": options["degree"], "eps": options["eps"], "init": options["init"]}
            ticket = cache(partial(_construct, fed, seed=seed, **made))
            for name in options["tasks"]:
                science = {"task": name, "train_limit": options["train_limit"], "input": fed.to_dict(),
                           "lambdas": list(options["lambdas"]), "degree": options["degree"]}  # fmt: skip
                for kind in (EXACT, TICKET):
                    network = partial(_exact, fed, options["degree"]) if kind == EXACT else ticket
                    own = {} if kind == EXACT else made
                    metric = f"accuracy_{name}"
                    measure = partial(_measured, network, partial(load, name), options["lambdas"], pool, metric)
                    yield Point(kind, seed, {**science, **own}, (metric,), measure)


def _construct(fed: InputSpec, *, degree: int, eps: float, init: str, seed: int) -> tuple[nn.Module, Ticket]:
    from ult_lightning.construct import polynomial_ticket

    assert fed.pool is not None
    ticket = polynomial_ticket(fed.pool**2, degree, eps, init=init, seed=seed, input=fed)
    return ticket.network(), ticket


def _exact(fed: InputSpec, degree: int) -> tuple[nn.Module, None]:
    return ExactMonomials(fed, degree), None


def _measured(made: Any, load: Any, lambdas: list[float], pool: int, metric: str) -> Found:
    """The test accuracy of a ridge head, its penalty chosen on validation."""
    from ult_lightning.transfer import transfer

    network, ticket = made()
    task = load()
    result = transfer(network, task, head="ridge", options={"lambdas": lambdas})
    extra: dict[str, Any] = {
        "seconds": result.seconds["total"],
        "seconds_of": dict(result.seconds),
        "features": network.dim,
        "hyper": result.fit.hyper,
        "valid_accuracy": result.fit.valid_accuracy,
        "n_valid": result.fit.n_valid,
    }
    if ticket is not None:
        certificate = ticket.provenance["certificate"]
        layers = [shape for name, shape in ticket.mask.shapes.items() if name.endswith("weight")]
        extra |= {
            "kept": ticket.mask.kept,
            "total": ticket.mask.total,
            "density": ticket.density,
            "certificate": certificate["bound"],
            "construct_seconds": ticket.provenance["seconds"],
            "mother_units": sum(shape[0] for shape in layers),
            "units": network.compact.units,
        }
    head = result.fit.head
    return Found(
        {metric: result.accuracy},
        pool,
        result.n_test,
        extra=extra,
        ticket=None if ticket is None else ticket.id,
        n_train=result.fit.n_train,
        unit="fraction",
        trained="head",
        parameters_trained=head.weight.numel() + head.bias.numel(),
    )


STUDIES.add(
    "constructed_on_images",
    Study(
        name="constructed_on_images",
        claim="A ticket that theory constructs, neither searched nor trained, serves images: with a ridge head it is as "
        "good as the exact monomials of the pooled pixels.",
        title="Monomials of pooled pixels with a ridge head",
        axes=Axes(x="pixels after pooling, per side", panels={}, log_y=False),
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
