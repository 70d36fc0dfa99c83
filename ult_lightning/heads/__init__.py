"""Using a ticket: streamed features, linear heads, transfer, and a ticket with its head as one file."""

from ult_lightning.heads import _logistic as _logistic  # registers itself
from ult_lightning.heads import _sgd as _sgd  # registers itself
from ult_lightning.heads._features import FeatureStream, FrozenError
from ult_lightning.heads._linear import HEADS, HeadFit, HeadPath, LinearHead
from ult_lightning.heads._logistic import logistic_path
from ult_lightning.heads._ridge import LAMBDAS, RidgeStatistics, ridge_path, ridge_path_dual
from ult_lightning.heads._task_model import TaskModel, TaskModelError
from ult_lightning.heads._transfer import TransferResult, option_names, transfer

__all__ = [
    "HEADS",
    "LAMBDAS",
    "FeatureStream",
    "FrozenError",
    "HeadFit",
    "HeadPath",
    "LinearHead",
    "RidgeStatistics",
    "TaskModel",
    "TaskModelError",
    "TransferResult",
    "logistic_path",
    "option_names",
    "ridge_path",
    "ridge_path_dual",
    "transfer",
]
