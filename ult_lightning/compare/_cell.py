"""One cell of the grid, a target with a seed, and what its arms share: tasks, tickets, the step budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ult_lightning.base import NUMERICS, Options, read_options
from ult_lightning.data import Task, TaskSpec, load_task, seen_by
from ult_lightning.heads import HEADS
from ult_lightning.results import flat, head_settings, mother_settings, search_settings, task_settings, without
from ult_lightning.search import Learner, SearchSettings, search_once, ticket_id
from ult_lightning.tickets import MotherSpec, Ticket, TicketStore

if TYPE_CHECKING:
    from ult_lightning.compare._settings import CompareSettings

Notice = Callable[[str], None]
T = TypeVar("T", bound=Options)


@dataclass(frozen=True)
class Machine:
    """What does not change a number: where files lie and what computes."""

    tickets: TicketStore
    data: Mapping[str, Any]
    """Keyword arguments of ``load_task``: data_dir, cache_dir, download, notice."""
    device: str = "cpu"
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of Lightning's Trainer that change no number."""
    notice: Notice = print
    force: bool = False
    redone: set[str] = field(default_factory=set)
    """Ids of the tickets and pilots that ``force`` has already redone in this run."""
    held: dict[tuple[str, int], Task] = field(default_factory=dict)

    def task(self, spec: TaskSpec, seed: int) -> Task:
        """The task on the device, kept for the next cell."""
        key = (repr(spec), seed)
        if key not in self.held:
            self.held[key] = load_task(spec, seed=seed, **self.data).to(self.device)
        return self.held[key]

    def forced(self, key: str) -> bool:
        """Whether the piece of work called ``key`` must be redone: once per run, if ``force`` says so."""
        if not self.force or key in self.redone:
            return False
        self.redone.add(key)
        return True


@dataclass(frozen=True)
class Cell:
    """A target and a seed."""

    target: TaskSpec
    seed: int
    settings: CompareSettings
    machine: Machine

    @property
    def task(self) -> Task:
        """The target task."""
        return self.machine.task(self.target, self.seed)

    @property
    def sources(self) -> list[Task]:
        """The source tasks, all of them."""
        return [self.machine.task(spec, self.seed) for spec in self.settings.sources]

    @property
    def unseen_sources(self) -> list[Task]:
        """The sources that share neither images nor classes with the target: there may be none."""
        return [s for s in self.sources if not seen_by(self.task, [s])]

    @property
    def all_sources(self) -> list[Task]:
        """The sources and the target, which stands in for a source that is the same task, whatever its name and limits.

        Left out are sources that hold the target's classes in another edition of its data (mnist where the target is
        mnist5k): their training images may be the target's test images.
        """
        target = self.task
        sources = [target if self._same_task(s) else s for s in self.sources if not self._other_edition(s)]
        return sources if any(s is target for s in sources) else [*sources, target]

    def _same_task(self, source: Task) -> bool:
        """Whether a source is the target under whatever name and limits."""
        same = [(t.digest, t.spec.labels, t.class_ids) for t in (source, self.task)]
        return source.id == self.task.id or same[0] == same[1]

    def _other_edition(self, source: Task) -> bool:
        return source.digest != self.task.digest and seen_by(self.task, [source])

    @property
    def mother(self) -> MotherSpec:
        """The mother of this seed."""
        return replace(self.settings.mother, seed=self.seed)

    @property
    def search(self) -> SearchSettings:
        """The search settings of this seed."""
        return replace(self.settings.search, seed=self.seed)

    @property
    def steps(self) -> int:
        """Optimizer steps of every search and of dense training: ``max_steps``, or the epochs of the unseen sources (of
        the target where there is none).
        """
        search, sources = self.search, self.unseen_sources or [self.task]
        stream = sources[0].stream(sources, batch_size=search.batch_size, mixing=search.mixing, seed=self.seed)
        return search.steps(len(stream))

    @property
    def search_steps(self) -> int:
        """Optimizer steps of one search: ``steps``, or none where the method does not train."""
        return self.steps if issubclass(self.search.method_class, Learner) else 0

    def options(self, arm: str, kind: type[T]) -> T:
        """The options of an arm, of which ``kind`` is the dataclass."""
        return read_options(kind, self.settings.arm_options.get(arm), key=f"arm.{arm}")

    def search_images(self, sources: list[Task]) -> int:
        """Training images that the search on these sources draws."""
        sizes = [min(self.search.batch_size, len(source.train)) for source in sources]
        if self.search.mixing == "joint":
            return self.search_steps * sum(sizes)
        return sum(sizes[step % len(sizes)] for step in range(self.search_steps))

    def part(self, name: str, *, full: bool = False) -> dict[str, Any]:
        """The settings of one part of the comparison (see `Arm.needs`); ``full``: with those at their defaults."""
        return _PARTS[name](self, full)

    def ticket(self, sources: list[Task]) -> Ticket:
        """The ticket searched on these sources: one search of ``steps`` steps, or the finished one from the store."""
        settings = self.search.with_steps(self.steps)
        name = ticket_id(sources, self.mother, settings)
        machine = self.machine
        ticket, reused = search_once(
            machine.tickets,
            sources,
            self.mother,
            settings,
            device=machine.device,
            trainer=machine.trainer,
            force=machine.forced(name),
            notice=machine.notice,
            progress=False,
        )
        if not reused:
            machine.notice(
                f"ticket {name} searched on {', '.join(s.id for s in sources)} (seed {self.seed}) "
                f"in {ticket.provenance['seconds']:.0f} s"
            )
        return ticket


def _mother(cell: Cell, full: bool) -> dict[str, Any]:
    spec = cell.mother
    return mother_settings(spec.to_dict(), None if full else MotherSpec(spec.net).to_dict())


def _head(cell: Cell, full: bool) -> dict[str, Any]:
    name, options = cell.settings.head, cell.settings.head_options
    return head_settings(name, HEADS.get(name).read(options), full=full)


def _search(cell: Cell, full: bool) -> dict[str, Any]:
    search = cell.search.with_steps(cell.steps)
    return search_settings(search.to_dict() if full else search.given())


def _dense(cell: Cell, full: bool) -> dict[str, Any]:
    """All that decides the outcome of training weights on the target, the mother apart."""
    search, dense = cell.search, cell.settings.dense
    whole = search.with_steps(cell.steps).to_dict()
    used = {name: whole[name] for name in ("batch_size", "augment", "trainer")}
    policy = cell.task.policy(search.augment) if search.augment else None
    return {
        **task_settings(cell.task.science()),
        **flat("dense", dense.to_dict() if full else dense.given()),
        **search_settings(used if full else without(used, SearchSettings().to_dict())),
        **flat("", {"task.augment": policy, "precision": search.precision, "numerics": NUMERICS}),
    }


_PARTS: dict[str, Callable[[Cell, bool], dict[str, Any]]] = {
    "mother": _mother,
    "head": _head,
    "search": _search,
    "dense": _dense,
    "precision": lambda cell, full: {"precision": cell.search.precision},
    "augmentation": lambda cell, full: {"task.augment": cell.task.augmentation},
}
