"""CUDA kernels that correlate the signs of recorded states by counting bits, exactly, and average the states.

Signs are packed 32 sites a word along the rows; sites that differ at a displacement are the bits set in the exclusive
or of two rows, one of them shifted. Counts are integers, so the order in which they are added does not matter.
"""

import numpy as np
from numba import cuda, types

from .operations import compiled, device

__all__ = ["DISPLACEMENTS", "count_unequal", "pack_signs"]

# Column displacements that one block counts: both directions of each share the words loaded.
DISPLACEMENTS = 8
_COUNTS = 2 * DISPLACEMENTS
_WORD = 32

_N = np.uintp
_U = np.uint32


@compiled
def pack_signs(states, signs, sums):
    """Signs (F, L1, W) and sums (F, L1, ceil(L2 / 32)) by words of the states (F, L1, L2); a thread a word.

    Bit b of word w is set where the state is negative at column (32 w + b) mod L2; W may reach beyond L2.
    """
    rows, words = signs.shape[1], signs.shape[2]
    columns = states.shape[2]
    at = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if at >= signs.size:
        return
    word = at % words
    i = at // words % rows
    state = states[_N(at // (words * rows)), _N(i)]
    packed = _U(0)
    total = 0.0
    j = word * _WORD % columns
    for b in range(_WORD):
        x = state[_N(j)]
        if x < 0:
            packed = packed | _U(_U(1) << _U(b))
        if word * _WORD + b < columns:
            total += np.float64(x)
        j = 0 if j + 1 == columns else j + 1
    signs[_N(at // (words * rows)), _N(i), _N(word)] = packed
    if word < sums.shape[2]:
        sums[_N(at // (words * rows)), _N(i), _N(word)] = total


@device
def _shifted(low, high, count):
    """The 32 bits that start at bit ``count`` of a word and its successor."""
    return _U((np.uint64(high) << np.uint64(_WORD) | np.uint64(low)) >> np.uint64(count))


@compiled
def count_unequal(signs, columns, height, counts):
    """Add to counts (F, rows, groups, 2 DISPLACEMENTS) the numbers of unequal signs at displacements.

    ``counts[f, a, g, k]`` is for (a, b) and ``counts[f, a, g, DISPLACEMENTS + k]`` for (a, -b),
    b = DISPLACEMENTS g + k. A block counts ``height`` rows of one field at the displacements of one group. Grid:
    F * rows * groups * ceil(L1 / height) blocks of a multiple of 2 DISPLACEMENTS threads; shared memory:
    16 DISPLACEMENTS bytes a thread.
    """
    held = cuda.shared.array(0, types.int64)
    totals = cuda.local.array(_COUNTS, types.int32)
    lattice_rows = signs.shape[1]
    strips = (lattice_rows + height - 1) // height
    strip = cuda.blockIdx.x % strips
    group = cuda.blockIdx.x // strips % counts.shape[2]
    down = cuda.blockIdx.x // (strips * counts.shape[2]) % counts.shape[1]
    field = signs[_N(cuda.blockIdx.x // (strips * counts.shape[2] * counts.shape[1]))]
    out = counts[_N(cuda.blockIdx.x // (strips * counts.shape[2] * counts.shape[1])), _N(down), _N(group)]
    for v in range(_COUNTS):
        totals[v] = 0
    words = (columns + _WORD - 1) // _WORD
    skipped = group * DISPLACEMENTS // _WORD
    first = group * DISPLACEMENTS % _WORD
    # Threads side by side take neighbouring words, and where there are fewer words than threads, several rows.
    across = min(words, cuda.blockDim.x)
    abreast = cuda.blockDim.x // across
    i0 = strip * height + cuda.threadIdx.x // across
    end = min((strip + 1) * height, lattice_rows) if cuda.threadIdx.x < across * abreast else 0
    for w in range(cuda.threadIdx.x % across, words, across):
        mask = _U(_U(0xFFFFFFFF) >> _U(_WORD - min(_WORD, columns - w * _WORD)))
        for i in range(i0, end, abreast):
            here = field[_N(i)]
            there = field[_N(i + down if i + down < lattice_rows else i + down - lattice_rows)]
            a, a_low, a_high = here[_N(w)], here[_N(w + skipped)], here[_N(w + skipped + 1)]
            b, b_low, b_high = there[_N(w)], there[_N(w + skipped)], there[_N(w + skipped + 1)]
            for k in range(DISPLACEMENTS):
                totals[k] += cuda.popc(_U((a ^ _shifted(b_low, b_high, first + k)) & mask))
                totals[DISPLACEMENTS + k] += cuda.popc(_U((b ^ _shifted(a_low, a_high, first + k)) & mask))
    for v in range(_COUNTS):
        held[_N(v * cuda.blockDim.x + cuda.threadIdx.x)] = totals[v]
    cuda.syncthreads()
    v = cuda.threadIdx.x % _COUNTS
    total = types.int64(0)
    for at in range(cuda.threadIdx.x // _COUNTS, cuda.blockDim.x, cuda.blockDim.x // _COUNTS):
        total += held[_N(v * cuda.blockDim.x + at)]
    cuda.atomic.add(out, v, total)
