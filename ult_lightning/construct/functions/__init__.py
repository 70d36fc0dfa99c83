"""Tickets for functions: of one variable, polynomials and Fourier bases (Burkholz et al. 2022)."""

from ult_lightning.construct.functions._fourier import FourierPlan, fourier_ticket, plan_fourier
from ult_lightning.construct.functions._polynomial import PolynomialPlan, plan_polynomial, polynomial_ticket
from ult_lightning.construct.functions._smooth_functions import FUNCTIONS, Function
from ult_lightning.construct.functions._univariate import UnivariatePlan, plan_univariate, univariate_ticket

__all__ = [
    "FUNCTIONS",
    "FourierPlan",
    "Function",
    "PolynomialPlan",
    "UnivariatePlan",
    "fourier_ticket",
    "plan_fourier",
    "plan_polynomial",
    "plan_univariate",
    "polynomial_ticket",
    "univariate_ticket",
]
