"""Ridge transfer of one ticket to one task, against a bare forward pass over the same images and the SGD probe.

    python scripts/bench_transfer.py

Conv4 (d = 2048), density 0.5; 10,000 training images (the 3,600 of mnist5k, over and over), 400 for validation,
1,000 for the test; float32 and bfloat16. Medians of interleaved runs. The bare forward pass has its images as floats
in memory already and takes the fastest of several batch sizes; the probe trains its default three learning rates on
the same forward passes. A slow machine skips repetitions, and then the slower precision's probe. The last line is one
JSON object:

    ratio_forward   seconds of `transfer` / seconds of the bare forward pass; the worse of the two precisions
    speedup_sgd     seconds of the SGD probe's fit (10 epochs) / of the ridge fits around it; the worse of the two
    accuracy_delta  test accuracy of ridge minus that of the SGD probe, a fraction; the worse of the two
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ult_lightning.data import Task, load_task
from ult_lightning.heads import TransferResult, transfer
from ult_lightning.nets import (
    FrozenNetwork,
    apply_mask,
    as_arrays,
    build_mother,
    constants,
    estimate_statistics,
    fingerprint,
    maskable,
)
from ult_lightning.nets import statistics as norm_statistics
from ult_lightning.tickets import Mask, MotherSpec, Ticket

TRAIN = 10_000
ROUNDS = 3
SGD_ROUNDS = 1
EPOCHS = 10
SECONDS_OF_ROUNDS = 150.0
SECONDS = 480.0
PRECISIONS = ("32", "bf16")


def make_task() -> Task:
    """Mnist5k with 10,000 training images: its own, over and over."""
    with tempfile.TemporaryDirectory() as cache:
        task = load_task("mnist5k", seed=0, data_dir=cache, cache_dir=cache)
    return replace(task, train=task.train.take(torch.arange(TRAIN) % len(task.train)))


def make_ticket(task: Task) -> Ticket:
    """A random half of a conv4 mother, with norm statistics of the task (which half does not matter for speed)."""
    spec = MotherSpec("conv4", seed=0)
    mother = build_mother(spec)
    rng = np.random.default_rng(0)
    mask = Mask({name: rng.random(tuple(p.shape)) < 0.5 for name, p in maskable(mother.body).items()})
    whole, fixed = fingerprint(mother.body), as_arrays(constants(mother.body))
    apply_mask(mother.body, mask)
    estimate_statistics(
        mother, [task.batch("train", torch.arange(i, i + 125))[0] for i in range(0, 1000, 125)]
    )
    return Ticket(spec, mask, as_arrays(norm_statistics(mother.body)), whole, constants=fixed)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def forward(network: FrozenNetwork, images: torch.Tensor, precision: str, batch_size: int) -> None:
    """The bare forward pass."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for x in torch.split(images, batch_size):
            network(x)


def fastest_batch(network: FrozenNetwork, images: torch.Tensor, precision: str) -> int:
    """The batch size with which the bare forward pass over the first 1,000 images is fastest."""
    forward(network, images[:250], precision, 125)
    seconds = {b: min(timed(lambda b=b: forward(network, images[:1000], precision, b))[0] for _ in range(2))
               for b in (64, 125, 250, 500)}  # fmt: skip
    return min(seconds, key=lambda b: seconds[b])


def measure(network: FrozenNetwork, task: Task) -> dict[str, dict[str, list[Any]]]:
    """Per precision: "forward" seconds, "ridge" (seconds, result), "sgd" (result, the ridge fits before and after)."""
    began = time.perf_counter()
    images = torch.cat([x for part in ("train", "valid", "test") for x, _ in task.batches(part)])
    images = images.contiguous(memory_format=torch.channels_last)
    found: dict[str, dict[str, list[Any]]] = {p: {"forward": [], "ridge": [], "sgd": []} for p in PRECISIONS}
    batch = {p: fastest_batch(network, images, p) for p in PRECISIONS}
    transfer(network, replace(task, train=task.train.take(torch.arange(3000))))  # imports and first touches
    for number in range(ROUNDS):
        if number and time.perf_counter() - began > SECONDS_OF_ROUNDS:
            break
        for precision, lists in found.items():
            lists["forward"].append(timed(lambda p=precision: forward(network, images, p, batch[p]))[0])
            lists["ridge"].append(timed(lambda p=precision: transfer(network, task, precision=p)))
        print(f"round {number + 1}: {time.perf_counter() - began:.0f} s", flush=True)
    longest: dict[str, float] = {p: EPOCHS * 1.5 * min(lists["forward"]) for p, lists in found.items()}
    for number in range(SGD_ROUNDS):
        for precision in sorted(found, key=lambda p: longest[p]):
            none_yet = not any(lists["sgd"] for lists in found.values())
            if none_yet or time.perf_counter() - began + 1.2 * longest[precision] < SECONDS:
                seconds, run = timed(lambda p=precision: against_sgd(network, task, p))
                found[precision]["sgd"].append(run)
                longest[precision] = seconds
                print(f"probe {number + 1} in {precision}: {time.perf_counter() - began:.0f} s", flush=True)
    return found


def against_sgd(network: FrozenNetwork, task: Task, precision: str) -> tuple[TransferResult, list[float]]:
    """One run of the probe, and the seconds of a ridge fit before and of one after it."""
    before = transfer(network, task, precision=precision).fit.seconds
    probe = transfer(network, task, head="sgd", options={"epochs": EPOCHS}, precision=precision)
    return probe, [before, transfer(network, task, precision=precision).fit.seconds]


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
        "accuracy_delta": ridge[0].accuracy - probes[0].accuracy if probes else None,
        "lambda": ridge[0].fit.hyper["lambda"],
        "lr": probes[0].fit.hyper["lr"] if probes else None,
    }


def main() -> None:
    task = make_task()
    network = make_ticket(task).network()
    assert isinstance(network, FrozenNetwork)
    found = measure(network, task)
    details = {precision: summary(lists) for precision, lists in found.items()}
    line = {
        "ratio_forward": max(d["ratio_forward"] for d in details.values()),
        "speedup_sgd": min(d["speedup_sgd"] for d in details.values() if d["speedup_sgd"] is not None),
        "accuracy_delta": min(
            d["accuracy_delta"] for d in details.values() if d["accuracy_delta"] is not None
        ),
        "rounds": len(found["32"]["ridge"]),
        "rounds_sgd": {precision: len(lists["sgd"]) for precision, lists in found.items()},
        "n": {"train": len(task.train), "valid": len(task.valid), "test": len(task.test)},
        "dim": network.dim,
        "threads": torch.get_num_threads(),
        "details": details,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
