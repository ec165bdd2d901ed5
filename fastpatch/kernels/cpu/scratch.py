"""How the lattice is cut into bands and tiles, and the scratch space of a thread that works on one."""

import numpy as np

from ..jit import kernel
from .intrinsics import load, store

__all__ = [
    "BAND",
    "DOTS",
    "MEAN",
    "ROUND",
    "RUN",
    "RUN_MEAN",
    "SUMS",
    "TILE",
    "TOP",
    "TOTAL",
    "columns_at",
    "copy",
    "correlations_at",
    "fill",
    "load_padded",
    "rounded",
    "scratch_size",
    "tile_columns",
]

# Rows of a band; a multiple of 4 because one noise block serves four rows. Sums over the lattice are taken band by band
# in a fixed order, so they do not depend on the number of threads.
BAND = 16
RUN = 8

# Floats a tile may hold: 81 columns of 5x5 patterns. An odd number of cache lines, so that the streams of the sixteen
# row combinations fall into different cache sets.
TILE = 1776

# Loops run over a multiple of this many elements: what a vectorised loop leaves over is done one by one.
ROUND = 64

# Layout of a thread's scratch space, in floats, for U units and Q distinct pattern rows: the padded field, the
# posterior mean of the tile and of a run, top logits and total weights of a run, two sums over units, then U times the
# dot products of a run (later the response) and a unit's sum of weights, U column sums, diagonal sums and row sums, and
# Q row correlations. Two streams that one loop writes must lie a known distance apart for it to be vectorised.
# They are NumPy's integers because Numba compiles a function once more for every literal one that it is given.
MEAN, RUN_MEAN, TOP, TOTAL, SUMS = (np.int64(k * TILE) for k in (1, 2, 3, 4, 5))
DOTS = np.int64(7 * TILE)


@kernel()
def columns_at(units):
    return DOTS + 2 * units * TILE


@kernel()
def correlations_at(units):
    return DOTS + 5 * units * TILE


def scratch_size(units: int, n_rows: int) -> int:
    """Floats of scratch space a thread needs."""
    return int(DOTS) + (5 * units + n_rows) * TILE


def tile_columns(size: int) -> int:
    """Most columns of a tile for patterns of this size; less than one if they are too large for these kernels."""
    return (TILE - ROUND - size) // (BAND + size - 1) - (size - 1)


@kernel()
def rounded(n):
    return (n + ROUND - 1) // ROUND * ROUND


@kernel()
def copy(source, start, target, at, n):
    for c in range(n):
        store(target, at + c, load(source, start + c))


@kernel()
def fill(s, at, value, n):
    for f in range(n):
        store(s, at + f, value)


@kernel()
def load_padded(x, i0, height, j0, width, radius, s):
    """Rows i0 - R … and columns j0 - R … of a tile, periodically wrapped, at the start of the scratch space."""
    lattice_rows, lattice_columns = x.shape
    at = 0
    for g in range(height + 2 * radius):
        i = (i0 - radius + g) % lattice_rows
        for c in range(radius):
            s[at + c] = x[i, (j0 - radius + c) % lattice_columns]
            s[at + radius + width + c] = x[i, (j0 + width + c) % lattice_columns]
        at += radius
        copy(x, i * lattice_columns + j0, s, at, width)
        at += width + radius
    # The last run reads past the tile's end; what it finds there is ignored but should not be a denormal.
    for c in range(ROUND + 2 * radius):
        s[at + c] = 0.0
