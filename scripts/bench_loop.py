"""One epoch of search through Lightning against a bare PyTorch loop over the same step.

    python scripts/bench_loop.py [--device cuda] [--smoke]

Mnist5k, batch 128, conv4 and lenet_300_100, float32 (bfloat16 on a GPU). The Lightning side is what ``ult search`` runs, with
progress bar, CSV logger and a checkpoint per epoch; the bare side is a ``for`` loop over the same batches with the same module,
mask, loss, optimizer and schedule, without validation (the Lightning side's validation is switched off too: it is no part of
the loop). On a GPU, ``graph`` is the bare loop with the whole step as one CUDA graph. Medians of the ratios of interleaved
epochs; the last line is one JSON object with ``ratio_bare_conv4`` and ``ratio_bare_lenet``.
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
from _bare import BareSearch, arguments, synchronize
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger

from ult_lightning.data import Task, load_task
from ult_lightning.search import MaskSearch, SearchSettings, fit_quietly, make_trainer, resolve_device
from ult_lightning.tickets import MotherSpec

ROUNDS = {"conv4": 5, "lenet_300_100": 7}
STEPS = {"conv4": 28, "lenet_300_100": 140}
SECONDS = 240.0


class Clock(Callback):
    """Seconds between the first batch's start and the training's end, checkpoint included."""

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        synchronize(str(trainer.strategy.root_device))
        self.began = time.perf_counter()

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        synchronize(str(trainer.strategy.root_device))
        self.seconds = time.perf_counter() - self.began


def module(net: str, task: Task, steps: int) -> MaskSearch:
    """The LightningModule of a search; of the digits, which are for smoke runs, a narrow one."""
    options = {"width": 0.125} if task.id == "digits" else {}
    return MaskSearch(MotherSpec(net, options=options), {task.id: task.classes}, SearchSettings(), steps=steps)


def through_lightning(net: str, task: Task, steps: int, device: str, precision: str) -> float:
    """Seconds of one epoch in Lightning's Trainer."""
    search, clock = module(net, task, steps), Clock()
    data = Task.module([task], batch_size=128, seed=0, steps_per_epoch=steps, validation=False)
    length = {"max_epochs": 1, "max_steps": steps, "precision": precision}
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        trainer = make_trainer(
            length,
            device=device,
            logger=CSVLogger(folder),
            run_dir=Path(folder) / "run",
            progress=True,
            callbacks=[clock],
        )
        fit_quietly(trainer, search, data)
    return clock.seconds


def bare(net: str, task: Task, steps: int, device: str, precision: str, *, graph: bool = False) -> float:
    """Seconds of one epoch in a bare loop; with ``graph``, after the capture."""
    search = BareSearch(module(net, task, steps), device=device, precision=precision, graph=graph)
    stream = Task.stream([task], batch_size=128, seed=0, steps_per_epoch=steps)
    if graph:
        for number in range(5):
            search.step(stream.step(number))
    synchronize(device)
    start = time.perf_counter()
    for batch in stream:
        search.step(batch)
    synchronize(device)
    return time.perf_counter() - start


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    device = resolve_device(args.device)
    precision = "32" if device == "cpu" else "bf16"
    with tempfile.TemporaryDirectory() as cache:
        task = load_task("digits" if args.smoke else "mnist5k", seed=0, data_dir=cache, cache_dir=cache)
    task = task.to(device)
    line: dict[str, Any] = {"device": device, "precision": precision, "threads": torch.get_num_threads()}
    for net, key in (("conv4", "ratio_bare_conv4"), ("lenet_300_100", "ratio_bare_lenet")):
        steps = 2 if args.smoke else STEPS[net] * (1 if device == "cpu" else 5)
        rounds = 1 if args.smoke else ROUNDS[net] if device == "cpu" else 3
        where = (net, task, steps, device, precision)
        if not args.smoke:
            bare(net, task, 3, device, precision), through_lightning(net, task, 3, device, precision)
        ratios, graphs, began = [], [], time.perf_counter()
        while len(ratios) < rounds and time.perf_counter() - began < SECONDS:
            first, lightning, second = bare(*where), through_lightning(*where), bare(*where)
            ratios.append(lightning / statistics.mean((first, second)))
            text = f"{net}: bare {first / steps * 1e3:.2f} and {second / steps * 1e3:.2f} ms per step, Lightning "
            text += f"{lightning / steps * 1e3:.2f} ms, ratio {ratios[-1]:.3f}"
            if device != "cpu" or args.smoke:
                graphs.append(bare(*where, graph=True) / steps)
                text += f"; graph {graphs[-1] * 1e3:.2f} ms"
            print(text, flush=True)
        line[key] = statistics.median(ratios)
        line[f"ratios_{net}"] = ratios
        if graphs:
            line[f"milliseconds_graph_{net}"] = 1e3 * statistics.median(graphs)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
