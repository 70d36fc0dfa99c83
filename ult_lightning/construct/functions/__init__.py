"""Tickets for functions: of one variable, polynomials and Fourier bases (Burkholz et al. 2022)."""

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

DEFAULT_EPS = {
    "polynomial": PolynomialOptions.default_eps,
    "fourier": FourierOptions.default_eps,
    "univariate": UnivariateOptions.default_eps,
}
"""The largest error allowed where neither ``eps`` nor a plan says it."""

__all__ = [
    "DEFAULT_EPS",
    "FUNCTIONS",
    "STYLES",
    "CubeOptions",
    "FourierOptions",
    "FourierPlan",
    "Function",
    "PolynomialOptions",
    "PolynomialPlan",
    "Style",
    "UnivariateOptions",
    "UnivariatePlan",
    "fourier_ticket",
    "plan_fourier",
    "plan_polynomial",
    "plan_univariate",
    "polynomial_ticket",
    "univariate_ticket",
]
