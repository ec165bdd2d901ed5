"""How many threads the CPU kernels may use. Results do not depend on it: not in one bit."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import BackendUnavailableError
from .validation import integer

__all__ = ["available_threads", "get_threads", "set_threads", "thread_limit"]

_chosen: int | None = None
_inside: ContextVar[int | None] = ContextVar("fastpatch_threads", default=None)


def available_threads() -> int:
    """The most threads of this process: ``NUMBA_NUM_THREADS`` where it is set, else the CPUs that it may run on.

    Raises `BackendUnavailableError` where the variable is not a positive integer.
    """
    wanted = os.environ.get("NUMBA_NUM_THREADS")
    if wanted is not None:
        try:
            count = int(wanted)
        except ValueError:
            count = 0
        if count < 1:
            raise BackendUnavailableError(
                f"the environment variable NUMBA_NUM_THREADS is {wanted!r}; "
                "expected a positive number of threads, or that it is not set"
            )
        return count
    try:
        return len(os.sched_getaffinity(0)) or 1
    except AttributeError:  # only Linux and some BSDs let a process be bound to CPUs
        return os.cpu_count() or 1


def get_threads() -> int:
    """Threads that a kernel called from here may use, the calling one included.

    That is the number of the innermost `thread_limit`, else that of `set_threads`, else `available_threads`. Where
    other code has started Numba's own threads, ``numba.set_num_threads`` limits it too; Numba is not asked otherwise,
    since its answer would start them.
    """
    count = _inside.get() or _chosen or available_threads()
    numba_threads = sys.modules.get("numba.np.ufunc.parallel")
    if numba_threads is not None and getattr(numba_threads, "_is_initialized", False):
        count = min(count, int(numba_threads.get_num_threads()))
    return max(count, 1)


def set_threads(count: int) -> None:
    """Let kernels use ``count`` threads from now on, in all of this process.

    Raises `InvalidInputError` outside 1 … `available_threads`.
    """
    global _chosen
    _chosen = integer(count, "threads", minimum=1, maximum=available_threads())


@contextmanager
def thread_limit(count: int) -> Iterator[None]:
    """Let kernels that are called inside the block use ``count`` threads; other threads and tasks are not affected.

    Raises `InvalidInputError` outside 1 … `available_threads`.
    """
    token = _inside.set(integer(count, "threads", minimum=1, maximum=available_threads()))
    try:
        yield
    finally:
        _inside.reset(token)
