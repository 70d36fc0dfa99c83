"""Tickets that equal a given ReLU network (Pensia et al. 2020; Burkholz 2022)."""

from ult_lightning.construct.network._network_options import Mode, NetworkOptions
from ult_lightning.construct.network._network_ticket import network_ticket
from ult_lightning.construct.network._target import save_target

__all__ = ["Mode", "NetworkOptions", "network_ticket", "save_target"]
