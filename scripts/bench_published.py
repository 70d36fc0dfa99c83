"""Edge-popup in its published setting, from the images to the test accuracy, one JSON line per net.

    python scripts/bench_published.py --data DIR [--nets conv4 conv6 resnet18] [--epochs 100] [--device cuda] [--smoke]

Ramanujan et al. 2020: Conv4 and Conv6 with two linear layers on top, signed-constant weights, density 0.5, batch 128, SGD 0.1
with momentum 0.9 and weight decay 1e-4 on the scores, a cosine over 100 epochs, crop and flip. The images are CIFAR-10, or
its JPEG copy where DIR holds only that (the line says which). The test split is read once, at the end, through a ridge head.

The search is ``find_ticket``, timed over a few hundred steps first: where ``--epochs`` would take more than ``--seconds``, as
many epochs as fit are run, and the line says how many. ``--smoke`` takes a few steps on embedded digits, to see that everything runs.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from _bare import arguments

from ult_lightning.data import Task, load_task
from ult_lightning.nets import FrozenNetwork
from ult_lightning.search import SearchSettings, find_ticket, resolve_device, resolve_precision
from ult_lightning.tickets import MotherSpec
from ult_lightning.transfer import transfer

OPTIONS = {"conv4": {"trunk": "fc"}, "conv6": {"trunk": "fc"}}


def load(data: Path, smoke: bool, cache: Path | None = None) -> Task:
    """CIFAR-10 where its files are, else the JPEG copy; embedded digits for a smoke run."""
    if smoke:
        return load_task({"name": "digits", "train_limit": 64, "valid_limit": 32}, seed=0)
    name = "cifar10" if (data / "cifar-10-batches-py").is_dir() else "cifar10_jpeg"
    return load_task(name, seed=0, data_dir=data, cache_dir=cache)


def seconds_of(task: Task, spec: MotherSpec, settings: SearchSettings, device: str) -> tuple[FrozenNetwork, float]:
    """The network of ``find_ticket`` and its seconds."""
    start = time.perf_counter()
    network = find_ticket([task], spec, settings, device=device, progress=False).network()
    assert isinstance(network, FrozenNetwork)
    return network, time.perf_counter() - start


def run(net: str, task: Task, args: Namespace) -> dict[str, Any]:
    """Search on the task for as many of the epochs as fit, then test with a ridge head; seconds of both."""
    device = resolve_device(args.device)
    precision = resolve_precision("auto", device)
    settings = SearchSettings(
        density=0.5,
        batch_size=32 if args.smoke else 128,
        augment=False if args.smoke else "crop_flip",
        trainer={"max_epochs": args.epochs, "precision": precision},
    )
    options = {**OPTIONS.get(net, {}), **({"width": 0.125} if args.smoke and net in OPTIONS else {})}
    spec = MotherSpec(net, options=options, seed=0)
    task = task.to(device)
    per_epoch = len(Task.stream([task], batch_size=settings.batch_size, seed=0))
    few = 2 if args.smoke else min(300, args.epochs * per_epoch // 3)
    # the first run loads kernels; two lengths, so that what happens once in a run does not count as steps
    _, (_, short), (_, long) = (seconds_of(task, spec, settings.with_steps(n), device) for n in (few, few, 3 * few))
    per_step = max(1e-6, (long - short) / (2 * few))
    epochs = min(args.epochs, max(1, int(args.seconds / (per_step * per_epoch))))
    steps = 6 if args.smoke else epochs * per_epoch
    network, seconds = seconds_of(task, spec, settings.with_steps(steps), device)
    result = transfer(network.to(device), task, precision=precision, device=device)
    return {
        "net": net,
        "task": task.id,
        "device": torch.cuda.get_device_name(device) if device != "cpu" else "cpu",
        "precision": precision,
        "epochs": epochs,
        "steps": steps,
        "seconds": round(seconds, 2),
        "milliseconds_per_step": round(1000 * per_step, 3),
        "validation_ridge": result.fit.valid_accuracy,
        "test_accuracy_ridge": result.accuracy,
        "transfer_seconds": round(result.seconds["total"], 2),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, help="folder for the decoded images (default: none is kept)")
    parser.add_argument("--nets", nargs="+", default=["conv4", "conv6", "resnet18"])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=75.0, help="the most that the search may take")
    args = parser.parse_args()
    task = load(args.data, args.smoke, args.cache)
    for net in args.nets:
        print(json.dumps(run(net, task, args)), flush=True)


if __name__ == "__main__":
    main()
