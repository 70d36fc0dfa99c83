"""Frozen networks: a ticket, or any fixed mother, as a feature map that nothing can train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ult_lightning.base import fault
from ult_lightning.nets import _mother as mothers
from ult_lightning.nets._mother import Factory, Mother
from ult_lightning.tickets import Mask, MotherSpec, Subnetwork, TicketError

if TYPE_CHECKING:
    from typing_extensions import Self

    from ult_lightning.tickets import Ticket

Shape = tuple[int, ...]


class FrozenNetwork(nn.Module):
    """Images (b, 3, 32, 32) to features (b, d), frozen: no gradient, no optimizer, always in eval mode.

    A body with a method ``compact`` runs in the smaller form that it returns, the same function up to rounding.
    ``dim`` is d, ``spec`` the mother's spec. ``fingerprint()`` covers weights as they stand (masked) and statistics.
    """

    def __init__(self, mother: Mother) -> None:
        super().__init__()
        self.mother = mother.requires_grad_(False)
        self.spec: MotherSpec = mother.spec
        compact = getattr(mother.body, "compact", None)
        nonnegative = mother.spec.input.range == "unit"
        self.compact: nn.Module | None = compact(nonnegative=nonnegative) if callable(compact) else None
        self.dim = mother.dim()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or tuple(x.shape[1:]) != self.spec.input.shape:
            shape = "(b, " + ", ".join(map(str, self.spec.input.shape)) + ")"
            raise fault(
                "images", tuple(x.shape), f"a batch of shape {shape}", "this ticket was made for that input size"
            )
        features: Tensor = self.mother(x) if self.compact is None else self.compact(mothers.adapt(x, self.spec.input))
        return features

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode, whatever ``mode`` says: batch statistics would change the ticket."""
        return super().train(False)

    def fingerprint(self) -> str:
        """SHA-256 over the masked weights and the normalisation statistics as they are now."""
        body = self.mother.body
        tensors = {**dict(body.named_parameters()), **mothers.statistics(body)}
        if self.compact is not None:
            tensors |= {f"compact.{name}": p for name, p in self.compact.named_parameters()}
        return mothers.hash_arrays(mothers.as_arrays(tensors).items())


def apply_subnetwork(body: nn.Module, subnetwork: Subnetwork | Mask) -> None:
    """Gives, in place, every maskable parameter its value in the subnetwork: a pruned one is zero.

    A bare `Mask` stands for a subnetwork without extras. Raises ``TicketError`` if names or shapes do not fit.
    """
    _apply(subnetwork if isinstance(subnetwork, Subnetwork) else Subnetwork(subnetwork), mothers.maskable(body))


def _apply(subnetwork: Subnetwork, parameters: Mapping[str, nn.Parameter]) -> None:
    check_shapes("mask", {n: tuple(p.shape) for n, p in parameters.items()}, subnetwork.mask.shapes)
    with torch.no_grad():
        for name, weight in mothers.as_arrays(dict(parameters)).items():
            parameters[name].copy_(torch.from_numpy(subnetwork.values(name, weight)))


def check_shapes(what: str, network: Mapping[str, Shape], ticket: Mapping[str, Shape]) -> None:
    """Raises ``TicketError`` that names the first entry in which a ticket's ``what`` and a network differ."""
    for name in (*network, *ticket):
        if network.get(name) != ticket.get(name):
            raise TicketError(
                f"The ticket's {what} and its mother do not fit: {name} is {ticket.get(name, 'absent')} in the ticket and "
                f"{network.get(name, 'absent')} in the network; build the mother it was made for."
            )


def set_tensors(tensors: dict[str, Tensor], values: dict[str, NDArray[np.float32]], what: str) -> None:
    """Copies ``values`` into ``tensors``, in place; raises ``TicketError`` if names or shapes do not fit."""
    check_shapes(what, {n: tuple(t.shape) for n, t in tensors.items()}, {n: v.shape for n, v in values.items()})
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(np.array(values[name])))


def freeze(mother: Mother, subnetwork: Subnetwork | Mask | None = None) -> FrozenNetwork:
    """A frozen network from a mother (changed in place): the subnetwork if one is given, else the whole."""
    if subnetwork is not None:
        apply_subnetwork(mother.body, subnetwork)
    return FrozenNetwork(mother)


def build_frozen(ticket: Ticket, *, module: Factory | None = None) -> FrozenNetwork:
    """Rebuilds the ticket's network: mother from its seed (or embedded weights), subnetwork, statistics; frozen."""
    mother, drawn, _ = _rebuild(ticket, module)
    _apply(ticket.subnetwork, drawn)
    return FrozenNetwork(mother)


def mother_fingerprint(ticket: Ticket, module: Factory | None = None) -> str:
    """The fingerprint of the mother that the ticket's spec (or its embedded weights) gives on this machine.

    Raises ``TicketError`` if the mask, the statistics or the constants do not fit that mother.
    """
    _, drawn, constants = _rebuild(ticket, module)
    check_shapes("mask", {n: tuple(p.shape) for n, p in drawn.items()}, ticket.mask.shapes)
    return mothers.hash_arrays(mothers.as_arrays({**drawn, **constants}).items())


def mother_weights(ticket: Ticket, module: Factory | None = None) -> dict[str, NDArray[np.float32]]:
    """The mother's maskable parameters as float32 arrays, to embed in an archive."""
    return mothers.as_arrays(_rebuild(ticket, module)[1])


def _rebuild(ticket: Ticket, module: Factory | None) -> tuple[Mother, dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """The mother, and its parameters apart: those that streams draw and the mask is about, and the constants.

    Tickets of version 0.1 hold the projections of attention as constants.
    """
    mother = mothers.build_mother(ticket.spec, module, constant=ticket.constants)
    body = mother.body
    maskable = mothers.maskable(body)
    drawn = {n: p for n, p in maskable.items() if n in ticket.mask or n not in ticket.constants}
    constants = {n: p for n, p in body.named_parameters() if n not in drawn}
    set_tensors(dict(constants), ticket.constants, "constants")
    set_tensors(mothers.statistics(body), ticket.statistics, "statistics")
    if ticket.weights is not None:
        set_tensors(dict(drawn), ticket.weights, "weights")
    return mother, drawn, constants
