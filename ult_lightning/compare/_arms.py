"""The arms by name: ways to solve a task with the same mother, data, split and steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ult_lightning.base import Registry
from ult_lightning.compare._bytes import Storage, network_storage, ticket_storage
from ult_lightning.compare._train import EndToEnd, train_end_to_end, validated_rate
from ult_lightning.data import Task
from ult_lightning.heads import transfer
from ult_lightning.nets import FrozenNetwork, build_mother, parameter_count
from ult_lightning.search import frozen_on
from ult_lightning.tickets import Mask, Ticket

if TYPE_CHECKING:
    from ult_lightning.compare._cell import Cell


@dataclass(frozen=True)
class Outcome:
    """What an arm measured on its target's test split, and what that took."""

    accuracy: float
    trained: str
    parameters_trained: int
    seconds: dict[str, float]
    storage: Storage
    ticket: str | None = None
    seen: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """``run`` measures it; ``needs`` names the parts of the settings that its number depends on."""

    run: Callable[[Cell], Outcome]
    sources: Callable[[Cell], list[Task]] | None
    """The tasks whose images shape the network before the target's head is fitted, None if the target's own do."""
    needs: frozenset[str]


ARMS: Registry[Arm] = Registry("arm")

_FROZEN = frozenset({"head", "precision"})
_SEARCHED = _FROZEN | {"search", "steps"}
_TRAINED = frozenset({"dense", "training", "steps"})


def _arm(
    name: str,
    sources: Callable[[Cell], list[Task]] | None,
    needs: frozenset[str],
) -> Callable[[Callable[[Cell], Outcome]], Callable[[Cell], Outcome]]:
    def register(run: Callable[[Cell], Outcome]) -> Callable[[Cell], Outcome]:
        ARMS.add(name, Arm(run, sources, needs))
        return run

    return register


def unseen(cell: Cell) -> list[Task]:
    """The sources without the target."""
    return cell.unseen_sources


@_arm("dense", None, _TRAINED)
def dense(cell: Cell) -> Outcome:
    """All weights trained end to end, with a validated learning rate."""
    return _trained(cell, "dense", "all weights + head")


@_arm("dense_long", None, _TRAINED)
def dense_long(cell: Cell) -> Outcome:
    """Like dense, with ``long_factor`` times the steps and with random crop and flip."""
    return _trained(cell, "dense_long", "all weights + head", long=True)


@_arm("finetuned", unseen, _TRAINED | {"search"})
def finetuned(cell: Cell) -> Outcome:
    """The universal ticket's kept weights, trained end to end on the target."""
    ticket = cell.ticket(cell.unseen_sources)
    return _trained(cell, "finetuned", "kept weights + head", ticket=ticket)


@_arm("joint", lambda cell: cell.all_sources, _SEARCHED)
def joint(cell: Cell) -> Outcome:
    """The ticket searched on all sources, the target's training split among them."""
    shaping = cell.all_sources
    for source in cell.sources:
        if source.id not in {s.id for s in shaping}:
            cell.machine.notice(f"joint on {cell.task.id}: the source {source.id} is left out, since its training images "
                                "may be test images of the target.")  # fmt: skip
    return _with_ticket(cell, cell.ticket(shaping), seen=True)


@_arm("specialist", lambda cell: [cell.task], _SEARCHED)
def specialist(cell: Cell) -> Outcome:
    """The ticket searched on the target itself."""
    return _with_ticket(cell, cell.ticket([cell.task]), seen=True, own=True)


@_arm("universal", unseen, _SEARCHED)
def universal(cell: Cell) -> Outcome:
    """The ticket searched on the sources without the target."""
    return _with_ticket(cell, cell.ticket(cell.unseen_sources), seen=False)


@_arm("random_mask", unseen, _SEARCHED)
def random_mask(cell: Cell) -> Outcome:
    """A random mask with the universal ticket's density in every layer."""
    model = cell.ticket(cell.unseen_sources).mask
    mask = draw_mask(model.shapes, {n: int(model[n].sum()) for n in model.names}, seed=cell.seed)
    network = frozen_on(cell.unseen_sources, cell.mother, mask, device=cell.machine.device, seed=cell.seed)
    return _with_head(cell, network, _head(cell), network_storage(network, cell.task.classes))


@_arm("random_features", unseen, _FROZEN)
def random_features(cell: Cell) -> Outcome:
    """The whole random mother."""
    network = frozen_on(cell.unseen_sources, cell.mother, device=cell.machine.device, seed=cell.seed)
    return _with_head(cell, network, _head(cell), network_storage(network, cell.task.classes))


def _head(cell: Cell) -> str:
    return f"{cell.settings.head} head"


def draw_mask(shapes: Mapping[str, tuple[int, ...]], kept: Mapping[str, int], *, seed: int) -> Mask:
    """A uniformly random mask with exactly ``kept`` entries per parameter."""
    parts = {}
    for index, (name, shape) in enumerate(shapes.items()):
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index, 1])))
        flat = np.zeros(math.prod(shape), dtype=bool)
        flat[generator.permutation(flat.size)[: kept[name]]] = True
        parts[name] = flat.reshape(shape)
    return Mask(parts)


def _with_ticket(cell: Cell, ticket: Ticket, *, seen: bool, own: bool = False) -> Outcome:
    network = ticket.network().to(cell.machine.device)
    assert isinstance(network, FrozenNetwork)
    storage = ticket_storage(ticket, network.dim, cell.task.classes, shared=not own)
    outcome = _with_head(cell, network, f"mask + {_head(cell)}" if seen else _head(cell), storage)
    seconds = with_search(ticket, outcome.seconds)
    extra = {**outcome.extra, "mask_bits": ticket.mask.total, "density": ticket.density}
    return Outcome(
        outcome.accuracy,
        outcome.trained,
        outcome.parameters_trained,
        seconds,
        storage,
        ticket.id,
        seen,
        extra,
    )


def with_search(ticket: Ticket, seconds: dict[str, float]) -> dict[str, float]:
    """Seconds by phase with those of the ticket's search, which count in full although tasks may share it."""
    search = float(ticket.provenance["seconds"])
    return {"search": search, **seconds, "total": search + seconds["total"]}


def _with_head(cell: Cell, network: FrozenNetwork, trained: str, storage: Storage) -> Outcome:
    settings = cell.settings
    result = transfer(network, cell.task, head=settings.head, options=settings.head_options, seed=cell.seed,
                      precision=cell.search.precision, device=cell.machine.device)  # fmt: skip
    extra = {
        **result.fit.hyper,
        "valid_accuracy": result.fit.valid_accuracy,
        "fingerprint": result.fingerprint_after,
    }
    parameters = (network.dim + 1) * cell.task.classes
    return Outcome(result.accuracy, trained, parameters, dict(result.seconds), storage, extra=extra)


def _trained(
    cell: Cell,
    arm: str,
    trained: str,
    *,
    ticket: Ticket | None = None,
    long: bool = False,
) -> Outcome:
    """Trains the mother's weights (the kept ones of a ticket) and a linear head with the validated learning rate."""
    rate, path, pilot = validated_rate(cell, ticket)
    factor = cell.settings.dense.long_factor if long else 1
    result = train_end_to_end(cell, EndToEnd(cell, ticket), rate, factor * cell.steps,
                              augment=long or cell.search.augment, test=True)  # fmt: skip
    classes, kept = cell.task.classes, parameter_count(build_mother(cell.mother).body)
    if ticket is not None:
        kept = ticket.mask.kept
    parameters = kept + (result.dim + 1) * classes
    mask_bytes = 0 if ticket is None else -(-ticket.mask.total // 8)
    head_bytes = 4 * (result.dim + 1) * classes
    storage = Storage(shared=mask_bytes, per_task=4 * kept + result.statistics_bytes + head_bytes)
    extra = {"lr": rate, "lr_path": path, "valid_accuracy": result.valid_accuracy, "steps": result.steps,
             "augment": long or cell.search.augment}  # fmt: skip
    seconds = {"pilot": pilot, "train": result.seconds, "test": result.test_seconds}
    seconds["total"] = sum(seconds.values())
    if ticket is not None:
        seconds = with_search(ticket, seconds)
    return Outcome(result.accuracy, trained, parameters, seconds, storage,
                   None if ticket is None else ticket.id, None if ticket is None else False, extra)  # fmt: skip
