"""Compiled kernels, and what arranges their arguments."""

from threading import RLock

__all__ = ["ONE_AT_A_TIME"]

# Of several threads in a process, only the one that holds this may be in parallel kernels: Numba's simplest threading
# layer ends a process with two.
ONE_AT_A_TIME = RLock()
