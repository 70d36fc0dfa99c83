"""One step of mask search against dense training, masks found by sorting, and the matrix products it is made of.

    python scripts/bench_search_step.py [--device cuda] [--nets conv4 conv2] [--profile] [--smoke]

Batch 128, images in memory. ``search`` is the step of ``ult search`` (mask, forward, backward, SGD on scores and head).
``dense`` is the same net at the same precision with all weights trained by SGD, in the memory format that is fastest for it.
``sorted`` is the search with the published algorithm's masks: all scores of a layer are sorted in every forward pass. On a GPU,
``compiled`` passes the step through torch.compile and ``graph`` replays it as one CUDA graph, which the mask selection allows
since it never waits for the device. Medians of interleaved runs; the last line is one JSON object, for the first net:

    ratio_dense    search / dense with trunk=fc; the worse of float32 and bfloat16
    ratio_sorted   search at the default precision / search by sorting in float32, with trunk=fc (pool stands beside it)
    ratio_limit    fastest search / the time that a large matrix product takes for the same multiply-adds, by net and precision

What stands between the step and its products (one CPU thread, batch 128, trunk=fc): oneDNN's convolutions, forward a quarter and
backward half of the time, run near the rate of the large product, so that conv4 has ratio_limit 1.1 and conv2 1.4 to 1.5, in
float32 and bfloat16 alike. The rest of conv4's step reads and writes maps and multiplies nothing: batch norm (6 to 9 %), ReLU
(3 to 5 %), max-pools (1 to 4 %) and copies (2 to 3 %). Mask selection, the product with the mask and SGD on the scores are
2 to 5 %, so that no change to them alone moves the ratio much.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from _bare import BareSearch, Step, arguments, interleaved, matrix_product, medians, multiply_adds, seconds
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ult_lightning.data import TaskBatch
from ult_lightning.nets import build_mother, maskable
from ult_lightning.search import MaskSearch, SearchSettings, resolve_device, resolve_precision, seeded_head
from ult_lightning.tickets import MotherSpec

PRECISIONS = ("32", "bf16")


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
    return train_step(body, x, y, precision)


def sorted_step(spec: MotherSpec, precision: str, x: Tensor, y: Tensor) -> Step:
    """The search step with sort-based masks, on the same fast convolutions."""
    body = build_mother(spec).body.train()
    for name in list(maskable(body)):
        layer = body.get_submodule(name.rpartition(".")[0])
        subset = BySorting(layer.weight.shape, layer.weight[0].numel() ** -0.5)
        parametrize.register_parametrization(layer, "weight", subset)
    return train_step(body, x.contiguous(memory_format=torch.channels_last), y, precision)


def train_step(net: nn.Module, x: Tensor, y: Tensor, precision: str) -> Step:
    """Forward, cross-entropy, backward and SGD with momentum on what needs a gradient and a head."""
    net = net.to(x.device)
    with torch.no_grad():
        head = seeded_head(net(x[:2]).shape[1], 10, 0, 0).to(x.device)
    trained = [p for p in net.parameters() if p.requires_grad]
    groups = [{"params": trained, "lr": 0.1}, {"params": head.parameters(), "lr": 0.01}]
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        enabled = precision == "bf16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=enabled), parametrize.cached():
            loss = F.cross_entropy(head(net(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def fastest_dense(spec: MotherSpec, precision: str, x: Tensor, y: Tensor) -> Step:
    """Dense training in the memory format that is faster."""
    steps = [dense_step(spec, precision, x, y, channels_last) for channels_last in (False, True)]
    for step in steps:
        step()
    device = str(x.device)
    return min(steps, key=lambda step: min(seconds(step, device) for _ in range(3)))


def searches(
    spec: MotherSpec,
    precision: str,
    batch: list[TaskBatch],
    device: str,
    smoke: bool,
    compiles: bool,
) -> dict[str, Step]:
    """The step of ``ult search``, and on a GPU (in a smoke run, anywhere) compiled and as a graph."""

    def made(**how: Any) -> Step:
        settings = SearchSettings(batch_size=len(batch[0].y))
        bare = BareSearch(
            MaskSearch(spec, {"source": 10}, settings, steps=10_000), device=device, precision=precision, **how
        )
        return lambda: bare.step(batch)

    steps = {"search": made()}
    if device != "cpu" or smoke:
        steps |= {"graph": made(graph=True)}
    if compiles and (device != "cpu" or smoke):
        try:
            compiled = made(compile="aot_eager" if smoke else "inductor", graph=True)
            compiled()
            steps["compiled"] = compiled
        except Exception as error:  # a missing compiler must not cost the rest of the table
            print(f"compiled: not on this machine ({type(error).__name__}: {str(error).splitlines()[0]})")
    return steps


def profile(step: Step, device: str) -> None:
    """Prints where the time of ten steps goes."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device != "cpu":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as record:
        for _ in range(10):
            step()
    order = "self_cpu_time_total" if device == "cpu" else "self_cuda_time_total"
    print(record.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=45))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--nets", nargs="+")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    device = resolve_device(args.device)
    size, side = (8, 256) if args.smoke else (128, 2048 if device == "cpu" else 8192)
    rounds, times = (1, 1) if args.smoke else (args.rounds, 1 if device == "cpu" else 10)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, 3, 32, 32, generator=generator).to(device)
    y = torch.randint(10, (size,), generator=generator).to(device)
    nets = args.nets or (["conv2"] if args.smoke else ["conv4", "conv2"])
    batch, main_net = [TaskBatch(x, y, 0)], nets[0]
    options: dict[str, Any] = {"width": 0.125} if args.smoke else {}
    steps: dict[str, Step] = {}
    work: dict[str, int] = {}
    for precision in PRECISIONS:
        for net in nets:
            for trunk in ("fc", "pool") if net == main_net else ("fc",):
                spec = MotherSpec(net, options={"trunk": trunk, **options})
                first = (net, trunk) == (main_net, "fc")
                for kind, step in searches(spec, precision, batch, device, args.smoke, first).items():
                    steps[f"{kind}/{net}/{trunk}/{precision}"] = step
                if precision == "32" and net == main_net:
                    steps[f"sorted/{net}/{trunk}/32"] = sorted_step(spec, "32", x, y)
            spec = MotherSpec(net, options={"trunk": "fc", **options})
            work[net] = multiply_adds(MaskSearch(spec, {"source": 10}), size)
        spec = MotherSpec(main_net, options={"trunk": "fc", **options})
        steps[f"dense/{main_net}/fc/{precision}"] = fastest_dense(spec, precision, x, y)
        steps[f"product/{precision}"], product = matrix_product(device, precision, side)
    measured = interleaved(steps, device=device, rounds=rounds, times=times, limit=500.0 if device == "cpu" else 25.0)
    middle = medians(measured)
    for name, value in middle.items():
        print(f"{name:28} {1000 * value:9.3f} ms  (min {1000 * min(measured[name]):.3f})")
    dense = {p: middle[f"search/{main_net}/fc/{p}"] / middle[f"dense/{main_net}/fc/{p}"] for p in PRECISIONS}
    default = resolve_precision("auto", device)
    by_sort = {
        t: middle[f"search/{main_net}/{t}/{default}"] / middle[f"sorted/{main_net}/{t}/32"] for t in ("fc", "pool")
    }
    limit = {}
    for net in nets:
        for precision in PRECISIONS:
            kinds = [k for k in ("search", "graph", "compiled") if f"{k}/{net}/fc/{precision}" in middle]
            best = min(middle[f"{kind}/{net}/fc/{precision}"] for kind in kinds)
            limit[f"{net}/{precision}"] = best / (middle[f"product/{precision}"] * work[net] / product)
    print("ratio_limit " + "  ".join(f"{name} {value:.2f}" for name, value in limit.items()))
    if args.profile:
        for precision in PRECISIONS:
            profile(steps[f"search/{main_net}/fc/{precision}"], device)
    line = {
        "ratio_dense": max(dense.values()),
        "ratio_sorted": by_sort["fc"],
        "ratio_limit": limit,
        "ratio_dense_by_precision": dense,
        "ratio_sorted_by_trunk": by_sort,
        "multiply_adds": work,
        "default_precision": default,
        "rounds": len(measured[f"product/{default}"]),
        "device": torch.cuda.get_device_name(device) if device != "cpu" else "cpu",
        "threads": torch.get_num_threads(),
        "milliseconds": {name: 1000 * value for name, value in middle.items()},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
