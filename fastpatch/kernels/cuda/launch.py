"""From a dictionary and a lattice to CUDA kernels and the blocks they are launched with."""

import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core.errors import NumbaPerformanceWarning
from numpy.typing import NDArray

from ..patch import ModeTables
from ..plan import PatchPlan
from .posterior import QUAD
from .step import sliding_step, streaming_step

__all__ = ["REDUCING_THREADS", "Tiling", "compiled_in", "configured", "step_kernel", "wave_tables"]

# A dictionary is compiled into the kernel up to this many multiplications a site, before equal rows are shared, and
# this many partial dot products, which are to stay in registers.
_MAX_MULTIPLICATIONS = 400
_MAX_PARTIAL_SUMS = 100

# Of a block of `step.add_blocks`.
REDUCING_THREADS = 64

_WARP = 32
_WIDEST = 4 * _WARP
# What every device grants a block without being asked for more.
_SHARED_BYTES = 48 * 1024


class Tiling(NamedTuple):
    """Blocks of ``width`` threads, each a strip of ``height`` rows (a multiple of 4) and one column a thread.

    It depends on the lattice, the precision and the number of mode sums alone, so that these sums are taken in the
    same order on every GPU and however trajectories are grouped.
    """

    width: int
    height: int

    @classmethod
    def of(cls, shape: tuple[int, int], size: int, dtype: np.dtype[Any], sums: int) -> "Tiling":
        """For patterns of side ``size`` and a number of mode sums a block."""
        warps = -(-shape[1] // _WARP)
        across = -(-warps * _WARP // _WIDEST)
        # High strips repeat less of their halo, low ones make more blocks of a small lattice.
        sites = shape[0] * shape[1]
        tiling = cls(-(-warps // across) * _WARP, 32 if sites >= 2**22 else 16 if sites >= 2**18 else 8)
        while tiling.shared_bytes(size, dtype, sums) > _SHARED_BYTES and tiling != (4, QUAD):
            if tiling.height > QUAD:
                tiling = cls(tiling.width, tiling.height // 2)
            else:
                tiling = cls(max(4, tiling.width // 2), tiling.height)
        return tiling

    def shared_bytes(self, size: int, dtype: np.dtype[Any], sums: int) -> int:
        """For the tile with its halo and every thread's mode sums."""
        halo = size - 1
        return dtype.itemsize * ((self.height + halo) * (self.width + halo) + sums * self.width)

    def blocks(self, shape: tuple[int, int]) -> int:
        """Blocks that cover one lattice."""
        return -(-shape[0] // self.height) * -(-shape[1] // self.width)


def compiled_in(plan: PatchPlan) -> bool:
    """Whether `step_kernel` holds the dictionary itself, rather than taking it as an argument."""
    units, size = plan.unit_row.shape
    return bool(size * (len(plan.rows) + units) <= _MAX_MULTIPLICATIONS and units * size <= _MAX_PARTIAL_SUMS)


@lru_cache(maxsize=32)
def step_kernel(plan: PatchPlan, dtype: str, record: bool) -> Any:
    """The step for a dictionary, compiled when first launched."""
    precision = getattr(types, dtype)
    if not compiled_in(plan):
        return streaming_step(plan.patterns.shape[-1], precision, record)
    rows, unit_sign, centers = (array.astype(dtype) for array in (plan.rows, plan.unit_sign, plan.centers))
    unit_row = plan.unit_row.astype(np.int32)
    return sliding_step(rows, unit_row, unit_sign, centers, plan.n_pairs, plan.binary, precision, record)


def configured(kernel: Any, blocks: int, threads: int, shared_bytes: int) -> Any:
    """The kernel with its grid; Numba's warning that few blocks leave a GPU idle would say nothing new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaPerformanceWarning)
        return kernel[blocks, threads, 0, shared_bytes]


def wave_tables(tables: ModeTables) -> tuple[NDArray[np.float64], ...]:
    """(1 + cos(2 q i), sin(2 q i)) at every coordinate that a quad can reach, and the patterns' coefficients (D, S, U).

    The coefficients are those of `ModeTables.arrays`, transposed.
    """
    phase = 2.0 * tables.wave_numbers[:, :, None] * np.arange(sum(tables.shape) + QUAD)
    even, odd = tables.arrays(phase.dtype, (0, 0))[2:]
    return 1.0 + np.cos(phase), np.sin(phase), np.swapaxes(even, 1, 2), np.swapaxes(odd, 1, 2)
