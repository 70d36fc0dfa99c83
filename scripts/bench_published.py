"""Edge-popup in its published setting, from the images to the test accuracy, one JSON line per run.

    python scripts/bench_published.py --data DIR [--nets conv4 conv6 resnet18] [--epochs 100] [--device cuda] [--smoke]

Ramanujan et al. 2020: Conv4 and Conv6 with two linear layers on top, signed-constant weights, density 0.5, batch 128, SGD 0.1
with momentum 0.9 and weight decay 1e-4 on the scores, a cosine over 100 epochs, crop and flip. The images are CIFAR-10, or
its JPEG copy where DIR holds only that (the line says which). The test split is read once, at the end, through a ridge head.
``--smoke`` takes a few steps on embedded digits, to see that everything runs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from ult_lightning.data import Task, load_task
from ult_lightning.search import SearchSettings, find_ticket, resolve_device, resolve_precision
from ult_lightning.tickets import MotherSpec
from ult_lightning.transfer import transfer

OPTIONS = {"conv4": {"trunk": "fc"}, "conv6": {"trunk": "fc"}}


def load(data: Path, smoke: bool) -> Task:
    """CIFAR-10 where its files are, else the JPEG copy; embedded digits for a smoke run."""
    if smoke:
        return load_task("digits", seed=0)
    name = "cifar10" if (data / "cifar-10-batches-py").is_dir() else "cifar10_jpeg"
    return load_task(name, seed=0, data_dir=data)


def run(net: str, task: Task, arguments: argparse.Namespace) -> dict[str, object]:
    """Search on the task, then test with a ridge head; seconds of both."""
    device = resolve_device(arguments.device)
    precision = resolve_precision("auto", device)
    length = {"max_steps": 4} if arguments.smoke else {"max_epochs": arguments.epochs}
    settings = SearchSettings(
        density=0.5,
        batch_size=32 if arguments.smoke else 128,
        augment=None if arguments.smoke else "crop_flip",
        trainer={**length, "precision": precision},
    )
    spec = MotherSpec(net, options=OPTIONS.get(net, {}), seed=0)
    start = time.perf_counter()
    ticket = find_ticket([task], spec, settings, device=device, progress=False)
    searched = time.perf_counter()
    result = transfer(ticket.network(), task, precision=precision, device=device)
    steps = int(ticket.provenance["steps"])
    return {
        "net": net,
        "task": task.id,
        "device": device,
        "precision": precision,
        "steps": steps,
        "seconds": round(searched - start, 2),
        "milliseconds_per_step": round(1000 * (searched - start) / steps, 3),
        "validation": ticket.provenance["validation"],
        "test_accuracy_ridge": result.accuracy,
        "transfer_seconds": round(result.seconds["total"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--nets", nargs="+", default=["conv4", "conv6", "resnet18"])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    task = load(arguments.data, arguments.smoke)
    for net in arguments.nets:
        print(json.dumps(run(net, task, arguments)), flush=True)


if __name__ == "__main__":
    main()
