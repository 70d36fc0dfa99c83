"""Tickets that equal a given ReLU network: every weight of it a subset sum of a random mother's weights.

Mode "2L" (Pensia et al. 2020; Orseau et al. 2020) prunes two random layers to each layer of the target. Mode "L+1"
(Burkholz 2022) doubles the first layer only; after it every unit exists in copies, and a weight is a subset sum over the
copies of its input. Biases are subset sums over neurons that carry constants, which non-zero biases give for nothing.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ult_lightning.base import fault
from ult_lightning.construct._arrays import Floats
from ult_lightning.construct._draft import Draft
from ult_lightning.construct._family import FAMILIES, ConstructError, Family, Notice, silent
from ult_lightning.construct._steps import Step
from ult_lightning.construct.certificates._interval_bound import network_bound
from ult_lightning.construct.network._network_options import Mode, NetworkOptions
from ult_lightning.construct.network._prune_network import prune_network
from ult_lightning.construct.network._target import input_shape_of, outputs, read_target
from ult_lightning.tickets import InputSpec, MotherSpec, Ticket

Shape = tuple[int, int, int]

LARGEST_BIAS = 2.0
"""Where the gauge leaves the target's biases: the constants' subset sums reach them with a few terms."""

_FEW_INPUTS = 4
_SAMPLE = 256


def network_ticket(
    target: nn.Module | str | os.PathLike[str],
    *,
    mode: Mode = NetworkOptions.mode,
    block: int = NetworkOptions.block,
    eps: float = NetworkOptions.eps,
    seed: int = 0,
    init: str = NetworkOptions.init,
    calibration: ArrayLike | Tensor | None = None,
    feedback: bool = NetworkOptions.feedback,
    low_noise: bool | None = NetworkOptions.low_noise,
    input_shape: Sequence[int] | None = NetworkOptions.input_shape,
    notice: Notice = silent,
) -> Ticket:
    """A ticket whose features are the outputs (logits) of ``target`` on inputs in [0, 1]; the mother is drawn once.

    Source: mode "2L" after Pensia et al. 2020 and Orseau et al. 2020, mode "L+1" after Burkholz 2022; errors are handed on as in
    GPTQ (Frantar et al. 2023).

    Args:
        target: a Sequential (nested ones too) of Linear, Conv2d, ReLU, MaxPool2d and Flatten with a ReLU between layers with
            weights, or the path of a file of `save_target`.
        mode: "2L" (fewer parameters, depth 2L) or "L+1" (depth L+1, about ``block`` times as many).
        block: the candidates n of each subset sum: the mother's hidden layers are n times as wide as the target's inputs.
        eps: the tolerance of a weight, in the gauge where the largest weight of each layer is at most 1. Mode "L+1" takes a
            tenth of it, and a block 1.2 times as large, in the first layer, whose errors all others amplify.
        seed: of the mother.
        init: of the mother, a name in ``ult_lightning.nets.INITS``.
        calibration: typical inputs (b, c, h, w), or (b, d) for targets that take features, in [0, 1]. None: 256 uniform ones.
        feedback: whether the errors of weights are handed on to later ones so that outputs on ``calibration`` stay right.
        low_noise: whether subset sums over copies take the smallest sum of squares; None: yes in mode "L+1".
        input_shape: (c, h, w); needed where neither calibration nor the target says it. Features are (1, 1, d).
        notice: hears of each layer that is done.

    The provenance has "kept_per_parameter" (kept parameters over the non-zero parameters of the target) and a "certificate":
    "bound" on |feature - output| over all of [0, 1]^d by interval arithmetic, 50 times above what is seen and more in mode
    "L+1", "sampled" the largest seen, and "relative", over the calibration inputs, to the largest |output| there.

    Raises ``UltError`` for a target or settings that cannot be, and ``ConstructError`` where more than half of the target's weights missed ``eps``.
    """
    options = NetworkOptions(
        mode=mode,
        block=block,
        eps=eps,
        init=init,
        feedback=feedback,
        low_noise=low_noise,
        input_shape=None if input_shape is None else tuple(input_shape),
    )
    data = None if calibration is None else _calibration(calibration)
    return _construct(options, target=target, data=data, seed=seed, notice=notice)


def _construct(
    options: NetworkOptions,
    *,
    seed: int,
    target: nn.Module | str | os.PathLike[str] | None = None,
    data: Tensor | None = None,
    notice: Notice = silent,
) -> Ticket:
    start = time.perf_counter()
    if target is None:
        if options.target is None:
            mend = "write it with ult_lightning.construct.save_target(module, path)"
            raise fault("target", None, "a file", mend)
        target = os.path.expanduser(options.target)
    if options.calibration is not None:
        data = _calibration(_array(options.calibration))
    steps = read_target(target)
    shape = input_shape_of(steps, options.input_shape, data)
    points = _points(data, shape, seed)
    gauged, gain = _gauge(steps)
    spec = _mother(gauged, gain, options, shape, seed)
    draft = Draft(spec)
    effective, solved = prune_network(gauged, draft.layers, options, points, notice)
    targets, missed = (sum(getattr(s, key) for s in solved) for key in ("targets", "missed"))
    if 2 * missed > targets:
        wanted = f"a block in which more than half of the {targets} subset sums come within eps={options.eps}"
        mend = f"try block={max(15, 2 * options.block)} or a larger eps"
        raise fault("block", options.block, wanted, mend, error=ConstructError)
    bound = network_bound(gauged, effective, shape) / gain
    known = None if data is None and not options.feedback else points
    config = _config(steps, options, shape, known) | {"seed": seed}
    certificate = {"kind": "interval (loose)", "bound": bound, **_sampled(draft, steps, points, seed)}
    count = sum(int(np.count_nonzero(array)) for step in steps for array in (step.weight, step.bias))
    provenance = {
        "method": "network",
        "config": config,
        "target_parameters": count,
        "kept_per_parameter": draft.kept / count,
        "subset_sums": targets,
        "missed": missed,
        "certificate": certificate,
    }
    return draft.ticket(provenance, seconds=time.perf_counter() - start)


def _explain(ticket: Ticket, options: NetworkOptions) -> list[tuple[str, str]]:
    per, sums, missed = (ticket.provenance[key] for key in ("kept_per_parameter", "subset_sums", "missed"))
    return [
        ("per weight", f"{per:.2f} kept parameters for each of the target's that is not 0"),
        ("sums", f"{sums:,} subset sums of up to {options.block} candidates, {missed:,} of them off by more than eps"),
    ]


FAMILIES.add("network", Family(NetworkOptions, _construct, _explain, files=("target", "calibration")))


def _array(path: str) -> Floats:
    """The numbers of a .npy file; raises ``UltError`` for any other."""
    wanted = "a .npy file of inputs in [0, 1], as numpy.save writes them"
    try:
        array = np.load(os.path.expanduser(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as cause:
        raise fault("calibration", path, wanted) from cause
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise fault("calibration", path, wanted)
    return array.astype(np.float64)


def _calibration(given: ArrayLike | Tensor) -> Tensor:
    data = given.detach().cpu().double() if isinstance(given, Tensor) else torch.tensor(np.asarray(given, np.float64))
    if data.ndim not in (2, 4) or data.numel() == 0:
        raise fault("calibration", tuple(data.shape), "inputs (b, c, h, w), or (b, d), at least one")
    if not bool(((data >= 0) & (data <= 1)).all()):
        worst = float(data.flatten()[(data.flatten() - 0.5).abs().nan_to_num(math.inf).argmax()])
        raise fault("calibration", worst, "values in [0, 1]", "signals must not be negative: scale your data")
    return data


def _points(data: Tensor | None, shape: Shape, seed: int) -> Tensor:
    """The calibration inputs (b, c, h, w): those given, else uniform ones."""
    if data is None:
        return torch.from_numpy(np.random.default_rng([seed, 1]).random((_SAMPLE, *shape)))
    if data[0].numel() != math.prod(shape) or (data.ndim == 4 and tuple(data.shape[1:]) != shape):
        raise fault("calibration", tuple(data.shape), f"inputs (b, {', '.join(map(str, shape))})")
    return data.reshape(-1, *shape)  # (b, c, h, w)


def _gauge(steps: Sequence[Step]) -> tuple[list[Step], float]:
    """The steps with each layer's weights at most 1 in size and its biases at most 2, and what the outputs grew by.

    ReLU is positively homogeneous: scaling a layer's weights by a_l and its biases by a_1 ... a_l scales its output so.
    """
    gain, scaled = 1.0, []
    for step in steps:
        if step.weighted:
            largest = float(np.abs(step.bias).max()) * gain
            factor = min(1.0 / float(np.abs(step.weight).max()), LARGEST_BIAS / max(largest, 1e-300))
            gain *= factor
            step = replace(step, weight=step.weight * factor, bias=step.bias * gain)
        scaled.append(step)
    return scaled, gain


def _mother(steps: Sequence[Step], gain: float, options: NetworkOptions, shape: Shape, seed: int) -> MotherSpec:
    """The smallest mother with a place for every candidate: auxiliary layers, copies and constants."""
    entries: list[Any] = []
    last = [step.weighted for step in steps][::-1].index(True)
    for k, step in enumerate(steps):
        if not step.weighted:
            entries.append(step.entry)
            continue
        units, fan = step.weight.shape[:2]
        first = not any(s.weighted for s in steps[:k])
        if first and step.kind == "linear" and "flatten" not in entries:
            entries.append("flatten")
        if first or options.mode == "2L":
            block = options.first_block() if first else options.block
            rows = block * fan * (3 if fan <= _FEW_INPUTS else 1) + options.constants()
            entries += [{"linear": rows} if step.kind == "linear" else {"conv": rows, "kernel": 1}, "relu"]
        if options.mode == "L+1" and k != len(steps) - 1 - last:
            units = options.block * units + options.constants()
        entries.append({**step.entry, step.kind: units})
    net = {"layers": entries, "gain": gain}
    space = InputSpec(shape=shape, range="unit")
    return MotherSpec("stack", net, norm="none", init=options.init, bias="nonzero", seed=seed, input=space)


def _config(steps: Sequence[Step], options: NetworkOptions, shape: Shape, points: Tensor | None) -> dict[str, Any]:
    """The settings, with digests of the target and of the calibration inputs."""
    arrays = [array for step in steps for array in (step.weight, step.bias)]
    names = ("mode", "block", "eps", "feedback")
    return {
        "target": {"layers": [step.entry for step in steps], "digest": _digest(arrays)},
        **{name: getattr(options, name) for name in names},
        "low_noise": options.quiet,
        "init": options.init,
        "input_shape": list(shape),
        "calibration": None if points is None else _digest([points.numpy()]),
    }


def _digest(arrays: Sequence[Floats]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.shape};".encode())
        sha.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return sha.hexdigest()[:16]


def _sampled(draft: Draft, steps: Sequence[Step], points: Tensor, seed: int) -> dict[str, float]:
    """What the network itself shows: the largest error on the calibration inputs, uniform ones and corners of the cube."""
    rng = np.random.default_rng([seed, 2])
    more = rng.random((2, _SAMPLE, *points.shape[1:]))
    more[1] = more[1].round()
    network = draft.masked_body()
    errors = []
    for part in (points, *torch.from_numpy(more)):
        part = part.float()
        wanted = outputs(steps, part)
        with torch.no_grad():
            got = network(part).double()
        errors.append((float((got - wanted).abs().max()), float(wanted.abs().max())))
    relative = errors[0][0] / max(errors[0][1], 1e-300)
    return {"sampled": max(error for error, _ in errors), "relative": relative}
