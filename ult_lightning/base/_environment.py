"""What a number was measured with: our code, the libraries, the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_LIBRARIES = ("torch", "torchvision", "pytorch-lightning", "numpy", "scipy", "scikit-learn", "safetensors")
_HOME = Path(__file__).resolve().parents[2]


def environment(device: str = "cpu") -> dict[str, Any]:
    """The keys `code_version`, `versions` and `device`, without anything that names a person or a host.

    `code_version`: the package's version, in a git checkout with "+g<commit>" and ".dirty" where files differ.
    `versions`: of Python and of the libraries that are installed. `device`: the processor's model and number of
    cores, or with a CUDA `device` the name of that accelerator.
    """
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        installed = _version(library)
        if installed is not None:
            versions[library] = installed
    return {"code_version": _code_version(), "versions": versions, "device": _device(device)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def _code_version() -> str:
    ours = _version("ult_lightning") or "0+checkout"
    commit = _commit(_HOME)
    return ours if commit is None else f"{ours}{'.' if '+' in ours else '+'}{commit}"


def _commit(folder: Path) -> str | None:
    """The "g<commit>" of the checkout whose top `folder` is, None where it is none or git does not answer."""
    if not (folder / ".git").exists():
        return None
    ask = ["git", "-C", str(folder), "describe", "--always", "--dirty=.dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    commit = answer.stdout.strip()
    return f"g{commit}" if answer.returncode == 0 and commit else None


def _device(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{_processor()}, {cores} core{'s' if cores > 1 else ''}"


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), "") or platform.processor() or platform.machine() or "unknown processor"
