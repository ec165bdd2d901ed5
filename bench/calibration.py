"""The yardstick: a fixed piece of work that every benchmark is timed against, alternately, in the same process.

A benchmark divided by it hardly depends on the clock rate of the moment. Never change this file's kernel: ratios in
`baseline.json` and in published histories are in units of it, and `IDENTITY`, a digest of its code, stands beside them.
"""

import hashlib
import inspect
import math
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["CHECKSUM", "IDENTITY", "cached_arrays", "calibration_checksum", "fma", "time_calibration"]

_LENGTH = 2048
_REPEATS = 2500
_PAGE = 4096

# What the kernel computes: nothing in it may be reordered, so every CPU and compiler finds these bits.
CHECKSUM = 52.15378353861888


def _fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, a, a), codegen


def _scale(typing_context: Any, value: Any, shifted: Any) -> Any:
    """value times 2^n, where the low bits of ``shifted`` hold n."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i32 = context.get_value_type(types.int32)
        f32 = context.get_value_type(types.float32)
        bits, n = (builder.bitcast(argument, i32) for argument in arguments)
        return builder.bitcast(builder.add(bits, builder.shl(n, i32(23))), f32)

    return value(value, shifted), codegen


fma: Any = intrinsic(_fma)
_shift_exponent: Any = intrinsic(_scale)


def _work(a: Any, b: Any, out: Any, repeats: Any) -> Any:
    # Per element: three loads from the first-level cache, seven multiply-adds, a polynomial 2^z, one store.
    # Each repeat takes up where the last one ended, so none can be skipped.
    magic = np.float32(12582912.0)
    for _ in range(repeats):
        for i in range(out.size):
            z = fma(a[i], out[i], b[i])
            shifted = z + magic
            f = z - (shifted - magic)
            p = fma(np.float32(1.33813025e-3), f, np.float32(9.66636852e-3))
            p = fma(p, f, np.float32(5.55038101e-2))
            p = fma(p, f, np.float32(2.40223490e-1))
            p = fma(p, f, np.float32(6.93147181e-1))
            p = fma(p, f, np.float32(1.0))
            out[i] = fma(a[i], _shift_exponent(p, shifted), np.float32(-0.25) * out[i])
    return out


IDENTITY = hashlib.sha256(f"{_LENGTH} {_REPEATS} {inspect.getsource(_work)}".encode()).hexdigest()[:16]


def cached_arrays(count: int, length: int, dtype: Any) -> tuple[NDArray[Any], ...]:
    """Zeros for a kernel on the first-level cache, laid out alike in every process.

    Each array starts on a page boundary plus a quarter page times its number: where arrays start is otherwise an
    accident of allocation, and loads that meet stores at the same offset in a page are held up.
    """
    stride = -(-length * np.dtype(dtype).itemsize // _PAGE) * _PAGE + _PAGE // 4
    memory = np.zeros(count * stride + _PAGE, dtype=np.uint8)
    start = -memory.ctypes.data % _PAGE
    views = (memory[start + k * stride :][: length * np.dtype(dtype).itemsize] for k in range(count))
    return tuple(view.view(dtype) for view in views)


@cache
def _prepared() -> tuple[Any, tuple[NDArray[np.float32], ...]]:
    fraction = np.arange(_LENGTH, dtype=np.float32) / np.float32(_LENGTH)
    arrays = cached_arrays(3, _LENGTH, np.float32)
    arrays[0][:] = fraction - np.float32(0.5)
    arrays[1][:] = np.float32(-3.0) + np.float32(2.0) * fraction
    kernel: Any = njit(error_model="numpy")(_work)
    kernel(*arrays, 1)
    return kernel, arrays


def time_calibration() -> float:
    """Seconds that one pass of the yardstick takes: about a millisecond, on one thread."""
    kernel, (a, b, out) = _prepared()
    out[:] = 0.0
    start = perf_counter()
    kernel(a, b, out, _REPEATS)
    return perf_counter() - start


def calibration_checksum() -> float:
    """Sum of what one pass computes, which must be `CHECKSUM`."""
    kernel, (a, b, out) = _prepared()
    out[:] = 0.0
    return math.fsum(kernel(a, b, out, _REPEATS).tolist())
