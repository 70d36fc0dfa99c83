"""Bytes needed to store k tasks: a mask once and a head per task, or a whole network per task."""

from __future__ import annotations

from dataclasses import dataclass

from ult_lightning.base import canonical_json
from ult_lightning.nets import FrozenNetwork, statistics
from ult_lightning.tickets import Ticket


@dataclass(frozen=True)
class Storage:
    """``shared`` bytes once, and ``per_task`` bytes for each task."""

    shared: int
    per_task: int

    def of(self, tasks: int) -> int:
        """bytes(k) = shared + k * per_task."""
        return self.shared + tasks * self.per_task


def head_bytes(dim: int, classes: int) -> int:
    """A float32 linear head: 4 (d + 1) k."""
    return 4 * (dim + 1) * classes


def ticket_storage(ticket: Ticket, dim: int, classes: int, *, shared: bool) -> Storage:
    """A ticket file, once for all tasks (``shared``) or one per task, and a head per task."""
    file, head = len(ticket.to_bytes()), head_bytes(dim, classes)
    return Storage(file, head) if shared else Storage(0, file + head)


def network_storage(network: FrozenNetwork, classes: int) -> Storage:
    """A random network without a searched mask: its spec (the seed in it) and its statistics once, a head per task."""
    spec = len(canonical_json(network.spec.to_dict()))
    stats = 4 * sum(t.numel() for t in statistics(network.mother.body).values())
    return Storage(spec + stats, head_bytes(network.dim, classes))
