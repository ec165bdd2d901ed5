"""The highest rates that small kernels reach on this machine, one class of operations each.

Their data stay in the first-level cache, except for the memory stream.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numba import njit

from bench.calibration import cached_arrays, fma
from fastpatch.kernels.pool import share
from fastpatch.threads import available_threads, thread_limit

__all__ = ["RATES", "measure_rates", "shortest"]

_CACHED = 2048
_ELEMENTS = 2**26
_STREAMED = 2**25
_CALLS = 40


@njit(error_model="numpy")
def _multiply_adds(x: Any, out: Any, repeats: Any) -> None:
    # Four independent chains of sixteen: enough in flight to hide the latency, and next to no loads.
    for _ in range(repeats):
        for i in range(out.size):
            v = x[i]
            p, q, r, s = out[i], v, v, v
            for _ in range(16):
                p = fma(p, v, v)
                q = fma(q, v, p)
                r = fma(r, v, v)
                s = fma(s, v, r)
            out[i] = (p + q) + (r + s)


@njit(error_model="numpy")
def _integers(x: Any, out: Any, repeats: Any) -> None:
    # The mixing of a counter-based generator: add, rotate (two shifts and an or, where there is no rotate), xor.
    for _ in range(repeats):
        for i in range(out.size):
            a, b = x[i], out[i]
            for _ in range(16):
                a = np.uint32(a + b)
                b = np.uint32(np.uint32(np.uint32(b << np.uint32(13)) | np.uint32(b >> np.uint32(19))) ^ a)
            out[i] = a ^ b


@njit(error_model="numpy")
def _additions(x: Any, out: Any, repeats: Any) -> None:
    # Additions, comparisons and absolute values, which some CPUs execute apart from multiplications.
    for _ in range(repeats):
        for i in range(out.size):
            v = x[i]
            p, q = out[i], -v
            for _ in range(16):
                p = max(abs(p) - v, q)
                q = max(abs(q) - v, p)
            out[i] = p + q


@njit(error_model="numpy")
def _divisions(x: Any, out: Any, repeats: Any) -> None:
    for _ in range(repeats):
        for i in range(out.size):
            out[i] = x[i] / out[i]


@njit(error_model="numpy")
def _streams(x: Any, out: Any, repeats: Any) -> None:
    # Two loads and a store for every addition.
    for _ in range(repeats):
        for i in range(out.size):
            out[i] = out[i] + x[i]


@njit(error_model="numpy", nogil=True)
def _triad(crew: Any, a: Any, b: Any, c: Any) -> None:
    for i in range(crew.worker * a.size // crew.workers, (crew.worker + 1) * a.size // crew.workers):
        a[i] = fma(b[i], np.float32(3.0), c[i])


# By the name of a rate: its kernel, the operations it makes of an element, and the type of the data.
_KERNELS: dict[str, tuple[Any, int, Any]] = {
    "multiply-add": (_multiply_adds, 64, np.float32),
    "add, max, abs": (_additions, 96, np.float32),
    "integer": (_integers, 48, np.uint32),
    "divide": (_divisions, 1, np.float32),
    "load + load + store": (_streams, 1, np.float32),
}
RATES = tuple(_KERNELS)


def shortest(function: Callable[[], Any], calls: int = _CALLS, reset: Callable[[], Any] = lambda: None) -> float:
    """Seconds of the shortest call, each after ``reset``, the first not counted."""
    reset()
    function()
    times = []
    for _ in range(calls):
        reset()
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)


def measure_rates() -> dict[str, float]:
    """Operations a nanosecond on one thread; "triad, n thread(s)" in bytes a nanosecond (three float32 an element)."""
    rates = {}
    for name, (kernel, operations, dtype) in _KERNELS.items():
        x, out = cached_arrays(2, _CACHED, dtype)
        x[:], out[:] = 1, 2
        repeats = max(1, _ELEMENTS // (_CACHED * operations))
        seconds = shortest(partial(kernel, x, out, repeats))
        rates[name] = 1e-9 * operations * _CACHED * repeats / seconds
    streams = [np.ones(_STREAMED, dtype=np.float32) for _ in range(3)]
    for threads in range(1, min(2, available_threads()) + 1):
        with thread_limit(threads):
            triad = partial(share, _triad, *streams, most=threads, seconds=1.0)
            rates[f"triad, {threads} thread(s)"] = 12e-9 * _STREAMED / shortest(triad, calls=10)
    return rates
