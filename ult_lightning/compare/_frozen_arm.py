"""Frozen networks with a head on the target: a ticket, a random network, or the pixels themselves."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor, nn

from ult_lightning.compare._bytes import Storage, head_bytes, network_storage, ticket_storage
from ult_lightning.compare.arms._arm import Outcome
from ult_lightning.nets import FrozenNetwork
from ult_lightning.search import frozen_on
from ult_lightning.tickets import InputSpec, Mask, Ticket
from ult_lightning.transfer import TransferResult, transfer, with_search

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell
    from ult_lightning.data import Task


def with_ticket(cell: Cell, sources: list[Task], *, seen: bool, own: bool = False) -> Outcome:
    """The ticket searched on ``sources`` with the head of the comparison; ``own``: no other task shares its file."""
    ticket = cell.ticket(sources)
    network = ticket.network().to(cell.machine.device)
    assert isinstance(network, FrozenNetwork)
    result = _transfer(cell, network)
    head = f"{cell.settings.head} head"
    return _outcome(
        cell,
        result,
        f"mask + {head}" if seen else head,
        ticket_storage(ticket, network.dim, cell.task.classes, shared=not own),
        steps=cell.search_steps,
        searched=cell.search_images(sources),
        ticket=ticket,
        seen=seen,
    )


def with_random(cell: Cell, mask: Mask | None) -> Outcome:
    """The random mother, whole or masked, with the head of the comparison; its statistics are those of the sources."""
    network = frozen_on(cell.unseen_sources, cell.mother, mask, device=cell.machine.device, seed=cell.seed)
    result = _transfer(cell, network)
    return _outcome(cell, result, f"{cell.settings.head} head", network_storage(network, cell.task.classes))


def with_pixels(cell: Cell) -> Outcome:
    """The canonical pixels with a ridge head."""
    pixels = cast(FrozenNetwork, Pixels(cell.task))
    result = transfer(pixels, cell.task, seed=cell.seed, device=cell.machine.device)
    return _outcome(cell, result, "ridge head", Storage(0, head_bytes(result.dim, cell.task.classes)))


class Pixels(nn.Module):
    """Images (b, 3, 32, 32) to their pixels (b, d) in the place of a frozen network: d is 3,072, or 1,024 for grey ones."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.channels = int(task.train.images.shape[1])
        self.spec = SimpleNamespace(input=InputSpec())
        self.dim = self.channels * math.prod(self.spec.input.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.channels].flatten(1)

    def fingerprint(self) -> str:
        """That of no parameters."""
        return hashlib.sha256(b"").hexdigest()


def draw_mask(shapes: Mapping[str, tuple[int, ...]], kept: Mapping[str, int], *, seed: int) -> Mask:
    """A uniformly random mask with exactly ``kept`` entries per parameter."""
    parts = {}
    for index, (name, shape) in enumerate(shapes.items()):
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index, 1])))
        flat = np.zeros(math.prod(shape), dtype=bool)
        flat[generator.permutation(flat.size)[: kept[name]]] = True
        parts[name] = flat.reshape(shape)
    return Mask(parts)


def _transfer(cell: Cell, network: FrozenNetwork) -> TransferResult:
    settings = cell.settings
    return transfer(
        network,
        cell.task,
        head=settings.head,
        options=settings.head_options,
        seed=cell.seed,
        precision=cell.search.precision,
        device=cell.machine.device,
    )


def _outcome(
    cell: Cell,
    result: TransferResult,
    trained: str,
    storage: Storage,
    *,
    steps: int = 0,
    searched: int = 0,
    ticket: Ticket | None = None,
    seen: bool | None = None,
) -> Outcome:
    fit = result.fit
    mask = {} if ticket is None else {"mask_bits": ticket.mask.total, "density": ticket.density}
    return Outcome(
        accuracy=result.accuracy,
        valid_accuracy=fit.valid_accuracy,
        trained=trained,
        parameters_trained=(result.dim + 1) * cell.task.classes,
        steps=steps,
        images=searched + result.images,
        seconds=with_search(ticket, result.seconds),
        storage=storage,
        ticket=None if ticket is None else ticket.id,
        seen=seen,
        extra={
            **fit.hyper,
            "grid": [list(pair) for pair in fit.grid.path],
            "edge": fit.grid.edge,
            "fingerprint": result.fingerprint_after,
            **mask,
        },
    )
