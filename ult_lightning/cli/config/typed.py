"""From a composed config to the typed settings that the other rooms take. Ids come from these, never from the config."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from ult_lightning.base import TRAINER_SCIENCE, Registry, UltError, check_trainer_arguments, fault, nearest, unknown
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.config.source_names import task_names

if TYPE_CHECKING:
    from ult_lightning.data import Task, TaskSpec
    from ult_lightning.heads import Head
    from ult_lightning.search import SearchSettings
    from ult_lightning.tickets import MotherSpec


_MOST_THREADS = 1024
_PRECISIONS = ("auto", "32", "32-true", "bf16", "bf16-mixed", "16", "16-mixed")


@dataclass(frozen=True)
class Machine:
    """Where and how a command runs; changes no result."""

    store: Path
    data_dir: Path
    cache_dir: Path | None
    download: bool
    device: str
    threads: int | None
    force: bool

    def words(self, *keys: str) -> list[str]:
        """Those of the folders `keys` that are not at their defaults, as overrides."""
        usual = {"store": Path("store"), "data_dir": Path("data"), "cache_dir": None}
        return [f"{key}={getattr(self, key)}" for key in keys if getattr(self, key) != usual[key]]

    def start(self) -> None:
        """Take the number of CPU threads that was asked for, and leave Lightning's words to the log file."""
        from logging import getLogger

        for name in ("pytorch_lightning", "lightning_fabric"):
            for handler in list(getLogger(name).handlers):
                getLogger(name).removeHandler(handler)
            getLogger(name).propagate = True
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)

    def load(self, specs: Sequence[TaskSpec], *, seed: int) -> list[Task]:
        """The tasks of these specs, on the CPU."""
        from ult_lightning.data import load_task

        return [
            load_task(
                spec, seed=seed, data_dir=self.data_dir, cache_dir=self.cache_dir, download=self.download, notice=print
            )
            for spec in specs
        ]


def machine(reader: Reader) -> Machine:
    """The keys of conf/common/machine.yaml; raises UltError for wrong values and a device that is not there."""
    device = _device(reader)
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:  # before the import, which takes seconds
        raise fault("device", device, "auto, cpu, cuda or cuda:N")
    from ult_lightning.search import resolve_device

    reader.get("traceback", bool)
    reader.listed("plugins", str)
    threads = reader.optional("threads", int)
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise fault("threads", threads, f"a whole number from 1 to {_MOST_THREADS}, or null")
    return Machine(
        store=reader.get("store", Path),
        data_dir=reader.get("data_dir", Path),
        cache_dir=reader.optional("cache_dir", Path),
        download=reader.get("download", bool),
        device=resolve_device(device),
        threads=threads,
        force=reader.get("force", bool),
    )


def _device(reader: Reader) -> str:
    """The device that is asked for: where it is `auto`, the kind of accelerator of the Trainer decides."""
    device = reader.get("device", str)
    accelerator = reader.optional("trainer.accelerator", str) if reader.has("trainer.accelerator") else None
    if device != "auto" or accelerator in (None, "auto"):
        return device
    if accelerator == "cpu":
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        raise fault("trainer.accelerator", accelerator, "auto or cpu, since this machine has no GPU that torch can use")
    return "cuda"


def task_specs(reader: Reader, key: str, limits: Mapping[str, int | None]) -> tuple[TaskSpec, ...]:
    """The tasks under `key`; each takes the limits that it does not state itself.

    Raises UltError for an empty list and for what `TaskSpec.parse` refuses.
    """
    from ult_lightning.data import TaskSpec

    items = reader.items(key)
    if not items:
        raise fault(key, [], "at least one task", f"for example '{key}=[mnist5k]'")
    specs = []
    for item in items:
        spec = TaskSpec.parse(item)
        own = {name: limit for name, limit in limits.items() if getattr(spec, name) is None}
        specs.append(TaskSpec.parse({**spec.to_dict(), **own}))
    return tuple(specs)


def refuse_misspelt_tasks(reader: Reader, *keys: str, functions: bool = False) -> None:
    """Raises UltError for a name that is near that of a task and near no data of the user's own."""
    known = task_names(functions=functions)
    data_dir = reader.get("data_dir", Path)
    own = [child.name for child in data_dir.iterdir()] if data_dir.is_dir() else []
    items = [item for key in keys for item in reader.items(key)]
    for name in [item.strip().partition(":")[0] for item in items if isinstance(item, str)]:
        ours = name in (*known, "folder", "parquet")
        if not ours and not nearest(name, own) and nearest(name, known):
            raise unknown("task", name, known)


def refuse_wrong_words(reader: Reader) -> None:
    """Raises UltError for what a search would refuse, where that can be seen before anything heavy is imported."""
    density = reader.get("density", float)
    mother_spec(reader, seed=0, density=0.5)
    if not 0 < density <= 1:
        wanted = "a number above 0, at most 1: the share of parameters kept"
        raise fault("density", density, wanted, "say density=0.5")
    precision = str(reader.value("trainer.precision"))
    if precision not in _PRECISIONS:
        raise unknown("trainer.precision", precision, _PRECISIONS)


def limits(reader: Reader) -> dict[str, int | None]:
    """The limits that hold for every task which states none."""
    return {name: reader.optional(name, int) for name in ("train_limit", "valid_limit")}


def mother_spec(reader: Reader, *, seed: int, density: float) -> MotherSpec:
    """The mother that the config describes."""
    from ult_lightning.tickets import InputSpec, MotherSpec

    name, options = reader.get("net.name", str), reader.mapping("net.options")
    if reader.has("net.family"):
        name, options = reader.get("net.family", str), {"name": name, **options}
    return MotherSpec(
        net=name,
        options=options,
        norm=reader.get("norm", str),
        init=reader.get("init.name", str),
        scale_fan=density if reader.get("scale_fan", bool) else None,
        bias=reader.get("bias", str),
        seed=seed,
        input=InputSpec(range=cast(Any, reader.get("input.range", str)), adapter=reader.get("input.adapter", str)),
    )


def search_settings(reader: Reader, *, seed: int, device: str) -> SearchSettings:
    """The search that the config describes, its precision resolved for `device`."""
    from ult_lightning.search import SearchSettings, resolve_precision

    trainer = {name: value for name, value in reader.mapping("trainer").items() if name in TRAINER_SCIENCE}
    return SearchSettings(
        **member(reader, "method"),
        **member(reader, "objective"),
        density=reader.get("density", float),
        densities=reader.mapping("densities") or None,
        mixing=reader.get("mixing", str),
        loss_weights=reader.listed("loss_weights", float) or None,
        head_lr=reader.get("head_lr", float),
        select=reader.get("select", str),
        batch_size=reader.get("data.batch_size", int),
        augment=policy(reader, "augment"),
        trainer={**trainer, "precision": resolve_precision(str(trainer.get("precision")), device)},
        seed=seed,
    )


def member(reader: Reader, family: str) -> dict[str, Any]:
    """The chosen member of a family and its options, as the arguments `FAMILY` and `FAMILY_options`."""
    return {family: reader.get(f"{family}.name", str), f"{family}_options": reader.mapping(f"{family}.options")}


def policy(reader: Reader, key: str) -> bool | str:
    """An augmentation: true, false or the name of one; raises UltError for another name."""
    from ult_lightning.data import POLICIES

    value = reader.value(key)
    if isinstance(value, bool | None):
        return bool(value)
    if value not in POLICIES:
        raise unknown(key, str(value), ("true", "false", *POLICIES))
    return str(value)


def trainer_machine(reader: Reader) -> dict[str, Any]:
    """The Trainer's arguments that change no number; raises UltError for names that the Trainer does not take."""
    arguments = reader.mapping("trainer")
    check_trainer_arguments(arguments)
    return {name: value for name, value in arguments.items() if name not in TRAINER_SCIENCE and value is not None}


def callbacks(reader: Reader) -> list[Any]:
    """The callbacks of the group `callbacks`, made from their `_target_` entries; raises UltError where one cannot be."""
    from hydra.errors import HydraException
    from hydra.utils import instantiate
    from pytorch_lightning import Callback

    made = []
    for name, node in reader.mapping("callbacks").items():
        if node is None:
            continue
        key = f"callbacks.{name}"
        if not isinstance(node, Mapping) or "_target_" not in node:
            raise fault(key, node, "the key _target_", "name the class, as conf/callbacks/lr_monitor.yaml does")
        try:
            callback = instantiate(node)
        except HydraException as error:
            reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
            raise UltError(f"{key}: {node['_target_']} cannot be made: {reason}.") from error
        if not isinstance(callback, Callback):
            raise fault(key, node["_target_"], "a callback of pytorch_lightning")
        made.append(callback)
    return made


def refuse_idle_epochs(search: SearchSettings, reader: Reader, overrides: Collection[str]) -> None:
    """Raise UltError where the user's own words ask for epochs while a number of steps counts instead."""
    words = {override.partition("=")[0].lstrip("+") for override in overrides}
    if search.max_steps is not None and "trainer.max_epochs" in words:
        wanted = f"no value beside trainer.max_steps={search.max_steps}, which counts instead"
        raise fault("trainer.max_epochs", reader.value("trainer.max_epochs"), wanted, "add trainer.max_steps=null")


def head_settings(reader: Reader, family: Registry[Head[Any]]) -> tuple[str, dict[str, Any]]:
    """Name and options of the head; raises UltError for unknown ones and for values that it does not take.

    An option that is null is left at its default.
    """
    name = reader.get("head.name", str)
    options = {key: value for key, value in reader.mapping("head.options").items() if value is not None}
    family.get(name).read(options)
    return name, options


def logged_config(cfg: DictConfig, **resolved: Any) -> dict[str, Any]:
    """The composed config for a logger, and under "resolved" what its `auto` and `null` came to."""
    config = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
    return {**config, "resolved": resolved}


@dataclass
class Logged:
    """A logger and, once its block has ended, where its run lies."""

    logger: Any
    where: str | None = None


@dataclass(frozen=True)
class Logging:
    """What a logger is made of: the arguments of `make_logger` that come from the config."""

    arguments: Mapping[str, Any]

    @contextmanager
    def running(self, folder: Path, name: str, config: Any) -> Iterator[Logged]:
        """A logger for the length of the block, called `name` unless the user gave it another name."""
        from ult_lightning.tracking import finish, make_logger

        named = {**self.arguments, "name": self.arguments["name"] or name}
        logged = Logged(make_logger(**named, run_dir=folder, config=config))
        try:
            yield logged
        except BaseException:
            finish(logged.logger, failed=True)
            raise
        logged.where = finish(logged.logger)


def logging(reader: Reader) -> Logging:
    """The keys of the group logger, and name, group and tags of the run."""
    return Logging(
        {
            "kind": reader.get("logger.kind", str),
            "project": reader.get("logger.project", str),
            "offline": reader.optional("logger.offline", bool),
            "name": reader.optional("name", str),
            "group": reader.optional("group", str),
            "tags": reader.listed("tags", str),
        }
    )


def at_least_one(key: str, values: Sequence[Any]) -> None:
    """Raise UltError unless there are values, each once."""
    if not values:
        raise fault(key, list(values), "at least one value")
    if len(set(values)) != len(values):
        raise UltError(f"{key}: got {list(values)}, wanted each value once.")
