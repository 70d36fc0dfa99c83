"""Rows as a comparison makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ult_lightning.results import Row


@pytest.fixture
def row() -> Callable[..., Row]:
    """One valid row; every field can be given. Each call makes another id."""
    made = 0

    def make(task: str = "digits", arm: str = "dense", seed: int = 0, value: float = 0.9, **fields: Any) -> Row:
        nonlocal made
        made += 1
        whole: dict[str, Any] = {
            "id": f"row{made:04d}",
            "task": task,
            "arm": arm,
            "seed": seed,
            "metric": "accuracy",
            "value": value,
            "n": 10_000,
            "n_train": 9_000,
            "n_valid": 1_000,
            "unit": "fraction",
            "settings": {"density": 0.5, "mother.seed": seed},
            "seconds": {"search": 80.0, "total": 82.2},
            "trained": "head",
            "parameters_trained": 20_490,
            "code_version": "0.1.0",
            "versions": {"python": "3.11.2"},
            "device": "a CPU",
            "precision": "32",
            "extra": {"bytes_shared": 300_000, "bytes_per_task": 80_000},
            "created": "2026-01-02T03:04:05+00:00",
        }
        return Row(**{**whole, **fields})

    return make


@pytest.fixture
def grid(row: Callable[..., Row]) -> list[Row]:
    """Two targets, four arms, three seeds: universal is 2 points above random_features in every seed."""
    level = {"dense": 0.89, "universal": 0.88, "random_mask": 0.85, "random_features": 0.86}
    drift = (0.0, 0.01, -0.02)
    return [
        row(task, arm, seed, round(mean + drift[seed] - (0.2 if task == "cifar10" else 0), 4), seen=seen)
        for task in ("mnist", "cifar10")
        for arm, mean in level.items()
        for seed in range(3)
        for seen in [False if arm == "universal" else None]
    ]
