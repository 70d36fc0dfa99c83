"""Using a ticket: streamed features, linear heads, transfer, and a ticket with its head as one file."""

from ult_lightning.heads import _logistic as _logistic  # registers itself
from ult_lightning.heads import _sgd as _sgd  # registers itself
from ult_lightning.heads._features import FeatureStream, FrozenError
from ult_lightning.heads._functions import (
    FUNCTION_HEADS,
    FunctionFit,
    FunctionResult,
    check_takes_points,
    function_head_options,
    least_squares,
    transfer_functions,
)
from ult_lightning.heads._linear import HEADS, OPTIONS, HeadFit, HeadPath, LinearHead
from ult_lightning.heads._logistic import LogisticSolver
from ult_lightning.heads._ridge import LAMBDAS, RidgeStatistics, ridge_path, ridge_path_dual
from ult_lightning.heads._task_model import TaskModel, TaskModelError
from ult_lightning.heads._transfer import TransferResult, check_options, option_defaults, transfer

__all__ = [
    "FUNCTION_HEADS",
    "HEADS",
    "LAMBDAS",
    "OPTIONS",
    "FeatureStream",
    "FrozenError",
    "FunctionFit",
    "FunctionResult",
    "HeadFit",
    "HeadPath",
    "LinearHead",
    "LogisticSolver",
    "RidgeStatistics",
    "TaskModel",
    "TaskModelError",
    "TransferResult",
    "check_options",
    "check_takes_points",
    "function_head_options",
    "least_squares",
    "option_defaults",
    "ridge_path",
    "ridge_path_dual",
    "transfer",
    "transfer_functions",
]
