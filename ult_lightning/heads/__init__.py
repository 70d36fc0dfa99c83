"""Linear heads on a frozen network: streamed features, one file per head, and a ticket with its head as one file."""

from ult_lightning.heads import _logistic as _logistic  # registers itself
from ult_lightning.heads import _sgd as _sgd  # registers itself
from ult_lightning.heads._features import FeatureStream, FrozenError
from ult_lightning.heads._linear import HEADS, Head, HeadFit, HeadPath, LinearHead
from ult_lightning.heads._logistic import LogisticSolver
from ult_lightning.heads._lstsq import FUNCTION_HEADS, FunctionFit, least_squares
from ult_lightning.heads._ridge import LAMBDAS, RidgeStatistics, ridge_path, ridge_path_dual
from ult_lightning.heads._task_model import SavedHead, TaskModel, TaskModelError, check_head, read_heads, write_heads

__all__ = [
    "FUNCTION_HEADS",
    "HEADS",
    "LAMBDAS",
    "FeatureStream",
    "FrozenError",
    "FunctionFit",
    "Head",
    "HeadFit",
    "HeadPath",
    "LinearHead",
    "LogisticSolver",
    "RidgeStatistics",
    "SavedHead",
    "TaskModel",
    "TaskModelError",
    "check_head",
    "least_squares",
    "read_heads",
    "ridge_path",
    "ridge_path_dual",
    "write_heads",
]
