"""Correlation length and magnetization of states that are on a GPU, without bringing them to the host.

The signs' correlation is counted displacement by displacement, outwards until C(r) has left its first lobe, which is
as far as the first moment reaches: a few sites in most runs. The counts are exact, so the lengths are those of
`fastpatch.analysis.correlation_length`, bit for bit.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ...analysis.correlation import radial_bins
from ...analysis.correlation_length import length_from_correlation
from ...kernels.cuda.correlation import DISPLACEMENTS, count_unequal, pack_signs
from ...kernels.cuda.launch import REDUCING_THREADS, configured
from ...kernels.cuda.step import add_blocks

__all__ = ["Observer"]

_WORD = 32
_THREADS = 128
# Words that a thread of `count_unequal` takes, so that its final reduction is a small part of its work.
_WORDS_A_THREAD = 64


class Observer:
    """Working space on the device for a number of fields of one shape.

    ``observe`` takes states, a device array (F, L1, L2), and gives xi_x and the spatial mean of each, (F,). A state
    that is not finite has a mean that is not, and a meaningless length.
    """

    def __init__(self, fields: int, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._most = min(shape) // 2
        self._words = -(-shape[1] // _WORD)
        self._signs = cuda.device_array((fields, shape[0], (shape[1] + self._most) // _WORD + 2), np.uint32)
        self._sums = cuda.device_array((fields, shape[0], self._words), np.float64)

    def observe(self, states: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        fields = states.shape[0]
        rows, columns = self._shape
        signs, sums = self._signs[:fields], self._sums[:fields]
        configured(pack_signs, -(-signs.size // _THREADS), _THREADS, 0)(states, signs, sums)
        total = cuda.device_array((fields, 1, 1), np.float64)
        parts = sums.reshape(fields, 1, rows * self._words, 1)
        threads = min(REDUCING_THREADS, parts.shape[2])
        configured(add_blocks, fields, threads, 8 * threads)(parts, total)
        reach = min(DISPLACEMENTS - 1, self._most)
        while True:
            C = _radial_correlation(signs, self._shape, reach)
            if reach == self._most or (C <= 0.0).any(axis=-1).all():
                break
            reach = min(2 * reach + 1, self._most)
        return np.asarray(length_from_correlation(C)), total.copy_to_host().ravel() / (rows * columns)


def _radial_correlation(signs: Any, shape: tuple[int, int], reach: int) -> NDArray[np.float64]:
    """C(r) of the packed signs for r = 0 … reach, (F, reach + 1)."""
    groups = -(-(reach + 1) // DISPLACEMENTS)
    counts = cuda.to_device(np.zeros((signs.shape[0], reach + 1, groups, 2 * DISPLACEMENTS), dtype=np.int64))
    words = -(-shape[1] // _WORD)
    step = 2 * DISPLACEMENTS
    threads = min(_THREADS, -(-words * shape[0] // step) * step)
    height = max(1, _WORDS_A_THREAD * threads // words)
    blocks = counts.size // step * -(-shape[0] // height)
    launch = configured(count_unequal, blocks, threads, 16 * DISPLACEMENTS * threads)
    launch(signs, shape[1], height, counts)
    unequal = counts.copy_to_host().reshape(signs.shape[0], -1).astype(np.float64)
    bins, sizes = _bins(shape, reach)
    products = shape[0] * shape[1] * sizes
    return np.asarray((products - 4.0 * (unequal @ bins)) / products)


@lru_cache(maxsize=32)
def _bins(shape: tuple[int, int], reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix from the counts of `count_unequal` to half the sums over bins 0 … reach, and the sizes of these bins.

    A count is for a displacement and its opposite. Near half a side several counts are for the same ones.
    """
    groups = -(-(reach + 1) // DISPLACEMENTS)
    down, across = np.arange(reach + 1), np.arange(groups * DISPLACEMENTS).reshape(groups, 1, DISPLACEMENTS)
    a, b = np.broadcast_arrays(down[:, None, None, None], np.concatenate([across, -across], axis=1))
    places = np.stack([(s * a % shape[0]) * shape[1] + s * b % shape[1] for s in (1, -1)], axis=-1).reshape(-1, 2)
    labels, sizes = radial_bins(*shape)
    matrix = np.zeros((len(places), reach + 1))
    _, first = np.unique(places, return_index=True)
    entries, kept = first // 2, labels[places.ravel()[first]] <= reach
    np.add.at(matrix, (entries[kept], labels[places.ravel()[first]][kept]), 0.5)
    return matrix, sizes[: reach + 1]
