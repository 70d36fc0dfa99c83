"""Function tasks: families of functions on the unit cube, and what is drawn from them."""

from ult_lightning.data.functions import _families  # noqa: F401 (it fills FUNCTIONS)
from ult_lightning.data.functions._closed_forms import Polynomial, Trigonometric, exponents_up_to, frequencies_up_to
from ult_lightning.data.functions._function_task import FUNCTIONS, FunctionSpec, FunctionTask, load_functions

__all__ = [
    "FUNCTIONS",
    "FunctionSpec",
    "FunctionTask",
    "Polynomial",
    "Trigonometric",
    "exponents_up_to",
    "frequencies_up_to",
    "load_functions",
]
