"""The network that a ticket is to equal: read from a torch module or from a file, in plain steps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ult_lightning.base import UltError, fault, write_bytes
from ult_lightning.construct._steps import Entry, Step

_SUPPORTED = "Linear, Conv2d, ReLU, MaxPool2d and Flatten"


def read_target(target: nn.Module | str | os.PathLike[str]) -> list[Step]:
    """The steps of a torch module or of a file written by `save_target`.

    Raises UltError, naming the layer, for layers other than Linear, Conv2d, ReLU, MaxPool2d and Flatten, for options of
    theirs that the construction has no means for, and where no ReLU stands between two layers with weights.
    """
    if isinstance(target, nn.Module):
        entries, arrays, names = describe(target)
    elif isinstance(target, str | os.PathLike):
        entries, arrays = _load(os.fspath(target))
        names = [str(k) for k in range(len(entries))]
    else:
        raise fault("target", type(target).__name__, "a torch module, or the path of a file of save_target")
    steps = [_step(k, entry, names[k], arrays) for k, entry in enumerate(entries)]
    _check_order(steps)
    return steps


def save_target(module: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Writes a network for ``network_ticket`` to read: safetensors with "0.weight", "0.bias", ... and the list of layers.

    Raises UltError for a layer that `network_ticket` does not support.
    """
    from safetensors.numpy import save

    read_target(module)
    entries, arrays, _ = describe(module)
    write_bytes(path, save(arrays, metadata={"layers": json.dumps(entries)}))
    return Path(path)


def describe(module: nn.Module) -> tuple[list[Entry], dict[str, NDArray[Any]], list[str]]:
    """Entries as in the net "stack", arrays by "<position>.weight" and ".bias", and the layers' names in the module."""
    entries: list[Entry] = []
    arrays: dict[str, NDArray[Any]] = {}
    names = []
    for name, layer in _leaves("", module):
        k = len(entries)
        entries.append(_entry(name, layer))
        names.append(f"{name} ({type(layer).__name__})")
        for kind in ("weight", "bias"):
            if isinstance(getattr(layer, kind, None), Tensor):
                arrays[f"{k}.{kind}"] = np.ascontiguousarray(getattr(layer, kind).detach().cpu().numpy())
    return entries, arrays, names


def _leaves(prefix: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, nn.Sequential):
        for name, child in module.named_children():
            yield from _leaves(f"{prefix}.{name}" if prefix else name, child)
    else:
        yield prefix or "target", module


def _entry(name: str, layer: nn.Module) -> Entry:
    where = f"target layer {name}"
    if isinstance(layer, nn.ReLU):
        return "relu"
    if isinstance(layer, nn.Flatten):
        if (layer.start_dim, layer.end_dim) != (1, -1):
            raise fault(where, layer, "Flatten() from dimension 1 to the last")
        return "flatten"
    if isinstance(layer, nn.Linear):
        return {"linear": layer.out_features}
    if isinstance(layer, nn.MaxPool2d):
        if layer.dilation not in (1, (1, 1)) or layer.ceil_mode or layer.return_indices:
            raise fault(where, layer, "a MaxPool2d without dilation, ceil_mode and return_indices")
        pool: Entry = {"maxpool": _two(layer.kernel_size)}
        return pool | {"stride": _two(layer.stride), "padding": _two(layer.padding)}
    if isinstance(layer, nn.Conv2d):
        if layer.groups != 1 or layer.dilation != (1, 1) or layer.padding_mode != "zeros":
            raise fault(where, layer, "a Conv2d with groups=1, dilation=1 and zero padding")
        kernel, stride = list(layer.kernel_size), list(layer.stride)
        padding: Any = layer.padding
        if isinstance(padding, str):
            padding = [k // 2 if padding == "same" else 0 for k in kernel]
        if layer.padding == "same" and not all(k % 2 for k in kernel):
            raise fault(where, layer, "an odd kernel for padding=same")
        return {"conv": layer.out_channels, "kernel": kernel, "stride": stride, "padding": list(padding)}
    raise fault(where, type(layer).__name__, f"a Sequential of {_SUPPORTED}", "fold other layers into these")


def _two(value: Any) -> list[int]:
    return list(value) if isinstance(value, tuple | list) else [value, value]


def _step(k: int, entry: Entry, name: str, arrays: Mapping[str, NDArray[Any]]) -> Step:
    from ult_lightning.nets import parse_layer

    kind, arguments = parse_layer(f"target layer {name}", entry)
    shape = {key: arguments[key] for key in ("kernel", "stride", "padding") if key in arguments}
    if kind not in ("linear", "conv"):
        return Step(kind, name, entry, **shape)
    if any(2 * p >= n for p, n in zip(arguments.get("padding", ()), arguments.get("kernel", ()), strict=True)):
        mend = "one tap of the kernel must always be inside the map, it carries the constants"
        raise fault(f"target layer {name}", entry, "padding below half the kernel", mend)
    weight = arrays.get(f"{k}.weight")
    units: int = arguments["units" if "units" in arguments else "channels"]
    sides = arguments.get("kernel", ())
    if weight is None or weight.ndim != 2 + len(sides) or (weight.shape[0], *weight.shape[2:]) != (units, *sides):
        wanted = f"a weight of shape ({', '.join(map(str, (units, 'inputs', *sides)))})"
        raise fault(f"target layer {name}", None if weight is None else weight.shape, wanted)
    bias = arrays.get(f"{k}.bias", np.zeros(units))
    if bias.shape != (units,):
        raise fault(f"target layer {name}", bias.shape, f"a bias of shape ({units},)")
    weight, bias = np.asarray(weight, np.float64), np.asarray(bias, np.float64)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise fault(f"target layer {name}", "a value that is not finite", "finite weights and biases")
    if not sides:
        weight = weight[:, :, None, None]  # (o, i) -> (o, i, 1, 1)
    return Step(kind, name, entry, weight, bias, **shape)


def _check_order(steps: Sequence[Step]) -> None:
    positive = True
    for step in steps:
        if step.weighted and not positive:
            raise fault(f"target layer {step.name}", "no ReLU before it", "a ReLU between layers with weights")
        positive = step.kind == "relu" or (positive and not step.weighted)
    weighted = [step for step in steps if step.weighted]
    if not weighted:
        raise fault("target", f"{len(steps)} layers without weights", "at least one Linear or Conv2d layer")
    for step in weighted:
        if not step.weight.any():
            raise fault(f"target layer {step.name}", "only zeros", "weights, at least one of them not zero")


def _load(path: str) -> tuple[list[Entry], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError, safe_open

    mend = "write it with ult_lightning.construct.save_target(module, path)"
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, the file is no mapping
        entries = json.loads(metadata["layers"])
    except FileNotFoundError as cause:
        raise fault("target", path, "a file that exists", mend) from cause
    except (SafetensorError, OSError) as cause:
        raise fault("target", path, "a safetensors file", mend) from cause
    except (KeyError, ValueError) as cause:
        raise fault("target", path, 'a safetensors file whose metadata lists its "layers"', mend) from cause
    if not isinstance(entries, list):
        raise fault("target", path, 'metadata "layers" that is a list', mend)
    return entries, arrays


def input_shape_of(
    steps: Sequence[Step],
    given: Sequence[int] | None,
    calibration: Tensor | None,
) -> tuple[int, int, int]:
    """(c, h, w) of the target's input: as given, else the calibration's, else that of a first Linear's features.

    Raises UltError where none of these says it, or the target does not run on that shape.
    """
    first = next(step for step in steps if step.weighted)
    if given is not None:
        shape = tuple(given)
    elif calibration is not None and calibration.ndim == 4:
        shape = tuple(calibration.shape[1:])
    elif first.kind == "linear" and not any(step.kind == "maxpool" for step in steps):
        shape = (1, 1, first.weight.shape[1])
    else:
        raise fault("input_shape", None, "(c, h, w), since the target starts with a convolution or a pool")
    if len(shape) != 3:
        raise fault("input_shape", given, "(c, h, w), three whole numbers of at least 1")
    zeros = torch.zeros(1, *shape, dtype=torch.float64)
    try:
        outputs(steps, zeros)
    except (RuntimeError, UltError) as cause:
        raise fault("input_shape", shape, "a shape on which the target runs", str(cause).splitlines()[0]) from cause
    return (shape[0], shape[1], shape[2])


def outputs(steps: Sequence[Step], x: Tensor) -> Tensor:
    """The target's outputs (b, d) in float64 for inputs (b, c, h, w)."""
    h = x.double()
    for k, step in enumerate(steps):
        if step.kind == "linear" and h.shape[2:] != (1, 1) and not any(s.weighted for s in steps[:k]):
            h = h.flatten(1)[:, :, None, None]  # a net that starts with Linear takes features, here (1, 1, d)
        if step.kind == "linear" and h.shape[1:] != (step.weight.shape[1], 1, 1):
            wanted = f"{step.weight.shape[1]} features"
            raise fault(f"target layer {step.name}", tuple(h.shape[1:]), wanted, "put a Flatten before it")
        h = step.apply(h)
    return h.flatten(1)
