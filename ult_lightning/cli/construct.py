"""`ult construct`: theory in, a ticket with its certificate out; or a study of the theory, as rows and a figure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from ult_lightning.base import UltError, digest, fault, once, write_bytes, write_text
from ult_lightning.cli import _families as families
from ult_lightning.cli import _settings as settings
from ult_lightning.cli import _study as studies
from ult_lightning.cli._families import Wish
from ult_lightning.cli._job import Place, run_job
from ult_lightning.cli._out import check_file, check_folder, refuse_read
from ult_lightning.cli._reader import Reader
from ult_lightning.cli._tables import shown, typed

if TYPE_CHECKING:
    from ult_lightning.tickets import Ticket, TicketStore


@dataclass(frozen=True)
class ConstructJob:
    """Everything that `ult construct` was told: a ticket to make (`wish`) or a study to run."""

    wish: Wish | None
    study: str | None
    options: dict[str, Any]
    machine: settings.Machine
    logging: settings.Logging
    out: Path | None


def job(cfg: DictConfig) -> float | None:
    """What Hydra calls."""
    return run_job(run, "construct", cfg)


def read(cfg: DictConfig) -> ConstructJob:
    """The typed settings of a composed config; raises UltError for whatever is wrong in it."""
    reader = Reader(cfg)
    family, given = families.read(reader)
    study, seed = reader.optional_word("study"), reader.whole("seed")
    if family is None and study is None:
        raise fault(
            "family", None, f"one of {', '.join(families.FAMILIES)}", "or a study: experiment=theory_kept"
        )
    if family is not None and study is not None:
        raise fault(
            "family", family, f"null, since study={study} is there too", "a command does one of the two"
        )
    if seed < 0:
        raise fault("seed", seed, "a whole number of at least 0")
    odd = [*given, *(["seed"] if seed else [])]
    if study is not None and odd:
        raise fault(
            odd[0], given.get(odd[0], seed), "no value, since a study has its own", "say options.KEY=VALUE"
        )
    options = {
        key: value for key, value in reader.mapping("options").items() if (key, value) != ("fast", False)
    }
    found = ConstructJob(
        wish=None if family is None else Wish(family, given, seed),
        study=study,
        options=options,
        machine=settings.machine(reader),
        logging=settings.logging(reader),
        out=reader.optional_path("out"),
    )
    reader.refuse_unread("construct")
    if found.wish is not None and found.options:
        raise fault("options", found.options, "none, since they belong to a study", "say KEY=VALUE itself")
    if study is not None:
        studies.check(study, found.options)
    return found


def run(cfg: DictConfig, place: Place) -> float | None:
    """Construct (or reuse) one ticket and return its certified bound, or run a study."""
    told = read(cfg)
    check_folder("store", told.machine.store)
    place.claim(told.out)
    told.machine.start()
    config = OmegaConf.to_container(cfg, resolve=True)
    if told.wish is None:
        assert told.study is not None
        with told.logging.running(place.folder, f"study {told.study}", config) as mirror:
            studies.run(told.study, told.options, told.machine, out=told.out or place.folder, mirror=mirror)
        return None
    check_file("out", told.out)
    refuse_read("out", told.out, told.wish.reads)
    from ult_lightning.tickets import TicketStore

    store = TicketStore(told.machine.store)
    with told.logging.running(place.folder, _name(told.wish), config) as mirror:
        ticket, reused = construct_once(store, told.wish, force=told.machine.force, notice=print)
        path = store.path(ticket.id)
        mirror.log_ticket(ticket, path)
    if told.out is not None:
        write_bytes(told.out, path.read_bytes())
        path = told.out
    print(end_screen(ticket, told.wish, path, reused=reused, where=mirror.where))
    bound: Any = ticket.provenance["certificate"]["bound"]
    return float(bound)


def construct_once(
    store: TicketStore,
    wish: Wish,
    *,
    force: bool = False,
    notice: Callable[[str], None] = print,
) -> tuple[Ticket, bool]:
    """The ticket of a wish, from the store if it was made before, else constructed and stored; and whether it was reused.

    What was asked for leads to the id through a small file beside the tickets; the same construction elsewhere is waited for.
    """
    from ult_lightning.construct._draft import NUMERICS

    made: list[Ticket] = []
    key = digest({"made_by": "construct", "numerics": NUMERICS, **wish.request()})[:16]
    index = store.root / "constructed" / f"{key}.json"

    def make() -> Ticket:
        ticket = wish.make(notice)
        store.save(ticket)
        index.parent.mkdir(parents=True, exist_ok=True)
        write_text(index, json.dumps({"ticket": ticket.id}) + "\n")
        made.append(ticket)
        return ticket

    def load(path: Path) -> Ticket:
        try:
            return store.load(str(json.loads(path.read_text(encoding="utf-8"))["ticket"]))
        except (ValueError, KeyError, TypeError) as cause:
            raise UltError(f"{path} does not name a ticket.") from cause

    return once(index, make, load, force=force, notice=notice), not made


def end_screen(ticket: Ticket, wish: Wish, path: Path, *, reused: bool, where: str | None) -> str:
    """What the last lines of a construction say: the ticket, its size, certificate, what was chosen, and what to type next."""
    from ult_lightning.tickets._describe import certificate_words

    size = path.stat().st_size
    seconds = ticket.provenance.get("seconds")
    spent = f" in {seconds:.1f} s" if isinstance(seconds, int | float) and not reused else ""
    did = (
        "Found in the store, nothing to do (force=true constructs again)" if reused else f"Constructed{spent}"
    )
    kept, total = ticket.mask.kept, ticket.mask.total
    lines = [
        ("ticket", ticket.id),
        ("file", f"{path} ({size:,} bytes, {8 * size / total:.2f} bits per parameter)"),
        ("kept", f"{kept:,} of {total:,} parameters, density {ticket.density:.4f}"),
        *((label.lower(), text) for label, text in certificate_words(ticket.provenance)),
        *_choices(ticket, wish),
    ]
    if where is not None:
        lines.append(("log", shown(where)))
    width = max(len(label) for label, _ in lines)
    body = [f"  {label.ljust(width)}  {text}" for label, text in lines]
    title = f"{did}: a {wish.family} ticket, seed {wish.seed}."
    return "\n".join(["", title, *body, "Next:", f"  {typed(*_next(ticket, wish, path))}"])


def _choices(ticket: Ticket, wish: Wish) -> Iterator[tuple[str, str]]:
    """What was chosen for the user, and why."""
    config: Any = ticket.provenance["config"]
    if wish.family == "network":
        per: Any = ticket.provenance["kept_per_parameter"]
        targets, missed = (ticket.provenance[key] for key in ("subset_sums", "missed"))
        yield "per weight", f"{per:.2f} kept parameters for each of the target's that is not 0"
        yield (
            "sums",
            f"{targets:,} subset sums of up to {config['block']} candidates, {missed:,} of them off by more than eps",
        )
        return
    names = [key for key in (*families.PLAN_KEYS, "fold") if key != "tolerance" or key in wish.own]
    plan = {key: config["plan"].get(key) for key in names}
    yield "chosen", families.plan_words({**plan, "pieces": ticket.provenance.get("pieces")})
    if wish.own:
        yield "why", f"{', '.join(wish.own)} as you said; the rest by the laws of the theory from eps"
        return
    yield "why", "N pieces err by 1/N^2, so N grows as 1/sqrt(eps); widths as log(1/eps), as subset sums need"


def _next(ticket: Ticket, wish: Wish, path: Path) -> list[str]:
    """The command that shows what the ticket is good for."""
    if ticket.spec.input.shape == families.IMAGE:
        return ["transfer", f"ticket={path}", "targets=[digits]", "head=ridge"]
    targets = {"polynomial": "targets=[polynomials,products]", "fourier": "targets=[trigonometric,outside]"}
    if wish.family not in targets:
        return ["ticket show", str(path)]
    return ["transfer", f"ticket={path}", targets[wish.family], "head=lstsq"]


def _name(wish: Wish) -> str:
    said = " ".join(f"{key}={value}" for key, value in wish.given.items() if len(str(value)) < 40)
    return f"construct {wish.family} {said} s{wish.seed}"
