"""How kernels are compiled."""

import os
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.compiler_lock import global_compiler_lock

from .cache import KernelCache
from .compiler import PIPELINE

__all__ = ["entry", "kernel"]

# error_model="numpy": a division that may raise is not vectorised. No fast-math: the order of additions and every
# fused multiply-add is written out, so the same seed gives the same bits on any CPU. No kernel is called from C.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "nogil": True, "no_cfunc_wrapper": True}

# A child that was forked while another thread compiled would wait for that thread, which it does not have.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


def kernel(*, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` for functions that only other kernels call, which need no wrapper for Python and no cache.

    ``inline`` makes LLVM inline the function whatever its size: a loop that calls is not vectorised.
    """
    options = {**_OPTIONS, "no_cpython_wrapper": True, "forceinline": inline, **PIPELINE}
    decorator: Callable[[Callable[..., Any]], Any] = njit(**options)
    return decorator


def entry(*, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """A kernel that Python calls, its machine code kept on disk by `KernelCache`."""

    def compile_lazily(function: Callable[..., Any]) -> Any:
        dispatcher = njit(**_OPTIONS, forceinline=inline)(function)
        dispatcher._cache = KernelCache(function)
        return dispatcher

    return compile_lazily
