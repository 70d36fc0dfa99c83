"""One step of mask search against one step of dense training, and against masks found by sorting.

    python scripts/bench_search_step.py

Conv4, batch 128, images in memory. ``search`` is the step of ``ult search`` (mask, forward, backward, SGD on scores and
head). ``dense`` is the same net at the same precision with all weights trained by SGD, in the memory format that is
fastest for it. ``sorted`` is the search with the published algorithm's masks: all scores of a layer are sorted in every
forward pass. Medians of interleaved runs; the last line is one JSON object:

    ratio_dense    search / dense with trunk=fc; the worse of float32 and bfloat16
    ratio_sorted   search at the default precision / search by sorting in float32, with trunk=fc (pool stands beside it)
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ult_lightning.nets import MaskedParameters, build_mother, maskable
from ult_lightning.search import SearchSettings, kept_counts, resolve_precision, seeded_head
from ult_lightning.tickets import MotherSpec

BATCH = 128
ROUNDS = 11
SECONDS = 500.0
Step = Callable[[], None]


class SortedSubset(torch.autograd.Function):
    """The reference code's forward: sort the flattened |scores|, zero the first j, one for the rest."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, density: float) -> Tensor:
        out = scores.clone()
        _, order = scores.flatten().sort()
        j = int((1 - density) * scores.numel())
        flat = out.flatten()
        flat[order[:j]] = 0
        flat[order[j:]] = 1
        return flat.view(scores.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class BySorting(nn.Module):
    """The reference code's layer as a parametrization."""

    def __init__(self, shape: torch.Size, bound: float) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def forward(self, weight: Tensor) -> Tensor:
        subset: Tensor = SortedSubset.apply(self.scores.abs(), 0.5)
        return weight * subset


def dense_step(spec: MotherSpec, precision: str, x: Tensor, y: Tensor, channels_last: bool) -> Step:
    """Training all weights."""
    body = build_mother(spec).body.train().requires_grad_(True)
    if channels_last:
        body, x = body.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    return train_step(body, x, y, list(body.parameters()), precision, lambda: None)


def search_step(spec: MotherSpec, precision: str, x: Tensor, y: Tensor) -> Step:
    """The step of ``ult search``."""
    mother = build_mother(spec).train()
    kept = kept_counts({n: tuple(p.shape) for n, p in maskable(mother.body).items()}, SearchSettings())
    masked = MaskedParameters(mother.body, kept, seed=0)
    return train_step(mother, x, y, list(masked.scores()), precision, masked.update)


def sorted_step(spec: MotherSpec, precision: str, x: Tensor, y: Tensor) -> Step:
    """The search step with sort-based masks, on the same fast convolutions."""
    body = build_mother(spec).body.train()
    scores = []
    for name in list(maskable(body)):
        layer = body.get_submodule(name.rpartition(".")[0])
        subset = BySorting(layer.weight.shape, layer.weight[0].numel() ** -0.5)
        parametrize.register_parametrization(layer, "weight", subset)
        scores.append(subset.scores)
    x = x.contiguous(memory_format=torch.channels_last)
    return train_step(body, x, y, scores, precision, lambda: None)


def train_step(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    trained: list[nn.Parameter],
    precision: str,
    before: Step,
) -> Step:
    """Forward, cross-entropy, backward and SGD with momentum on ``trained`` and a head."""
    with torch.no_grad():
        head = seeded_head(net(x[:2]).shape[1], 10, 0, 0)
    groups = [{"params": trained, "lr": 0.1}, {"params": head.parameters(), "lr": 0.01}]
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        before()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"), parametrize.cached():
            loss = F.cross_entropy(head(net(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def fastest_dense(spec: MotherSpec, precision: str, x: Tensor, y: Tensor) -> Step:
    """Dense training in the memory format that is faster."""
    steps = [dense_step(spec, precision, x, y, channels_last) for channels_last in (False, True)]
    for step in steps:
        step()
    return min(steps, key=lambda step: min(seconds(step) for _ in range(3)))


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 3, 32, 32, generator=generator)
    y = torch.randint(10, (BATCH,), generator=generator)
    default = resolve_precision("auto", "cpu")
    steps: dict[str, Step] = {}
    for trunk in ("fc", "pool"):
        spec = MotherSpec("conv4", options={"trunk": trunk})
        for precision in ("32", "bf16"):
            steps[f"search/{trunk}/{precision}"] = search_step(spec, precision, x, y)
        steps[f"sorted/{trunk}/32"] = sorted_step(spec, "32", x, y)
    fc = MotherSpec("conv4", options={"trunk": "fc"})
    for precision in ("32", "bf16"):
        steps[f"dense/fc/{precision}"] = fastest_dense(fc, precision, x, y)
    for step in steps.values():
        step()
    found: dict[str, list[float]] = {name: [] for name in steps}
    began = time.perf_counter()
    for _ in range(ROUNDS):
        for name, step in steps.items():
            found[name].append(seconds(step))
        if time.perf_counter() - began > SECONDS:
            break
    middle = {name: statistics.median(values) for name, values in found.items()}
    for name, value in middle.items():
        print(f"{name:16} {1000 * value:8.1f} ms  (min {1000 * min(found[name]):.1f})")
    dense = {p: middle[f"search/fc/{p}"] / middle[f"dense/fc/{p}"] for p in ("32", "bf16")}
    by_sort = {t: middle[f"search/{t}/{default}"] / middle[f"sorted/{t}/32"] for t in ("fc", "pool")}
    line = {
        "ratio_dense": max(dense.values()),
        "ratio_sorted": by_sort["fc"],
        "ratio_dense_by_precision": dense,
        "ratio_sorted_by_trunk": by_sort,
        "default_precision": default,
        "rounds": len(found["dense/fc/32"]),
        "threads": torch.get_num_threads(),
        "milliseconds": {name: 1000 * value for name, value in middle.items()},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
