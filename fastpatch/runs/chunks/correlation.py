"""Correlation lengths of sign fields in chunks, exact to the last digit: by counting pairs, else by FFT."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ...analysis.correlation_length import length_from_correlation
from ...analysis.first_lobe import LONGEST, correlation_of_pairs, reaches
from .arrays import overlapped
from .scheduler import Scheduler
from .tasks import count_pairs, sum_by_length

__all__ = ["correlation_lengths"]

# Elements of the slabs, full along one axis, in which the Fourier transform passes from one axis to the other.
_SLAB = 2**21


def correlation_lengths(scheduler: Scheduler, signs: Sequence[da.Array]) -> list[NDArray[np.float64]]:
    """First-moment correlation lengths (R, T), eq. 45, of sign fields (R, T, L1, L2), 1 where x < 0 and 0 elsewhere.

    As `fastpatch.analysis.correlation_length` finds them for a field in one piece. C(r) is counted as far as its first
    zero: chunks compare signs with their own and those of a halo, and only integers leave the workers. The halo is
    widened until it suffices; lobes longer than 127 sites are left to an FFT whose slabs pass between the workers.
    """
    shape = (signs[0].shape[-2], signs[0].shape[-1])
    longest = min(LONGEST, min(shape) // 2)
    lengths: list[NDArray[np.float64]] = [np.empty(0)] * len(signs)
    left = list(range(len(signs)))
    for reach in reaches(longest):
        counted = scheduler.compute([_pairs(signs[k], reach, shape) for k in left])
        for k, pairs in zip(left, counted, strict=True):
            C = correlation_of_pairs(pairs, shape)
            lengths[k] = np.where((C <= 0.0).any(axis=-1), length_from_correlation(C), np.nan)
            if longest == min(shape) // 2 == reach:
                lengths[k] = length_from_correlation(C)
        left = [k for k in left if np.isnan(lengths[k]).any()]
        if not left:
            return lengths
    for k in left:
        for at in np.argwhere(np.isnan(lengths[k])):
            (pairs,) = scheduler.compute([_transformed_pairs(signs[k][tuple(at)])])
            lengths[k][tuple(at)] = length_from_correlation(correlation_of_pairs(pairs, shape))
    return lengths


def _pairs(signs: da.Array, reach: int, shape: tuple[int, int]) -> da.Array:
    """Unequal pairs (R, T, reach + 1) at the lengths 0 … reach."""
    padded = overlapped(signs, (0, 0, reach, reach), allow_rechunk=True)
    chunks = (*padded.chunks[:2], *((1,) * len(axis) for axis in padded.chunks[2:]), (reach + 1,))
    counted = padded.map_blocks(
        partial(_counted, reach=reach, shape=shape), dtype=np.float64, chunks=chunks, new_axis=4,
        meta=np.empty((0, 0, 0, 0, 0)),
    )  # fmt: skip
    total: da.Array = counted.sum(axis=(2, 3))
    return total


def _counted(signs: NDArray[np.uint8], reach: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    return count_pairs(signs, reach, shape)[:, :, None, None]


def _transformed_pairs(signs: da.Array) -> da.Array:
    """Half the unequal pairs (R + 1,) at all lengths 0 … R of one sign field (L1, L2): `unequal_pairs` in slabs."""
    rows, columns = signs.shape
    thick = [max(1, _SLAB // length) for length in (columns, rows)]
    along_rows, along_columns = {0: thick[0], 1: -1}, {0: -1, 1: thick[1]}
    values = (1.0 - 2.0 * signs).rechunk(along_rows)
    amplitudes = da.fft.fft(da.fft.rfft(values, axis=1).rechunk(along_columns), axis=0)
    power = amplitudes.real**2 + amplitudes.imag**2
    products = da.fft.irfft(da.fft.ifft(power, axis=0).rechunk(along_rows), n=columns, axis=1)
    pairs = da.rint((rows * columns - products) / 4.0)
    firsts = tuple(accumulate(pairs.chunks[0], initial=0))
    reach = min(rows, columns) // 2
    sums = pairs.map_blocks(
        partial(_summed, firsts=firsts, shape=(rows, columns)), dtype=np.float64,
        chunks=((1,) * len(pairs.chunks[0]), (reach + 1,)), meta=np.empty((0, 0)),
    )  # fmt: skip
    total: da.Array = sums.sum(axis=0)
    return total


def _summed(
    maps: NDArray[np.float64], block_id: tuple[int, int], firsts: tuple[int, ...], shape: tuple[int, int]
) -> NDArray[np.float64]:
    return sum_by_length(maps, block_id, firsts, shape)[None]
