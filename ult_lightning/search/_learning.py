"""Training a learner with a Lightning Trainer, from a checkpoint if there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ult_lightning.base import fault
from ult_lightning.base._trainer_arguments import quiet_lightning
from ult_lightning.nets import Factory
from ult_lightning.search._module import MaskSearch
from ult_lightning.search._running import (
    Running,
    SearchError,
    SearchResult,
    device_word,
    maskable_shapes,
    originals_fingerprint,
    source_data,
    source_names,
    warn_of_vanished_biases,
)
from ult_lightning.search._search_settings import SearchSettings
from ult_lightning.search._trainer import KeepBest, fit_quietly, make_trainer
from ult_lightning.tickets import MotherSpec

if TYPE_CHECKING:
    from ult_lightning.data import Task


def train(
    sources: Sequence[Task],
    spec: MotherSpec,
    settings: SearchSettings,
    running: Running,
    *,
    module: Factory | None,
    identity: str,
) -> SearchResult:
    """Trains a learner with a Lightning Trainer."""
    data = source_data(sources, spec, settings)
    batches = data.steps_per_epoch
    steps, per_epoch = settings.steps(batches), settings.steps_per_epoch(batches)
    names = dict(zip(source_names(sources), [t.classes for t in sources], strict=True))
    search = MaskSearch(spec, names, settings, steps=steps, module=module, identity=identity)
    before = originals_fingerprint(search.mother)
    warn_of_vanished_biases(search.mother, spec)
    checkpoint = None if running.run_dir is None else Path(running.run_dir) / "last.ckpt"
    resumed = _step_of(checkpoint, identity, running.notice)
    keeper = KeepBest()
    loop = make_trainer(
        {**running.trainer, **settings.trainer, "max_epochs": -(-steps // per_epoch), "max_steps": steps},
        device=running.device,
        logger=running.logger,
        run_dir=running.run_dir,
        progress=running.progress,
        callbacks=[*running.callbacks, keeper] if settings.select == "best" else running.callbacks,
    )
    fit_quietly(loop, search, data, checkpoint=None if resumed is None else checkpoint)
    if loop.global_step != steps:
        again = "" if checkpoint is None else "; the same search goes on from there"
        raise SearchError(
            f"The search was stopped after {loop.global_step} of {steps} steps, by max_time or a callback, "
            f"so no ticket was made{again}."
        )
    if search.validated_step != steps:  # max_steps ended inside an epoch
        with quiet_lightning():
            loop.validate(search, datamodule=data, verbose=False)
    subnetwork = keeper.best_subnetwork(maskable_shapes(search.mother))
    if subnetwork is None:
        search.method.before_step(steps)
        subnetwork = search.method.subnetwork()
    if originals_fingerprint(search.mother) != before:
        raise SearchError(
            "The mother's weights changed during the search, so no ticket was made; this is a fault of "
            f"the method {settings.method}: please report it."
        )
    return SearchResult(
        subnetwork=subnetwork,
        fingerprint=before,
        device=device_word(loop.strategy.root_device),
        steps=steps,
        heads=list(search.heads),
        resumed=resumed,
        seconds_before=search.seconds_before,
    )


def _step_of(checkpoint: Path | None, identity: str, notice: Callable[[str], None]) -> int | None:
    """The step a checkpoint was written at; None if there is none, or none that can be read.

    Raises ``UltError`` for the checkpoint of a search of another ``identity``.
    """
    if checkpoint is None or not checkpoint.exists():
        return None
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        step, whose = int(saved["global_step"]), str(saved["ult"]["identity"])
        for key in ("pytorch-lightning_version", "state_dict", "optimizer_states", "lr_schedulers"):
            saved[key]
    except Exception:  # whatever a broken file does to its reader
        notice(f"The checkpoint {checkpoint} cannot be read; the search starts anew.")
        checkpoint.unlink()
        return None
    if whose != identity:
        raise fault(
            "run_dir",
            str(checkpoint.parent),
            "a folder without the checkpoint of another search",
            f"name another folder, or remove {checkpoint.name} there",
        )
    notice(f"Resumed from step {step} ({checkpoint}).")
    return step
