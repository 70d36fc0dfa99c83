"""Counts what makes the host wait for a device: reads of a tensor's value, and results whose size depends on values."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "bincount")


class HostReads(TorchDispatchMode):
    """Within the block, `count` calls that a GPU's queue would be drained for; `names` are theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    @property
    def count(self) -> int:
        return len(self.names)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().partition("::")[2].partition(".")[0]
        boolean_index = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in _WAITS or boolean_index:
            self.names.append(name)
        return func(*args, **(kwargs or {}))
