"""One epoch of search through Lightning against a bare PyTorch loop over the same step.

    python scripts/bench_loop.py

Mnist5k, batch 128, float32, conv4 and lenet_300_100. The Lightning side is what ``ult search`` runs, with progress bar, CSV
logger and a checkpoint per epoch; the bare side is a ``for`` loop over the same batches with the same module, mask,
loss, optimizer and schedule, without validation (the Lightning side's validation is switched off too: it is no part of the
loop). Medians of the ratios of interleaved epochs; the last line is one JSON object with ``ratio_bare_conv4`` and
``ratio_bare_lenet``.
"""

from __future__ import annotations

import io
import json
import statistics
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ult_lightning.data import Task, load_task
from ult_lightning.nets import MaskedParameters, build_mother, maskable
from ult_lightning.search import MaskSearch, SearchSettings, fit_quietly, kept_counts, make_trainer
from ult_lightning.tickets import MotherSpec

ROUNDS = {"conv4": 5, "lenet_300_100": 7}
STEPS = {"conv4": 28, "lenet_300_100": 140}
SECONDS = 240.0


class Clock(Callback):
    """Seconds between the first batch's start and the epoch's end, checkpoint included."""

    def on_train_epoch_start(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self.began


def module(net: str, task: Task, steps: int) -> MaskSearch:
    """The LightningModule of a search."""
    settings = SearchSettings(max_steps=steps)
    mother = build_mother(MotherSpec(net)).train()
    kept = kept_counts({n: tuple(p.shape) for n, p in maskable(mother.body).items()}, settings)
    return MaskSearch(
        mother, MaskedParameters(mother.body, kept, seed=0), [task.id], [task.classes], settings, steps
    )


def through_lightning(net: str, task: Task, steps: int) -> float:
    """Seconds of one epoch in Lightning's Trainer."""
    search, clock = module(net, task, steps), Clock()
    stream = task.stream([task], batch_size=128, seed=0, steps_per_epoch=steps)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        logger = CSVLogger(folder)
        trainer = make_trainer(search.settings, device="cpu", logger=logger, run_dir=Path(folder) / "run", progress=True,
                               epochs=1, steps=steps, callbacks=[clock])  # fmt: skip
        fit_quietly(trainer, search, stream)
    return clock.seconds


def bare(net: str, task: Task, steps: int) -> float:
    """Seconds of one epoch in a bare loop."""
    search = module(net, task, steps)
    stream = task.stream([task], batch_size=128, seed=0, steps_per_epoch=steps)
    settings: Any = search.configure_optimizers()
    optimizer, schedule = settings["optimizer"], settings["lr_scheduler"]["scheduler"]
    start = time.perf_counter()
    for ((x, y, _),) in stream:
        search.method.update()
        with parametrize.cached():
            loss = F.cross_entropy(search.heads[0](search.mother(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        task = load_task("mnist5k", seed=0, data_dir=cache, cache_dir=cache)
    line: dict[str, Any] = {"threads": torch.get_num_threads()}
    for net, key in (("conv4", "ratio_bare_conv4"), ("lenet_300_100", "ratio_bare_lenet")):
        steps = STEPS[net]
        bare(net, task, 3), through_lightning(net, task, 3)
        ratios, began = [], time.perf_counter()
        while len(ratios) < ROUNDS[net] and time.perf_counter() - began < SECONDS:
            first = bare(net, task, steps)
            lightning = through_lightning(net, task, steps)
            second = bare(net, task, steps)
            ratios.append(lightning / statistics.mean((first, second)))
            print(f"{net}: bare {first / steps * 1e3:.2f} and {second / steps * 1e3:.2f} ms per step, Lightning "
                  f"{lightning / steps * 1e3:.2f} ms, ratio {ratios[-1]:.3f}", flush=True)  # fmt: skip
        line[key] = statistics.median(ratios)
        line[f"ratios_{net}"] = ratios
    print(json.dumps(line))


if __name__ == "__main__":
    main()
