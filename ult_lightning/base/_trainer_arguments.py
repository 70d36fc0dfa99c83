"""Lightning: the arguments of its Trainer, read from its source since importing it takes seconds, and quiet around its fits."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ult_lightning.base._errors import fault, unknown

TRAINER_SCIENCE: dict[str, Any] = {
    "max_epochs": None,
    "max_steps": None,
    "precision": "32",
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "gradient_clip_algorithm": None,
    "limit_train_batches": None,
    "limit_val_batches": None,
    "check_val_every_n_epoch": 1,
    "val_check_interval": None,
    "detect_anomaly": False,
}
"""Those that change the numbers, with the values at which they do not: they enter the ids of tickets and rows, no other does."""

OURS = {
    "callbacks": "name them in the group callbacks, or pass callbacks=[...]",
    "logger": "choose one with logger=wandb, csv or none",
    "plugins": "leave it out",
    "enable_checkpointing": "leave it out; a search writes its own checkpoint",
    "use_distributed_sampler": "leave it out; the batches are drawn from seeds",
    "reload_dataloaders_every_n_epochs": "leave it out; the batches are drawn from seeds",
    "overfit_batches": "say train_limit, or limit_train_batches",
    "limit_test_batches": "leave it out; the test split is read whole",
    "fast_dev_run": "say trainer=smoke for a run of a few steps",
    "min_epochs": "say max_epochs",
    "min_steps": "say max_steps",
    "barebones": "say trainer=gpu",
}
"""Arguments that this package sets itself, and what to do instead."""


@cache
def trainer_arguments() -> tuple[str, ...]:
    """The names of the Trainer's arguments, in its order, without importing it."""
    spec = find_spec("pytorch_lightning")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "trainer" / "trainer.py").read_text(encoding="utf-8"))
    trainer = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Trainer")
    init = next(n for n in trainer.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    return tuple(argument.arg for argument in init.args.args[1:] + init.args.kwonlyargs)


def check_trainer_arguments(arguments: Mapping[str, Any], *, key: str = "trainer") -> None:
    """Raises UltError for a name that the Trainer does not take, with its nearest names, and for one that is set here."""
    known = trainer_arguments()
    for name, value in arguments.items():
        if name in OURS:
            raise fault(f"{key}.{name}", value, "no value, since it is set for you", OURS[name])
        if name not in known:
            raise unknown(key, str(name), [one for one in known if one not in OURS])


@contextmanager
def quiet_lightning(level: int = logging.WARNING) -> Iterator[None]:
    """Keeps Lightning's advice and its lines about the hardware off the screen while the block runs."""
    log = logging.getLogger("pytorch_lightning")
    before = log.level
    log.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            yield
    finally:
        log.setLevel(before)
