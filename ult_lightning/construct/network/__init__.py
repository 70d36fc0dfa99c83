"""Tickets that equal a given ReLU network (Pensia et al. 2020; Burkholz 2022)."""
