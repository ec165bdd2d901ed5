"""How kernels are compiled, when their machine code on disk is renewed, and what to say when there can be none."""

import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.compiler_lock import global_compiler_lock

from .compiler import PIPELINE

__all__ = ["entry", "kernel", "renewed_with_callees"]

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
    """A kernel that Python calls, its machine code cached on disk where a directory can be written.

    Numba raises at import when neither the package's folder, nor the user's cache, nor ``NUMBA_CACHE_DIR`` is
    writable. The kernel then works uncached, after one warning that names the remedy.
    """

    options = {**_OPTIONS, "forceinline": inline}

    def compile_lazily(function: Callable[..., Any]) -> Any:
        try:
            dispatcher = njit(cache=True, **options)(function)
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
        return renewed_with_callees(dispatcher)

    return compile_lazily


def renewed_with_callees(dispatcher: Any) -> Any:
    """The kernel, its cache renewed when any file of `fastpatch.kernels` changes.

    Numba itself compares only the file that holds the kernel, not those of the functions that it calls. Where another
    Numba keeps its stamps elsewhere, only who edits kernels would notice.
    """
    file: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = file._source_stamp, _stamps()
    return dispatcher


@cache
def _stamps() -> list[tuple[str, float, int]]:
    """Path, time of the last change and size of all source files of kernels; none where they are not on disk."""
    folder = Path(__file__).parent
    found = [(str(file.relative_to(folder)), file.stat()) for file in sorted(folder.rglob("*.py"))]
    return [(path, status.st_mtime, status.st_size) for path, status in found]
