"""Small tickets, and stand-ins for the nets room: a mother whose parameters are drawn with NumPy alone."""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Callable

import numpy as np
import pytest

from ult_lightning.base import UltError, _registry, provide
from ult_lightning.tickets import Mask, MotherSpec, Ticket

SHAPES = {"b.weight": (2, 3, 1, 1), "a.weight": (5, 2), "a.bias": (5,)}


def draw(ticket: Ticket, module: Callable[[], int] | None = None) -> dict[str, np.ndarray]:
    """The stand-in's parameters: the ticket's embedded ones, else drawn from the spec (or the factory's seed)."""
    if ticket.weights is not None:
        return dict(ticket.weights)
    if ticket.spec.net not in ("conv2", "module"):
        raise UltError(f"net: got {ticket.spec.net!r}, wanted one of conv2, module.")
    seed = ticket.spec.seed if module is None else module()
    generator = np.random.default_rng([seed, ticket.spec.options["width"]])
    return {name: generator.standard_normal(shape).astype("f4") for name, shape in ticket.mask.shapes.items()}


def fingerprint(ticket: Ticket, module: Callable[[], int] | None = None) -> str:
    parameters = draw(ticket, module)
    content = b"".join(name.encode() + parameters[name].tobytes() for name in sorted(parameters))
    return hashlib.sha256(content).hexdigest()


def network(ticket: Ticket, *, module: Callable[[], int] | None = None) -> dict[str, np.ndarray]:
    return {name: ticket.mask[name] * part for name, part in draw(ticket, module).items()}


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide the stand-ins for as long as one test runs."""
    nets = types.ModuleType("stand_in_nets")
    nets.draw, nets.fingerprint, nets.network = draw, fingerprint, network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, nets.__name__, nets)
    monkeypatch.setattr(_registry, "_PROVIDERS", dict(_registry._PROVIDERS))
    provide("mother_fingerprint", "stand_in_nets:fingerprint")
    provide("mother_weights", "stand_in_nets:draw")
    provide("network_builder", "stand_in_nets:network")


@pytest.fixture
def make() -> Callable[..., Ticket]:
    """Make a small ticket; the keywords replace the constructor's arguments."""
    return make_ticket


@pytest.fixture
def ticket() -> Ticket:
    """A small ticket with everything that a ticket can have but embedded weights."""
    return make_ticket()


def make_ticket(**changes: object) -> Ticket:
    generator = np.random.default_rng(7)
    parts = {name: generator.random(shape) < 0.5 for name, shape in SHAPES.items()}
    arguments = {
        "spec": MotherSpec("conv2", {"width": 2}, seed=3, scale_fan=0.5),
        "subnetwork": Mask(parts),
        "statistics": {"norm.running_mean": np.float32([1.5, -2]), "norm.running_var": np.float32([0.25, 4])},
        "fingerprint": "0" * 64,
        "provenance": {"id": "abc-1", "method": "edge_popup", "sources": [{"id": "mnist5k", "digest": "f" * 64}]},
        "constants": {"token": np.float32([[3]])},
        **changes,
    }
    if "fingerprint" in changes:
        return Ticket(**arguments)
    return Ticket(**{**arguments, "fingerprint": fingerprint(Ticket(**arguments), arguments.get("module"))})
