"""How every CPU kernel is compiled, and what to say when its machine code cannot be cached."""

import warnings
from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["entry", "kernel"]

# error_model="numpy": a division that may raise is not vectorised. No fast-math: the order of additions and every
# fused multiply-add is written out, so the same seed gives the same bits on any CPU. No kernel is called from C.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "nogil": True, "no_cfunc_wrapper": True}


def kernel(*, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` for functions that only other kernels call, which need no wrapper for Python and no cache.

    ``inline`` makes LLVM inline the function whatever its size: a loop that calls is not vectorised.
    """
    options = {**_OPTIONS, "no_cpython_wrapper": True, "forceinline": inline}
    decorator: Callable[[Callable[..., Any]], Any] = njit(**options)
    return decorator


def entry(*, parallel: bool = False, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """A kernel that Python calls, its machine code cached on disk where a directory can be written.

    Numba raises at import when neither the package's folder, nor the user's cache, nor ``NUMBA_CACHE_DIR`` is
    writable. The kernel then works uncached, after one warning that names the remedy.
    """

    options = {**_OPTIONS, "parallel": parallel, "forceinline": inline}

    def compile_lazily(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cache" not in str(error):
                raise
            warnings.warn(
                "no writable directory for compiled kernels was found, so they are compiled anew in every process; "
                "set NUMBA_CACHE_DIR to a writable directory",
                RuntimeWarning,
                stacklevel=2,
            )
            return njit(cache=False, **options)(function)

    return compile_lazily
