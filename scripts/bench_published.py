"""Edge-popup in its published setting, from the images to the test accuracy, one JSON line per net.

    python scripts/bench_published.py --data DIR [--nets conv4 conv6 resnet18] [--epochs 100] [--device cuda] [--smoke]

Ramanujan et al. 2020: Conv4 and Conv6 with two linear layers on top, signed-constant weights, density 0.5, batch 128, SGD 0.1
with momentum 0.9 and weight decay 1e-4 on the scores, a cosine over 100 epochs, crop and flip. The images are CIFAR-10, or
its JPEG copy where DIR holds only that (the line says which). The test split is read once, at the end, through a ridge head.

``product`` is ``find_ticket``, timed over a few hundred steps and run in full where all steps fit ``--seconds``; ``loop`` is the
same search without Lightning, on a GPU as one CUDA graph per step, in full where ``find_ticket`` is too slow. The line says
which of the two gave the accuracy. ``--smoke`` takes a few steps on embedded digits, to see that everything runs.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from _bare import BareSearch, arguments, synchronize

from ult_lightning.data import Task, load_task
from ult_lightning.nets import FrozenNetwork
from ult_lightning.search import MaskSearch, SearchSettings, find_ticket, frozen_on, resolve_device, resolve_precision
from ult_lightning.tickets import MotherSpec
from ult_lightning.transfer import transfer

OPTIONS = {"conv4": {"trunk": "fc"}, "conv6": {"trunk": "fc"}}


def load(data: Path, smoke: bool) -> Task:
    """CIFAR-10 where its files are, else the JPEG copy; embedded digits for a smoke run."""
    if smoke:
        return load_task({"name": "digits", "train_limit": 64, "valid_limit": 32}, seed=0)
    name = "cifar10" if (data / "cifar-10-batches-py").is_dir() else "cifar10_jpeg"
    return load_task(name, seed=0, data_dir=data)


def product(task: Task, spec: MotherSpec, settings: SearchSettings, device: str) -> tuple[FrozenNetwork, float]:
    """The network of ``find_ticket`` and its seconds."""
    start = time.perf_counter()
    network = find_ticket([task], spec, settings, device=device, progress=False).network()
    assert isinstance(network, FrozenNetwork)
    return network, time.perf_counter() - start


def loop(
    task: Task,
    spec: MotherSpec,
    settings: SearchSettings,
    device: str,
    *,
    steps: int,
    stop: int | None = None,
) -> tuple[FrozenNetwork, float]:
    """The network of the same search without Lightning, and its seconds; ``stop`` ends it after so many of ``steps``."""
    start = time.perf_counter()
    search = MaskSearch(spec, {task.id: task.classes}, settings, steps=steps)
    bare = BareSearch(search, device=device, precision=settings.precision, graph=True)
    stream = Task.stream([task], batch_size=settings.batch_size, seed=settings.seed, augment=settings.augment)
    for number in range(steps if stop is None else stop):
        bare.step(stream.step(number))
    learner = search.method
    learner.before_step(steps)
    network = frozen_on([task], spec, learner.subnetwork(), device=device, seed=settings.seed)
    synchronize(device)
    return network, time.perf_counter() - start


def run(net: str, task: Task, told: Namespace) -> dict[str, Any]:
    """Search on the task, then test with a ridge head; seconds of both."""
    device = resolve_device(told.device)
    precision = resolve_precision("auto", device)
    settings = SearchSettings(
        density=0.5,
        batch_size=32 if told.smoke else 128,
        augment=False if told.smoke else "crop_flip",
        trainer={"max_epochs": told.epochs, "precision": precision},
    )
    options = {**OPTIONS.get(net, {}), **({"width": 0.125} if told.smoke and net in OPTIONS else {})}
    spec = MotherSpec(net, options=options, seed=0)
    task = task.to(device)
    batches = len(Task.stream([task], batch_size=settings.batch_size, seed=0))
    steps = 6 if told.smoke else settings.steps(batches)
    few = 2 if told.smoke else min(300, steps // 3)
    # two lengths, so that what happens once does not count as steps
    (_, short), (_, long) = (product(task, spec, settings.with_steps(n), device) for n in (few, 2 * few))
    per_step = {"product": (long - short) / few}
    once = max(0.0, short - few * per_step["product"])
    fits = once + steps * per_step["product"] <= told.seconds
    if fits:
        network, seconds = product(task, spec, settings.with_steps(steps), device)
    if not fits or told.smoke:
        network, seconds = loop(task, spec, settings.with_steps(steps), device, steps=steps)
        (_, short), (_, long) = (
            loop(task, spec, settings.with_steps(steps), device, steps=steps, stop=n) for n in (few, 2 * few)
        )
        per_step["loop"] = (long - short) / few
    result = transfer(network.to(device), task, precision=precision, device=device)
    return {
        "net": net,
        "task": task.id,
        "device": device,
        "precision": precision,
        "steps": steps,
        "searched_by": "product" if fits and not told.smoke else "loop",
        "seconds": round(seconds, 2),
        "seconds_of_the_product": round(once + steps * per_step["product"], 2),
        "milliseconds_per_step": {name: round(1000 * value, 3) for name, value in per_step.items()},
        "validation_ridge": result.fit.valid_accuracy,
        "test_accuracy_ridge": result.accuracy,
        "transfer_seconds": round(result.seconds["total"], 2),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--nets", nargs="+", default=["conv4", "conv6", "resnet18"])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=75.0, help="the most that a whole find_ticket may take")
    told = parser.parse_args()
    task = load(told.data, told.smoke)
    for net in told.nets:
        print(json.dumps(run(net, task, told)), flush=True)


if __name__ == "__main__":
    main()
