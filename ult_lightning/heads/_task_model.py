"""A ticket and a head as one file, and as one function from images to logits.

The file is in the safetensors format: the ticket's own file as bytes, the weight and bias of one head (format 1) or of
several (format 2), and one metadata key with canonical JSON that begins with the SHA-256 digest of the whole file, taken while its digits are zeros. Any
flipped bit is refused, and nothing in a file is ever executed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from ult_lightning.base import UltError, canonical_json, fault, write_bytes
from ult_lightning.base._canonical import canonical
from ult_lightning.base._hashing import ZEROS, is_sealed, sealed
from ult_lightning.heads._linear import LinearHead
from ult_lightning.tickets import Ticket

FORMAT = 2
"""The newest format; a file of one head is of format 1."""

_SEAL = rb'"ult_task_model":"{\"digest\":\"'


class TaskModelError(UltError):
    """A file that is no task model, or parts of one that do not fit together."""


_wrong = partial(fault, error=TaskModelError)


class TaskModel(nn.Module):
    """Images of any size to the logits of one task: canonical form, normalisation, frozen network, head.

    ``ticket`` gives the network, ``head`` the linear map, and ``task`` (as ``Task.describe()`` says it) the normalisation
    ("mean" and "std", three channels, on the scale [0, 1]) and the classes. ``module`` is the factory of a mother of
    your own. Raises ``TaskModelError`` for parts that do not fit.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        ticket: Ticket,
        head: LinearHead,
        task: Mapping[str, Any],
        *,
        module: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.ticket = ticket
        self.task = _plain(task)
        self.network: nn.Module = ticket.network(module=module)
        check_head(head, self.task, int(cast(int, self.network.dim)))
        mean, std = (_triple(self.task, key) for key in ("mean", "std"))
        if not bool((std > 0).all()):
            raise _wrong("task.std", self.task["std"], "three numbers above 0")
        for name, value in (("weight", head.weight), ("bias", head.bias), ("mean", mean), ("std", std)):
            self.register_buffer(name, value.detach().to("cpu", torch.float32, copy=True))
        self.eval()

    @property
    def head(self) -> LinearHead:
        """The linear map from features (b, d) to logits (b, k)."""
        return LinearHead(self.weight, self.bias)

    @property
    def class_ids(self) -> tuple[int, ...]:
        """The original classes that the task uses, as the task names them."""
        return tuple(self.task.get("class_ids", range(len(self.bias))))

    @property
    def class_names(self) -> tuple[str, ...]:
        """What each logit stands for: the class's name, or the number that the task gives it."""
        return tuple(self.task.get("class_names") or map(str, range(len(self.bias))))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, k) float32 of images (b, c, h, w) with c 1 or 3, uint8 or floats in [0, 1].

        28x28 images are padded, other sizes resized to 32x32, grey replicated. Raises ``UltError`` for another shape,
        dtype or range.
        """
        if not isinstance(images, Tensor):
            raise fault("images", type(images).__name__, "a torch tensor", "wrap arrays with torch.as_tensor")
        square = canonical(images).to(self.weight.device)  # (b, c, 32, 32)
        features = self.network(self._normalised(square))
        return self.head(features.float())

    def _normalised(self, images: Tensor) -> Tensor:
        """(b, c, 32, 32) to (b, 3, 32, 32) float32 in the range the mother was made for."""
        levels = 255.0 if images.dtype == torch.uint8 else 1.0
        scale, shift = 1.0 / (levels * self.std.double()), -self.mean.double() / self.std.double()
        if self.ticket.spec.input.range == "unit":
            scale, shift = torch.full_like(scale, 1.0 / levels), torch.zeros_like(shift)
        wide = images.float().expand(-1, 3, -1, -1)
        return wide * scale.float().view(1, 3, 1, 1) + shift.float().view(1, 3, 1, 1)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all of it to one file, whole or not at all, and return its path; raises ``UltError`` like the disk."""
        return write_heads(path, self.ticket, [SavedHead("", self.head, self.task)])

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, module: Callable[[], nn.Module] | None = None) -> TaskModel:
        """Read a file that ``save`` wrote; ``module`` is the factory of a mother of your own.

        Raises ``TaskModelError`` for a file that is not there, foreign, of a future format, damaged or of several heads, and
        ``TicketError`` where the ticket in it cannot be built on this machine.
        """
        ticket, heads = read_heads(path, module=module)
        if len(heads) > 1:
            names = ", ".join(one.name for one in heads)
            raise TaskModelError(
                f"{os.fspath(path)} holds {len(heads)} heads ({names}); read it with TicketModule.load and take one by "
                "task_model(name)."
            )
        return cls(ticket, heads[0].head, heads[0].task, module=module)


class SavedHead(NamedTuple):
    """A head in a file: its name ("" for that of its task), the linear map, and the task as ``Task.describe()`` says it."""

    name: str
    head: LinearHead
    task: Mapping[str, Any]


def write_heads(path: str | os.PathLike[str], ticket: Ticket, heads: Sequence[SavedHead]) -> Path:
    """Write one file of a ticket and its heads, whole or not at all; one head makes a file that ``TaskModel`` reads."""
    from safetensors.numpy import save

    arrays = {"ticket": np.frombuffer(ticket.to_bytes(), dtype=np.uint8)}
    for place, one in enumerate(heads):
        weight, bias = _keys(place, len(heads))
        arrays |= {weight: one.head.weight.cpu().numpy(), bias: one.head.bias.cpu().numpy()}
    described: dict[str, Any] = {"format": FORMAT, "tasks": [{"name": h.name, "task": h.task} for h in heads]}
    if len(heads) == 1:
        named = {"name": heads[0].name} if heads[0].name else {}
        described = {"format": 1, "task": heads[0].task, **named}
    text = canonical_json({"digest": ZEROS, **described})
    write_bytes(path, sealed(save(arrays, metadata={"ult_task_model": text}), _SEAL))
    return Path(path)


def read_heads(
    path: str | os.PathLike[str],
    *,
    module: Callable[[], nn.Module] | None = None,
) -> tuple[Ticket, list[SavedHead]]:
    """The ticket and the heads of a file that ``write_heads`` wrote, each checked against its task; raises like ``TaskModel.load``."""
    from safetensors.numpy import load

    where = os.fspath(path)
    content = _read(where)
    tasks = _unseal(content, where)
    tensors = load(content)
    keys = [_keys(place, len(tasks)) for place in range(len(tasks))]
    if set(tensors) != {"ticket", *(key for pair in keys for key in pair)}:
        raise TaskModelError(f"{where} was tampered with: its digest fits, but its tensors are {sorted(tensors)}.")
    ticket = Ticket.from_bytes(tensors["ticket"].tobytes(), where=f"the ticket in {where}", module=module)
    heads = []
    for (name, task), pair in zip(tasks, keys, strict=True):
        weight, bias = (torch.from_numpy(tensors[key]) for key in pair)
        heads.append(SavedHead(name, LinearHead(weight, bias), task))
    return ticket, heads


def check_head(head: LinearHead, task: Mapping[str, Any], dim: int) -> None:
    """Raises ``TaskModelError`` for a head of another number of features than ``dim``, or of classes than the task's."""
    if head.dim != dim:
        raise _wrong("head", f"{head.dim} features", f"the {dim} features of the ticket's network")
    if "classes" in task and task["classes"] != head.classes:
        raise _wrong("head", f"{head.classes} classes", f"the {task['classes']} classes of the task")


def _keys(place: int, heads: int) -> tuple[str, str]:
    stem = "head" if heads == 1 else f"heads/{place}"
    return f"{stem}/weight", f"{stem}/bias"


def _read(where: str) -> bytes:
    try:
        return Path(where).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise _wrong("path", where, "a task model that is there", "TaskModel.save writes one") from None
    except OSError as cause:
        raise TaskModelError(f"{where} cannot be read: {cause.strerror or type(cause).__name__}.") from cause


def _unseal(content: bytes, where: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and tasks of the heads of a file whose digest fits its content; raises ``TaskModelError``."""
    if not content:
        raise TaskModelError(f"{where} is empty: the task model was never written; save it again.")
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[: min(end, len(content))]
    if header.count(_SEAL) != 1:
        if b'"ult":"{' in header[:200]:
            raise TaskModelError(f"{where} is a ticket without a head; read it with Ticket.load.")
        raise TaskModelError(f"{where} is no task model: it is a file of another kind, or damaged in its first bytes.")
    meta = _description(header)
    version = meta.get("format")
    if isinstance(version, int) and version > FORMAT:
        mend = "a newer ult_lightning wrote it, so upgrade yours (or the file is damaged)"
        raise _wrong(where, f"task model format {version}", f"format 1 to {FORMAT}", mend)
    tasks = meta.get("tasks", [{"name": meta.get("name", ""), "task": meta.get("task")}])
    if not is_sealed(content, end, _SEAL) or not _are_tasks(tasks):
        raise TaskModelError(
            f"{where} is damaged: its digest does not fit its content, so bytes are missing or have changed; copy it "
            "again or save it anew."
        )
    return [(one["name"] or str(one["task"].get("id", "task")), one["task"]) for one in tasks]


def _are_tasks(tasks: object) -> bool:
    if not isinstance(tasks, list) or not tasks:
        return False
    fine = (
        isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("task"), dict)
        for one in tasks
    )
    return all(fine) and len({one["name"] for one in tasks}) == len(tasks)


def _description(header: bytes) -> dict[str, Any]:
    """The JSON description in a header; empty where it cannot be read, which the digest will show."""
    try:
        meta = json.loads(json.loads(header[8:])["__metadata__"]["ult_task_model"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}


def _plain(task: Mapping[str, Any]) -> dict[str, Any]:
    try:
        copied: dict[str, Any] = json.loads(canonical_json(task))
    except (TypeError, ValueError) as cause:
        raise _wrong("task", str(task), "a description of JSON values, as Task.describe() gives it") from cause
    return copied


def _triple(task: Mapping[str, Any], key: str) -> Tensor:
    got = task.get(key)
    good = isinstance(got, list) and len(got) == 3
    if not good or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in got or []):
        raise _wrong(f"task.{key}", got, "three finite numbers, one per channel")
    return torch.tensor(got, dtype=torch.float32)
