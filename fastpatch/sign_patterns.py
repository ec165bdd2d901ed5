"""Patterns of +-1 as bits: a P x P pattern with P <= 7 is one integer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST_CODED_SIZE", "code_dtype", "decode", "encode", "flipped", "row_codes"]

# 7 x 7 pixels are the most that a word of 64 bits holds.
LARGEST_CODED_SIZE = 7


def code_dtype(size: int) -> np.dtype[Any]:
    """The unsigned integer type of codes of P x P patterns."""
    return np.dtype(np.uint32 if size * size <= 32 else np.uint64)


def encode(patterns: NDArray[Any]) -> NDArray[Any]:
    """Codes (K,) of patterns (K, P, P) of +-1: bit ``P u + v`` is set where ``patterns[k, u, v]`` is +1."""
    count, size, _ = patterns.shape
    dtype = code_dtype(size)
    codes = np.zeros(count, dtype=dtype)
    for bit, pixel in enumerate((patterns > 0).reshape(count, -1).T):
        codes |= pixel.astype(dtype) << dtype.type(bit)
    return codes


def decode(codes: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Patterns (K, P, P) of +-1, float64, of their codes (K,)."""
    patterns = np.empty((codes.size, size * size))
    for bit in range(size * size):
        patterns[:, bit] = (codes >> codes.dtype.type(bit)) & codes.dtype.type(1)
    patterns *= 2.0
    patterns -= 1.0
    return patterns.reshape(-1, size, size)


def flipped(codes: NDArray[Any], size: int) -> NDArray[Any]:
    """The codes of the patterns with all signs changed."""
    return np.asarray(codes ^ codes.dtype.type(2 ** (size * size) - 1))


def row_codes(codes: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """The P rows of patterns as numbers of P bits, (P, K); bit v of a row is its pixel v."""
    word = codes.dtype.type
    mask = word(2**size - 1)
    return np.stack([((codes >> word(size * u)) & mask).astype(np.uint8) for u in range(size)])
