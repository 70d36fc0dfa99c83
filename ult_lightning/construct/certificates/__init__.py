"""Proven bounds: exact ones for nets of one variable, interval arithmetic for networks, and those of linear heads."""
