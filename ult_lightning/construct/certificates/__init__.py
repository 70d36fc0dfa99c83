"""Proven bounds: exact ones for nets of one variable, interval arithmetic for networks, and those of linear heads."""

from ult_lightning.construct.certificates._certificate import Certificate, folded, round_up, sampled_error
from ult_lightning.construct.certificates._head_bound import head_bound
from ult_lightning.construct.certificates._interval_bound import Effective, network_bound
from ult_lightning.construct.certificates._piecewise_linear import PiecewiseLinear, gamma, propagate, refine, sup_error

__all__ = [
    "Certificate",
    "Effective",
    "PiecewiseLinear",
    "folded",
    "gamma",
    "head_bound",
    "network_bound",
    "propagate",
    "refine",
    "round_up",
    "sampled_error",
    "sup_error",
]
