"""Subset sums of random numbers: solvers, the allocation of one pool to many targets, and the laws that they follow."""

from ult_lightning.construct.subset_sum._allocate import Allocation, allocate
from ult_lightning.construct.subset_sum._cheapest import serve
from ult_lightning.construct.subset_sum._laws import (
    SECOND_MOMENT,
    Distribution,
    elements_needed,
    failure_rate,
    median_error,
    unreachable_rate,
)
from ult_lightning.construct.subset_sum._solvers import Engine, Subsets, fixed_size, low_noise, min_error, sparsest

__all__ = [
    "SECOND_MOMENT",
    "Allocation",
    "Distribution",
    "Engine",
    "Subsets",
    "allocate",
    "elements_needed",
    "failure_rate",
    "fixed_size",
    "low_noise",
    "median_error",
    "min_error",
    "serve",
    "sparsest",
    "unreachable_rate",
]
