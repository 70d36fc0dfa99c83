"""Theory as code: subset sums, tickets constructed for polynomials, Fourier bases and given networks, and certificates."""

from ult_lightning.construct._allocate import Allocation, allocate
from ult_lightning.construct._certificate import Certificate
from ult_lightning.construct._fourier import FourierPlan, fourier_ticket, frequencies, plan_fourier
from ult_lightning.construct._functions import FUNCTIONS, Function
from ult_lightning.construct._head_bound import head_bound
from ult_lightning.construct._laws import (
    SECOND_MOMENT,
    Distribution,
    elements_needed,
    failure_rate,
    median_error,
    unreachable_rate,
)
from ult_lightning.construct._network import network_ticket
from ult_lightning.construct._network_prune import Mode
from ult_lightning.construct._network_target import save_target
from ult_lightning.construct._polynomial import (
    PolynomialPlan,
    monomial_values,
    monomials,
    plan_polynomial,
    polynomial_ticket,
)
from ult_lightning.construct._settings import DEFAULT_EPS, STYLES, ConstructError
from ult_lightning.construct._subset_sum import Engine, Subsets, fixed_size, low_noise, min_error, sparsest
from ult_lightning.construct._univariate import UnivariatePlan, plan_univariate, univariate_ticket

__all__ = [
    "DEFAULT_EPS",
    "FUNCTIONS",
    "SECOND_MOMENT",
    "STYLES",
    "Allocation",
    "Certificate",
    "ConstructError",
    "Distribution",
    "Engine",
    "FourierPlan",
    "Function",
    "Mode",
    "PolynomialPlan",
    "Subsets",
    "UnivariatePlan",
    "allocate",
    "elements_needed",
    "failure_rate",
    "fixed_size",
    "fourier_ticket",
    "frequencies",
    "head_bound",
    "low_noise",
    "median_error",
    "min_error",
    "monomial_values",
    "monomials",
    "network_ticket",
    "plan_fourier",
    "plan_polynomial",
    "plan_univariate",
    "polynomial_ticket",
    "save_target",
    "sparsest",
    "univariate_ticket",
    "unreachable_rate",
]
