"""Lightning's Trainer as this package uses it: one process, few words, a checkpoint per epoch."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from torch import Tensor

from ult_lightning.base import write_bytes
from ult_lightning.search._module import MaskSearch
from ult_lightning.search._settings import SearchSettings

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all: Lightning's own may be cut off where /tmp is another disk."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,
    ) -> None:
        """Writes beside ``path`` and renames; raises ``UltError`` for a full or read-only disk."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(Path(path), buffer.getvalue())


def make_trainer(
    settings: SearchSettings,
    *,
    device: str,
    logger: Logger | None,
    run_dir: str | Path | None,
    progress: bool,
    epochs: int,
    steps: int,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """A Lightning Trainer on one device, safe under any launcher, with a checkpoint per epoch if ``run_dir`` is given."""
    found = list(callbacks)
    if run_dir is not None:
        found.append(ModelCheckpoint(dirpath=run_dir, filename="last", enable_version_counter=False,
                                     every_n_epochs=1, save_on_train_epoch_end=True))  # fmt: skip
    if progress:
        found.append(RichProgressBar(refresh_rate=20, leave=True))
    with quiet_lightning():
        return _trainer(settings, device, logger, found, progress, epochs, steps, run_dir is not None)


def _trainer(
    settings: SearchSettings,
    device: str,
    logger: Logger | None,
    callbacks: list[Callback],
    progress: bool,
    epochs: int,
    steps: int,
    checkpoints: bool,
) -> Trainer:
    return Trainer(
        accelerator="cpu" if device == "cpu" else "gpu",
        devices=1 if device in ("cpu", "cuda") else [int(device.partition(":")[2])],
        precision="bf16-mixed" if settings.precision == "bf16" else "32-true",
        max_epochs=epochs,
        max_steps=steps,
        logger=logger or False,
        callbacks=callbacks,
        plugins=[LightningEnvironment(), WholeFiles()],  # one process, also inside a Slurm job
        enable_checkpointing=checkpoints,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
        use_distributed_sampler=False,
    )


def fit_quietly(
    trainer: Trainer,
    module: LightningModule,
    train: Any,
    valid: Any = None,
    *,
    checkpoint: Path | None = None,
) -> None:
    """``trainer.fit``, from a checkpoint of ours if one is given; an interrupt of the user's stays one."""
    with quiet_lightning():
        trainer.fit(module, train, valid, ckpt_path=None if checkpoint is None else str(checkpoint))
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's advice and its lines about the hardware off the screen while the block runs."""
    log = logging.getLogger("pytorch_lightning")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            yield
    finally:
        log.setLevel(level)


class KeepBest(Callback):
    """Keeps, in the checkpoint too, the mask of the epoch with the best mean validation accuracy."""

    def __init__(self) -> None:
        self.best = -1.0
        self.packed: Tensor | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compares the newest validation with the best so far."""
        assert isinstance(pl_module, MaskSearch)
        mean = float(np.mean(list(pl_module.history[-1].values())))
        if mean > self.best:
            self.best, self.packed = mean, torch.from_numpy(pl_module.method.mask().packed())

    def state_dict(self) -> dict[str, Any]:
        """Score and packed mask."""
        return {"best": self.best, "packed": self.packed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Puts both back."""
        self.best, self.packed = state_dict["best"], state_dict["packed"]
