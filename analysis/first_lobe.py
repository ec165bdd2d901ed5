"""C(r) of the sign field of a large lattice at short distances, counted pair by pair instead of by FFT.

A correlation length needs C(r) up to its first zero, a few sites in most runs. Counting unequal signs there takes 1/32
of a field's memory, where the FFT of the whole lattice takes ten fields.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_lobe_correlation", "is_large"]

# From here on counting is faster than the FFT; and lobes longer than this are left to the FFT, which is then faster.
_LARGE = 2**19
_LONGEST = 127
_SHORTEST = 7


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether an array (..., L1, L2) has a lattice that `first_lobe_correlation` is for."""
    return len(shape) > 1 and shape[-2] * shape[-1] >= _LARGE and min(shape[-2:]) > 2 * _LONGEST


def first_lobe_correlation(field: NDArray[Any]) -> NDArray[np.float64] | None:
    """C(r) of the sign field (eqs. 43-44) for r = 0 … reach, where C(r) <= 0 for some of these r.

    ``field`` is one finite field (L1, L2), `is_large`. The result is exact to its last digit, and the same as
    `radial_correlation` gives; None where C(r) stays positive beyond 127 sites.
    """
    from ..kernels.signs import ROWS, WORD, count_unequal, pack_signs

    rows, columns = field.shape
    signs = np.empty((rows, (columns + _LONGEST) // WORD + 2), dtype=np.uint64)
    pack_signs(np.ascontiguousarray(field), signs)
    reach = _SHORTEST
    while reach <= _LONGEST:
        displacements, bins = _half_disc(reach)
        counts = np.empty((-(-rows // ROWS), len(displacements)), dtype=np.int64)
        count_unequal(signs, columns, displacements, counts)
        pairs = np.bincount(bins, weights=counts.sum(axis=0), minlength=reach + 1)
        sizes = 2.0 * np.bincount(bins, minlength=reach + 1)
        sizes[0] = 1.0
        products = rows * columns * sizes
        C = (products - 4.0 * pairs) / products
        if (C <= 0.0).any():
            return np.asarray(C)
        reach = 2 * reach + 1
    return None


@lru_cache(maxsize=8)
def _half_disc(reach: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """One of every two opposite displacements of lengths 1 … reach, rounded to integers, and these lengths."""
    a, b = np.meshgrid(np.arange(reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    lengths = np.rint(np.hypot(a, b)).astype(np.intp)
    chosen = (lengths <= reach) & ((a > 0) | (b > 0))
    return np.stack([a[chosen], b[chosen]], axis=1), lengths[chosen]
