"""Counter-based Gaussian noise: the same number for the same (seed, stream, trajectory, step, site), wherever drawn.

Threefry-4x32-20 maps the 128-bit counter (column j, row block i // 4, step, trajectory) under the key (64-bit seed,
stream) to four words; Box-Muller turns them into the normals of rows 4 (i // 4) … + 3 in column j. Nothing depends on
the lattice size, the number of threads, how trajectories are grouped, or the history of the run. Normals are float32
(32-bit words, |z| < 6.7); float64 runs use the same ones.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInputError
from .validation import integer

__all__ = ["MAX_COUNT", "NoiseStream", "noise_key", "standard_normals"]

# Largest trajectory or step number + 1: each has a 32-bit counter word of its own, so counters cannot overflow
# into one another.
MAX_COUNT = 2**32

# What a normal costs one thread, roughly.
_SECONDS = 1.5e-9


class NoiseStream(IntEnum):
    """Independent uses of one seed."""

    INITIAL = 0
    STEP = 1


def noise_key(seed: int, stream: NoiseStream) -> NDArray[np.uint32]:
    """The three key words of a seed in [0, 2^64) and a stream."""
    value = integer(seed, "seed", minimum=0, maximum=2**64 - 1)
    return np.array([value & 0xFFFFFFFF, value >> 32, int(stream)], dtype=np.uint32)


def standard_normals(
    shape: tuple[int, int, int],
    *,
    seed: int,
    stream: NoiseStream = NoiseStream.STEP,
    step: int = 0,
    first_trajectory: int = 0,
    origin: tuple[int, int] = (0, 0),
    dtype: Any = np.float32,
) -> NDArray[Any]:
    """Standard normals of one step for ``shape = (trajectories, L1, L2)``, of the given dtype.

    ``origin`` is the first row and column: the normals are those of the same sites of a larger lattice.

    Raises `InvalidInputError` for a seed outside [0, 2^64), a trajectory or step number that reaches 2^32, a shape
    that is not three non-negative sides, or a negative origin.
    """
    from .kernels import cpu
    from .kernels.pool import share

    if len(shape) != 3:
        raise InvalidInputError(f"shape is {shape}; expected (trajectories, L1, L2)")
    count, _, _ = (integer(side, f"shape[{axis}]", minimum=0) for axis, side in enumerate(shape))
    integer(step, "step", minimum=0, maximum=MAX_COUNT - 1)
    integer(first_trajectory, "first_trajectory", minimum=0, maximum=MAX_COUNT - count)
    row, column = (integer(first, f"origin[{axis}]", minimum=0) for axis, first in enumerate(origin))
    drawn = np.empty(shape, dtype=np.float32)
    place = (row, column), step, first_trajectory, noise_key(seed, stream)
    share(cpu.standard_normals, drawn, *place, most=drawn.size, seconds=_SECONDS * drawn.size)
    return drawn.astype(dtype, copy=False)
