"""Theory as code: subset sums, tickets constructed for polynomials, Fourier bases and given networks, and certificates."""

from ult_lightning.construct._family import FAMILIES, ConstructError, Family, construct_once
from ult_lightning.construct._index_sets import frequencies, monomial_values, monomials
from ult_lightning.construct.certificates._certificate import Certificate
from ult_lightning.construct.certificates._head_bound import head_bound
from ult_lightning.construct.functions._basis import STYLES, CubeOptions, Style
from ult_lightning.construct.functions._fourier import FourierOptions, FourierPlan, fourier_ticket, plan_fourier
from ult_lightning.construct.functions._polynomial import (
    PolynomialOptions,
    PolynomialPlan,
    plan_polynomial,
    polynomial_ticket,
)
from ult_lightning.construct.functions._smooth_functions import FUNCTIONS, Function
from ult_lightning.construct.functions._univariate import (
    UnivariateOptions,
    UnivariatePlan,
    plan_univariate,
    univariate_ticket,
)
from ult_lightning.construct.network._network_options import Mode, NetworkOptions
from ult_lightning.construct.network._network_ticket import network_ticket
from ult_lightning.construct.network._target import save_target
from ult_lightning.construct.subset_sum._allocate import Allocation, allocate
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
    "FAMILIES",
    "FUNCTIONS",
    "SECOND_MOMENT",
    "STYLES",
    "Allocation",
    "Certificate",
    "ConstructError",
    "CubeOptions",
    "Distribution",
    "Engine",
    "Family",
    "FourierOptions",
    "FourierPlan",
    "Function",
    "Mode",
    "NetworkOptions",
    "PolynomialOptions",
    "PolynomialPlan",
    "Style",
    "Subsets",
    "UnivariateOptions",
    "UnivariatePlan",
    "allocate",
    "construct_once",
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
