"""Ridge transfer of one ticket to one task, against a bare forward pass over the same images and the SGD probe.

    python scripts/bench_transfer.py [--device cuda] [--smoke]

Conv4 (d = 2048), density 0.5, a ticket searched on the digits 0 to 4 for 100 steps; 10,000 training images (the 3,600 of
mnist5k, over and over), 400 for validation, 1,000 for the test; float32 and bfloat16. Medians of interleaved runs. The
bare forward pass has its images as floats in memory already and takes the faster of two batch sizes; the probe
trains its default three learning rates on the same forward passes. A slow machine skips repetitions, and then the
slower precision's probe. Accuracies are those of five splits, the probe fitted to features kept in memory there (the
same numbers without the forward passes, whose time is measured apart). The last line is one JSON object:

    ratio_forward   seconds of `transfer` / seconds of the bare forward pass; the worse of the two precisions
    speedup_sgd     seconds of the SGD probe's fit (10 epochs) / of the ridge fits around it; the worse of the two
    accuracy_delta  test accuracy of ridge minus that of the SGD probe, a fraction; mean over five splits
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from _bare import arguments, synchronize

from ult_lightning.data import Task, load_task
from ult_lightning.heads import HEADS, FeatureStream
from ult_lightning.nets import FrozenNetwork
from ult_lightning.search import SearchSettings, find_ticket, resolve_device, resolve_precision
from ult_lightning.tickets import MotherSpec, Ticket
from ult_lightning.transfer import TransferResult, transfer

SGD_ROUNDS = 1
BATCHES = {"cpu": (64, 125), "cuda": (1_000, 2_500)}
"""Images of one bare forward pass, of which the faster counts."""
SECONDS = {"cpu": (260.0, 540.0), "cuda": (20.0, 30.0)}
"""Since the start: when no further round begins, and when a probe must be through."""
PRECISIONS = ("32", "bf16")


@dataclass(frozen=True)
class Size:
    """How much is measured, and where."""

    device: str
    data: str = "mnist5k"
    train: int = 10_000
    rounds: int = 3
    epochs: int = 10
    steps: int = 100
    splits: int = 5
    width: float = 1.0


def load(name: str, seed: int = 0) -> Task:
    with tempfile.TemporaryDirectory() as cache:
        return load_task(name, seed=seed, data_dir=cache, cache_dir=cache)


def make_task(size: Size, seed: int = 0) -> Task:
    """Mnist5k with 10,000 training images: its own, over and over."""
    task = load(size.data, seed)
    return replace(task, train=task.train.take(torch.arange(size.train) % len(task.train))).to(size.device)


def make_ticket(size: Size) -> Ticket:
    """A conv4 ticket searched on half of the digits."""
    settings = SearchSettings(
        density=0.5,
        method_options={"lr": 1.0},
        trainer={"max_steps": size.steps, "precision": resolve_precision("auto", size.device)},
    )
    source, spec = load(f"{size.data}:0-4"), MotherSpec("conv4", options={"width": size.width}, seed=0)
    return find_ticket([source], spec, settings, device=size.device, progress=False)


def timed(run: Callable[[], Any], device: str) -> tuple[float, Any]:
    synchronize(device)
    start = time.perf_counter()
    result = run()
    synchronize(device)
    return time.perf_counter() - start, result


def forward(network: FrozenNetwork, images: torch.Tensor, precision: str, batch_size: int) -> None:
    """The bare forward pass."""
    kind = images.device.type
    with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"):
        for x in torch.split(images, batch_size):
            network(x)


def bare(network: FrozenNetwork, images: torch.Tensor, precision: str) -> float:
    """Seconds of the bare forward pass over all images, with the batch size that is fastest here and now."""
    device, sizes = str(images.device), BATCHES[images.device.type]
    return min(timed(lambda b=b: forward(network, images, precision, b), device)[0] for b in sizes)


def measure(network: FrozenNetwork, task: Task, size: Size, began: float) -> dict[str, dict[str, list[Any]]]:
    """Per precision: "forward" seconds, "ridge" (seconds, result), "sgd" (result, the ridge fits before and after)."""
    images = torch.cat([x for part in ("train", "valid", "test") for x, _ in task.batches(part)])
    images = images.contiguous(memory_format=torch.channels_last)
    found: dict[str, dict[str, list[Any]]] = {p: {"forward": [], "ridge": [], "sgd": []} for p in PRECISIONS}
    small = torch.arange(min(3_000, size.train), device=task.device)
    for precision in PRECISIONS:  # imports and first touches
        transfer(network, replace(task, train=task.train.take(small)), precision=precision, device=size.device)
        bare(network, images, precision)
    for number in range(size.rounds):
        if number and time.perf_counter() - began > SECONDS[size.device.split(":")[0]][0]:
            break
        for precision, lists in found.items():
            lists["forward"].append(bare(network, images, precision))
            fit = partial(transfer, network, task, precision=precision, device=size.device)
            lists["ridge"].append(timed(fit, size.device))
        print(f"round {number + 1}: {time.perf_counter() - began:.0f} s", flush=True)
    longest: dict[str, float] = {p: size.epochs * 1.5 * min(lists["forward"]) for p, lists in found.items()}
    for number in range(SGD_ROUNDS):
        for precision in sorted(found, key=lambda p: longest[p]):
            none_yet = not any(lists["sgd"] for lists in found.values())
            if (
                none_yet
                or time.perf_counter() - began + 1.2 * longest[precision] < SECONDS[size.device.split(":")[0]][1]
            ):
                seconds, run = timed(partial(against_sgd, network, task, precision, size), size.device)
                found[precision]["sgd"].append(run)
                longest[precision] = seconds
                print(f"probe {number + 1} in {precision}: {time.perf_counter() - began:.0f} s", flush=True)
    return found


def against_sgd(network: FrozenNetwork, task: Task, precision: str, size: Size) -> tuple[TransferResult, list[float]]:
    """One run of the probe, and the seconds of a ridge fit before and of one after it."""
    fit = partial(transfer, network, task, precision=precision, device=size.device)
    before = fit().fit.seconds
    probe = fit(head="sgd", options={"epochs": size.epochs})
    return probe, [before, fit().fit.seconds]


class InMemory:
    """The features of a stream, computed once: what a head's fit asks of one."""

    def __init__(self, stream: FeatureStream) -> None:
        self.parts = {part: stream.collect(part) for part in ("train", "valid", "test")}
        self.dim, self.classes, self.sizes, self.device = (stream.dim, stream.classes, stream.sizes, stream.device)
        self.batch_size, self.seconds = 500, 0.0

    def batches(self, part: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        features, labels = self.parts[part]
        yield from zip(features.split(self.batch_size), labels.split(self.batch_size), strict=True)

    def collect(self, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self.parts[part]

    def draw(self, index: torch.Tensor, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        features, labels = self.parts["train"]
        return features[index], labels[index]


def accuracies(network: FrozenNetwork, size: Size) -> dict[str, list[float]]:
    """Test accuracies of both heads on the five splits."""
    found: dict[str, list[float]] = {"ridge": [], "sgd": []}
    for seed in range(size.splits):
        task = make_task(size, seed)
        stream = InMemory(FeatureStream(network, task, precision="bf16", device=size.device))
        features, labels = stream.parts["test"]
        for head, options in (("ridge", {}), ("sgd", {"epochs": size.epochs})):
            member = HEADS.get(head)
            fit = member.fit(stream, member.read(options), seed=seed)
            found[head].append(float((fit.head(features).argmax(1) == labels).float().mean()))
    return found


def summary(lists: dict[str, list[Any]]) -> dict[str, Any]:
    """Medians for one precision; what was not measured for want of time is None."""
    ridge: list[TransferResult] = [result for _, result in lists["ridge"]]
    ratios = [seconds / bare for (seconds, _), bare in zip(lists["ridge"], lists["forward"], strict=True)]
    speedups = [probe.fit.seconds / statistics.median(fits) for probe, fits in lists["sgd"]]
    probes: list[TransferResult] = [probe for probe, _ in lists["sgd"]]
    return {
        "ratio_forward": statistics.median(ratios),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "seconds_forward": statistics.median(lists["forward"]),
        "seconds_ridge": statistics.median(seconds for seconds, _ in lists["ridge"]),
        "seconds_ridge_parts": {k: statistics.median(r.seconds[k] for r in ridge) for k in ridge[0].seconds},
        "speedup_sgd": statistics.median(speedups) if speedups else None,
        "seconds_sgd_fit": statistics.median(p.fit.seconds for p in probes) if probes else None,
        "accuracy_ridge": ridge[0].accuracy,
        "accuracy_sgd": probes[0].accuracy if probes else None,
        "lambda": ridge[0].fit.hyper["lambda"],
        "lr": probes[0].fit.hyper["lr"] if probes else None,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    size = Size(resolve_device(args.device))
    if size.device != "cpu":  # a lent GPU has little time
        size = replace(size, splits=1)
    if args.smoke:
        size = replace(size, data="digits", train=100, rounds=1, epochs=1, steps=2, splits=1, width=0.125)
    began = time.perf_counter()
    task, network = make_task(size), make_ticket(size).network()
    assert isinstance(network, FrozenNetwork)
    network = network.to(size.device)
    accuracy = accuracies(network, size)
    deltas = [a - b for a, b in zip(accuracy["ridge"], accuracy["sgd"], strict=True)]
    found = measure(network, task, size, began)
    details = {precision: summary(lists) for precision, lists in found.items()}
    line = {
        "ratio_forward": max(d["ratio_forward"] for d in details.values()),
        "speedup_sgd": min(d["speedup_sgd"] for d in details.values() if d["speedup_sgd"] is not None),
        "accuracy_delta": statistics.mean(deltas),
        "accuracy": accuracy,
        "rounds": len(found["32"]["ridge"]),
        "rounds_sgd": {precision: len(lists["sgd"]) for precision, lists in found.items()},
        "n": {"train": len(task.train), "valid": len(task.valid), "test": len(task.test)},
        "dim": network.dim,
        "device": size.device,
        "threads": torch.get_num_threads(),
        "details": details,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
