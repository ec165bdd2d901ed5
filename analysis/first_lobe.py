"""C(r) of the sign field of a large lattice at short distances, counted pair by pair instead of by FFT.

A correlation length needs C(r) up to its first zero, a few sites in most runs. Counting unequal signs there takes 1/32
of a field's memory, where the FFT of the whole lattice takes ten fields.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LONGEST",
    "correlation_of_pairs",
    "count_pairs",
    "first_lobe_correlation",
    "half_disc",
    "is_large",
    "reaches",
]

# From here on counting is faster than the FFT; and lobes longer than this are left to the FFT, which is then faster.
_LARGE = 2**19
LONGEST = 127
_SHORTEST = 7

# What packing a site, and comparing a word at one displacement, cost one thread, roughly.
_PACKING, _COMPARING = 1e-9, 0.25e-9


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether an array (..., L1, L2) has a lattice that `first_lobe_correlation` is for."""
    return len(shape) > 1 and shape[-2] * shape[-1] >= _LARGE and min(shape[-2:]) > 2 * LONGEST


def first_lobe_correlation(field: NDArray[Any]) -> NDArray[np.float64] | None:
    """C(r) of the sign field (eqs. 43-44) for r = 0 … reach, where C(r) <= 0 for some of these r.

    ``field`` is one finite field (L1, L2), `is_large`. The result is exact to its last digit, and the same as
    `radial_correlation` gives; None where C(r) stays positive beyond 127 sites.
    """
    from ..kernels.cpu.signs import ROWS, WORD, pack_signs
    from ..kernels.pool import share

    rows, columns = field.shape
    signs = np.empty((rows, (columns + LONGEST) // WORD + 2), dtype=np.uint64)
    share(pack_signs, np.ascontiguousarray(field), signs, most=rows, seconds=_PACKING * field.size)
    for reach in reaches(LONGEST):
        displacements, lengths, weights = half_disc(reach, (rows, columns))
        counts = np.empty((-(-rows // ROWS), len(displacements)), dtype=np.int64)
        count_pairs(signs, field.shape, displacements, counts)
        pairs = np.asarray(np.bincount(lengths, weights * counts.sum(axis=0), minlength=reach + 1), dtype=np.float64)
        C = correlation_of_pairs(pairs, (rows, columns))
        if (C <= 0.0).any():
            return C
    return None


def count_pairs(
    signs: NDArray[np.uint64], shape: tuple[int, int], displacements: NDArray[np.int64], counts: NDArray[np.int64]
) -> None:
    """Fill ``counts`` by `fastpatch.kernels.cpu.signs.count_unequal`, on as many threads as that is worth."""
    from ..kernels.cpu.signs import count_unequal
    from ..kernels.pool import share

    seconds = _COMPARING * signs.size * len(displacements)
    share(count_unequal, signs, *shape, displacements, counts, most=len(counts), seconds=seconds)


def reaches(longest: int) -> Iterator[int]:
    """How far to look for the end of a lobe, at first and then ever farther: the last time to ``longest``."""
    reach = _SHORTEST
    while reach < longest:
        yield reach
        reach = 2 * reach + 1
    yield longest


def correlation_of_pairs(pairs: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """C(r) of signs on a lattice, from the weighted numbers of unequal pairs at the lengths r = 0, 1, … of `half_disc`.

    ``pairs`` and the result are (..., reach + 1); no length is more than half a side.
    """
    reach = pairs.shape[-1] - 1
    _, lengths, weights = half_disc(reach, shape)
    sizes = 2.0 * np.bincount(lengths, weights=weights, minlength=reach + 1)
    sizes[0] = 1.0
    products = shape[0] * shape[1] * sizes
    return np.asarray((products - 4.0 * pairs) / products)


@lru_cache(maxsize=8)
def half_disc(reach: int, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.float64]]:
    """One of every two opposite displacements (D, 2) of lengths 1 … reach, rounded to integers; lengths and weights.

    A displacement by half a side is its own opposite along that axis, and weighs half as much.
    """
    a, b = np.meshgrid(np.arange(reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    lengths = np.rint(np.hypot(a, b)).astype(np.intp)
    weights = np.where(2 * a == shape[0], 0.5, 1.0) * np.where(2 * np.abs(b) == shape[1], 0.5, 1.0)
    chosen = (lengths <= reach) & ((a > 0) | (b > 0))
    return np.stack([a[chosen], b[chosen]], axis=1), lengths[chosen], weights[chosen]
