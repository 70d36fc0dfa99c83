"""The step of a search without Lightning, for the benchmarks: eager, compiled, or as one CUDA graph."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ult_lightning.data import TaskBatch
from ult_lightning.search import MaskSearch

WARM_UP = 3
"""Eager steps before a capture, which make the optimizer's and the libraries' memory; they count as steps."""
Step = Callable[[], object]


class BareSearch:
    """A `MaskSearch` with its own optimizer and schedule, one batch of one source per ``step``.

    ``compile``: the forward and backward pass go through torch.compile (``backend`` "inductor" or "aot_eager"). ``graph``: on a
    CUDA device the whole step, masks included, is captured once and replayed; elsewhere it does nothing.
    """

    def __init__(
        self,
        search: MaskSearch,
        *,
        device: str = "cpu",
        precision: str = "32",
        compile: str | None = None,
        graph: bool = False,
    ) -> None:
        self.search, self.device, self.precision = search.to(device), torch.device(device), precision
        self.graphed = graph and self.device.type == "cuda"
        self.compiled = None if compile is None else torch.compile(self._source_loss, backend=compile)
        made: Any = search.configure_optimizers()
        self.optimizer: torch.optim.Optimizer = made["optimizer"]
        if self.graphed:  # a captured step reads its learning rates from memory
            groups = [
                {**g, "lr": torch.tensor(float(g["initial_lr"]), device=device)} for g in self.optimizer.param_groups
            ]
            keys = ("params", "lr", "momentum", "weight_decay")
            self.optimizer = torch.optim.SGD([{k: g[k] for k in keys} for g in groups], fused=True)
        self.rates = [float(g["initial_lr"]) for g in made["optimizer"].param_groups]
        self.done, self.graph, self.held = 0, None, None
        self.loss = torch.zeros((), device=device)

    def step(self, batch: Sequence[TaskBatch]) -> Tensor:
        """One optimizer step; the loss () of this batch, which the next step may overwrite."""
        if not self.graphed:
            self._work(batch)
        elif self.done < WARM_UP:
            side = torch.cuda.Stream(self.device)
            side.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(side):
                self._work(batch)
            torch.cuda.current_stream(self.device).wait_stream(side)
        else:
            self._replay(batch)
        self.done += 1
        self._set_rates()
        return self.loss

    def _work(self, batch: Sequence[TaskBatch]) -> None:
        for learner in self.search.learners:
            learner.before_step(self.done)
        bfloat = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with bfloat:
            if self.compiled is None:
                loss = self.search.batch_loss(batch)
            else:
                loss = self.compiled(batch[0].x, batch[0].y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.loss = loss.detach()

    def _source_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """What ``batch_loss`` gives for one source, without the cache that a trace cannot enter."""
        search = self.search
        return search.objective.loss(search.mother(x), y, search.heads[0])

    def _replay(self, batch: Sequence[TaskBatch]) -> None:
        if self.graph is None:
            self.held = [TaskBatch(b.x.clone(), b.y.clone(), b.task) for b in batch]
            self.optimizer.zero_grad()
            self.graph = torch.cuda.CUDAGraph()
            torch.cuda.synchronize(self.device)
            with torch.cuda.graph(self.graph):
                self._work(self.held)
        for mine, new in zip(self.held, batch, strict=True):
            mine.x.copy_(new.x)
            mine.y.copy_(new.y)
        self.graph.replay()

    def _set_rates(self) -> None:
        steps = self.search.steps
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(self.done, steps) / steps))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(cosine * rate)
            else:
                group["lr"] = cosine * rate


def multiply_adds(search: MaskSearch, batch: int) -> int:
    """Multiply-adds of forward and backward of one step: three times those of the forward pass, but for the first layer,
    whose input needs no gradient.
    """
    counts: list[int] = []

    def count(layer: Any, _: Any, out: Tensor) -> None:
        counts.append(out[0].numel() * layer.weight[0].numel())

    layers = [m for m in search.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    device = next(search.parameters()).device
    with torch.no_grad(), parametrize.cached():
        search(torch.zeros(2, *search.mother.spec.input.shape, device=device))
    for hook in hooks:
        hook.remove()
    return batch * (3 * sum(counts) - counts[0])


def matrix_product(device: str, precision: str, side: int) -> tuple[Step, int]:
    """A square matrix product in this precision, and its multiply-adds."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    return lambda: torch.matmul(a, b, out=out), side**3


def seconds(step: Step, device: str = "cpu", times: int = 1) -> float:
    """Seconds of one call, the mean of ``times`` calls in a row."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(times):
        step()
    synchronize(device)
    return (time.perf_counter() - start) / times


def synchronize(device: str) -> None:
    """Waits for the device, where it is not the CPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def interleaved(
    steps: dict[str, Step],
    *,
    device: str,
    rounds: int,
    times: int = 1,
    limit: float = 500.0,
) -> dict[str, list[float]]:
    """Seconds of each step, all of them in turn, ``rounds`` times or until ``limit`` seconds have passed."""
    for step in steps.values():
        seconds(step, device, times)
    began, measured = time.perf_counter(), {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            measured[name].append(seconds(step, device, times))
        if time.perf_counter() - began > limit:
            break
    return measured


def medians(measured: dict[str, list[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: statistics.median(values) for name, values in measured.items()}


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the words that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="seconds on a CPU: does everything run?")
    return parser
