"""Compiled kernels, and what arranges their arguments."""
