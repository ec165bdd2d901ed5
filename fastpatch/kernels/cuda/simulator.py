"""Scalar operations of the CUDA kernels for Numba's CUDA simulator, in which kernels run as plain Python.

Words wrap around and a multiply-add rounds once, as on the device.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, njit

from .. import cpu

__all__ = ["add", "bits", "compiled", "device", "exp2", "fma", "from_bits", "inverse", "rotate_left"]


def compiled(function: Callable[..., Any]) -> Any:
    return cuda.jit(function)


def device(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself: a wrapper would only cost time."""
    return function


@njit
def _fma(a, b, c):  # type: ignore[no-untyped-def]
    return cpu.fma(a, b, c)  # type: ignore[call-arg]  # an intrinsic, as Numba calls it


def fma(a: Any, b: Any, c: Any) -> Any:
    return type(c)(_fma(a, b, c))


def add(a: Any, b: Any) -> np.uint32:
    return np.uint32((int(a) + int(b)) & 0xFFFFFFFF)


def rotate_left(word: Any, count: int) -> np.uint32:
    value = int(word)
    return np.uint32((value << count | value >> (32 - count)) & 0xFFFFFFFF)


def bits(value: np.float32) -> np.int32:
    return value.view(np.int32)


def from_bits(pattern: np.int32) -> np.float32:
    return pattern.view(np.float32)


def exp2(z: Any) -> Any:
    return np.exp2(z)


def inverse(value: Any) -> Any:
    return type(value)(1.0) / value
