"""Tickets for functions: of one variable, polynomials and Fourier bases (Burkholz et al. 2022)."""
