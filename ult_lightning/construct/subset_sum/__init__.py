"""Subset sums of random numbers: solvers, the allocation of one pool to many targets, and the laws that they follow."""
