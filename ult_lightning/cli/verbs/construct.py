"""`ult construct`: theory in, a ticket with its certificate out; or a study of the theory, as rows and a figure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ult_lightning.base import Options, fault, read_options, write_bytes
from ult_lightning.cli.config import typed as settings
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console.job import Place, run_job
from ult_lightning.cli.console.outputs import check_file, check_folder, refuse_read
from ult_lightning.cli.console.tables import ticket_screen, typed
from ult_lightning.cli.verbs import _construct_study as studies


@dataclass(frozen=True)
class ConstructJob:
    """The settings of `ult construct`: a ticket of a family with its options and seed, or a study with its options."""

    family: str | None
    options: Options
    seed: int
    study: str | None
    study_options: dict[str, Any]
    machine: settings.Machine
    logging: settings.Logging
    out: Path | None


def job(cfg: DictConfig) -> float | None:
    """What Hydra calls."""
    return run_job(run, "construct", cfg)


def read(cfg: DictConfig) -> ConstructJob:
    """The typed settings of a composed config; raises UltError for whatever is wrong in it."""
    from ult_lightning.construct import FAMILIES

    reader = Reader(cfg)
    names = {entry.name: None for name in FAMILIES for entry in fields(FAMILIES.get(name).options)}
    values = {name: reader.value(name) for name in names if reader.has(name)}
    if reader.has("init.name"):
        values["init"] = reader.get("init.name", str)
    values = {name: value for name, value in values.items() if value is not None}  # null says nothing
    family = reader.optional("family", str)
    study, seed = reader.optional("study", str), reader.get("seed", int)
    if family is None and study is None:
        known = ", ".join(FAMILIES.names())
        raise fault("family", None, f"one of {known}", "or a study: experiment=theory_kept")
    if family is not None and study is not None:
        wanted = f"null, since study={study} is there too"
        raise fault("family", family, wanted, "a command does one of the two")
    if seed < 0:
        raise fault("seed", seed, "a whole number of at least 0")
    if study is not None and (odd := [*values.items(), *([("seed", seed)] if seed else [])]):
        raise fault(*odd[0], "no value, since a study has its own", "say options.KEY=VALUE")
    options = Options()
    if family is not None:
        kind = FAMILIES.get(family).options
        takes = [entry.name for entry in fields(kind)]
        if foreign := [entry for entry in values.items() if entry[0] not in takes]:
            raise fault(*foreign[0], f"null, since family={family} takes {', '.join(takes)}")
        options = read_options(kind, values)
    study_options = reader.mapping("options")
    if study_options.get("fast") is False:
        del study_options["fast"]
    args = ConstructJob(
        family=family,
        options=options,
        seed=seed,
        study=study,
        study_options=study_options,
        machine=settings.machine(reader),
        logging=settings.logging(reader),
        out=reader.optional("out", Path),
    )
    reader.refuse_unread("construct")
    if study is not None:
        studies.check(study, study_options)
    elif study_options:
        raise fault("options", study_options, "none, since they belong to a study", "say KEY=VALUE itself")
    return args


def run(cfg: DictConfig, place: Place) -> float | None:
    """Construct (or reuse) one ticket and return its certified bound, or run a study."""
    args = read(cfg)
    check_folder("store", args.machine.store)
    place.claim(args.out)
    args.machine.start()
    config = OmegaConf.to_container(cfg, resolve=True)
    if args.family is None:
        assert args.study is not None
        with args.logging.running(place.folder, f"study {args.study}", config) as logged:
            out = args.out or place.folder
            studies.run(args.study, args.study_options, args.machine, out=out, logger=logged.logger)
        return None
    from ult_lightning.construct import FAMILIES, construct_once
    from ult_lightning.tickets import TicketStore
    from ult_lightning.tickets._describe import certificate_words
    from ult_lightning.tracking import log_ticket

    given = args.options.given()
    check_file("out", args.out)
    family = FAMILIES.get(args.family)
    refuse_read("out", args.out, [Path(given[key]).expanduser() for key in family.files if key in given])
    store = TicketStore(args.machine.store)
    words = [args.family, *(f"{key}={value}" for key, value in given.items() if len(str(value)) < 40)]
    with args.logging.running(place.folder, f"construct {' '.join(words)} s{args.seed}", config) as logged:
        ticket, reused = construct_once(
            args.family, args.options, seed=args.seed, store=store, force=args.machine.force, notice=print
        )
        path = store.path(ticket.id)
        log_ticket(logged.logger, ticket, path)
    if args.out is not None:
        write_bytes(args.out, path.read_bytes())
        path = args.out
    if ticket.spec.input.shape == (3, 32, 32):
        following = ["transfer", f"ticket={path}", "targets=[digits]", "head=ridge"]
    elif family.tasks:
        following = ["transfer", f"ticket={path}", f"targets=[{','.join(family.tasks)}]", "head=lstsq"]
    else:
        following = ["ticket show", str(path)]
    certificate = [(label.lower(), text) for label, text in certificate_words(ticket.provenance)]
    screen = ticket_screen(
        ticket,
        path,
        [*certificate, *family.explain(ticket, args.options)],
        made="Constructed",
        what=f"a {args.family} ticket",
        reused=reused,
        where=logged.where,
        following=typed(*following),
    )
    print(screen)
    bound: Any = ticket.provenance["certificate"]["bound"]
    return float(bound)
