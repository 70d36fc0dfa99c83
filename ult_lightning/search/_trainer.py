"""Lightning's Trainer as this package uses it: one process, few words, a checkpoint per epoch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar, RichProgressBar

from ult_lightning.base import UltError, check_trainer_arguments, fault, write_bytes
from ult_lightning.base._trainer_arguments import quiet_lightning
from ult_lightning.search._module import MaskSearch
from ult_lightning.tickets import Mask, Subnetwork

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all: Lightning's own may be cut off where /tmp is another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes beside ``path`` and renames; raises ``UltError`` for a full or read-only disk."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(Path(path), buffer.getvalue())


def make_trainer(
    arguments: Mapping[str, Any],
    *,
    device: str = "cpu",
    logger: Logger | Sequence[Logger] | None = None,
    run_dir: str | Path | None = None,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """A Lightning Trainer with these ``arguments``, safe under any launcher, with a checkpoint per epoch in ``run_dir``.

    ``device``: where ``arguments`` name no accelerator. ``progress``: a bar, unless ``enable_progress_bar`` says otherwise.

    Raises ``UltError`` for arguments that the Trainer does not take or that do not fit this machine, and for several devices.
    """
    check_trainer_arguments(arguments)
    bar = arguments.get("enable_progress_bar", None)
    bar = progress if bar is None else bool(bar) and progress
    callbacks = list(callbacks)
    if run_dir is not None:
        callbacks.append(
            ModelCheckpoint(
                dirpath=run_dir,
                filename="last",
                enable_version_counter=False,
                every_n_epochs=1,
                save_on_train_epoch_end=True,
            )
        )
    if bar and not any(isinstance(one, ProgressBar) for one in callbacks):
        callbacks.append(RichProgressBar(refresh_rate=20, leave=True))
    given = {name: value for name, value in arguments.items() if value is not None}
    if given.get("accelerator", "auto") == "auto":
        given |= {"accelerator": "cpu" if device == "cpu" else "gpu"}
        index = device.partition(":")[2]
        given["devices"] = [int(index)] if index else 1 if given.get("devices", "auto") == "auto" else given["devices"]
    precision = str(given.pop("precision", "32"))
    settings: dict[str, Any] = {
        "devices": 1,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 50,
        **given,
        "precision": {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}.get(precision, precision),
        "logger": logger or False,
        "callbacks": callbacks,
        "enable_progress_bar": bar,
        "enable_checkpointing": any(isinstance(one, ModelCheckpoint) for one in callbacks),
        "plugins": [LightningEnvironment(), WholeFiles()],  # one process, also inside a Slurm job
        "use_distributed_sampler": False,
    }
    try:
        with quiet_lightning():
            trainer = Trainer(**settings)
    except (MisconfigurationException, ImportError, ValueError, TypeError, RuntimeError) as cause:
        raise UltError(f"trainer: Lightning refuses these arguments: {' '.join(str(cause).split())}") from cause
    if trainer.world_size > 1:
        raise fault(
            "trainer.devices",
            arguments.get("devices"),
            "1, since a search runs on one device",
            "leave it out, or name the device with device=cuda:1",
        )
    return trainer


def fit_quietly(
    trainer: Trainer,
    module: LightningModule,
    data: LightningDataModule,
    *,
    checkpoint: Path | None = None,
) -> None:
    """``trainer.fit``, from a checkpoint of ours if one is given; an interrupt of the user's stays one."""
    try:
        with quiet_lightning():
            trainer.fit(module, datamodule=data, ckpt_path=None if checkpoint is None else str(checkpoint))
    except (
        MisconfigurationException,
        ImportError,
        RuntimeError,
    ) as cause:  # a callback, logger or profiler that lacks something
        if isinstance(cause, RuntimeError) and "conditioned on metric" not in str(cause):
            raise
        raise UltError(f"trainer: {' '.join(str(cause).split()).rstrip('.')}.") from cause
    if trainer.interrupted:
        raise KeyboardInterrupt


class KeepBest(Callback):
    """Keeps, in the checkpoint too, the subnetwork of the epoch with the best mean validation accuracy."""

    def __init__(self) -> None:
        self.best = -1.0
        self._kept: dict[str, Any] | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compares the newest validation with the best so far; the sanity check is none."""
        assert isinstance(pl_module, MaskSearch)
        if trainer.sanity_checking or not pl_module.history:
            return
        mean = float(np.mean(list(pl_module.history[-1].values())))
        if mean > self.best:
            subnetwork = pl_module.method.subnetwork()
            self.best = mean
            self._kept = {
                "mask": torch.from_numpy(subnetwork.mask.packed()),
                "scales": {name: torch.from_numpy(np.array(scale)) for name, scale in subnetwork.scales.items()},
                "planes": {name: torch.from_numpy(plane.packed()) for name, plane in subnetwork.planes.items()},
            }

    def best_subnetwork(self, shapes: Mapping[str, tuple[int, ...]]) -> Subnetwork | None:
        """The subnetwork of the best epoch over parameters of these shapes; None where nothing was validated."""
        if self._kept is None:
            return None
        return Subnetwork(
            Mask.unpack(self._kept["mask"].numpy(), shapes),
            {name: scale.numpy() for name, scale in self._kept["scales"].items()},
            {name: Mask.unpack(plane.numpy(), shapes) for name, plane in self._kept["planes"].items()},
        )

    def state_dict(self) -> dict[str, Any]:
        """Accuracy and packed subnetwork."""
        return {"best": self.best, "kept": self._kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Puts both back."""
        self.best, self._kept = state_dict["best"], state_dict["kept"]
