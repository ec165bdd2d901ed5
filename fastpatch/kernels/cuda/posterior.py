"""From neighbourhoods to dot products, and from these to the posterior mean (eq. 38) of a site."""

import numpy as np

from .operations import device, exp2, fma, inverse

__all__ = ["QUAD", "correlate_quad", "correlate_row", "slide", "weigh", "weights_of"]

# Rows that a thread works on at a time: they share one Threefry call.
QUAD = 4

# Array indices are unsigned, or Numba would test each for being negative.
_N = np.uintp


@device
def correlate_row(tile, at, rows, binary, correlated):
    """``correlated[q] = sum_v rows[q, v] tile[at + v]``, added up in the CPU's order."""
    for q in range(rows.shape[0]):
        value = rows[q, 0] * tile[_N(at)]
        if binary:
            value = fma(rows[q, 1], tile[_N(at + 1)], value)
            value += fma(rows[q, 3], tile[_N(at + 3)], rows[q, 2] * tile[_N(at + 2)])
            value = fma(rows[q, 4], tile[_N(at + 4)], value)
        else:
            for v in range(1, rows.shape[1]):
                value = fma(rows[q, v], tile[_N(at + v)], value)
        correlated[q] = value


@device
def slide(correlated, unit_row, unit_sign, running, dots):
    """Move the window down by the row that ``correlated`` is of; ``dots`` are those of the window that it completes.

    ``running[k, u]`` is the sum over pattern rows 0 … u, for the window in which this row meets pattern row u.
    """
    last = unit_row.shape[1] - 1
    for k in range(unit_row.shape[0]):
        for u in range(last, 0, -1):
            running[k, u] = fma(unit_sign[k, u], correlated[unit_row[k, u]], running[k, u - 1])
        running[k, 0] = unit_sign[k, 0] * correlated[unit_row[k, 0]]
        dots[k] = running[k, last]


@device
def weigh(dots, slope, biases, centers, n_pairs, odd, even):
    """Posterior mean of one site and the reciprocal of its total weight.

    Left in ``odd`` and ``even``: difference and sum of a pair's two weights (a single's weight, twice), unnormalised.
    """
    top = fma(slope, abs(dots[0]) if n_pairs > 0 else dots[0], biases[0])
    for k in range(1, dots.shape[0]):
        top = max(top, fma(slope, abs(dots[k]) if k < n_pairs else dots[k], biases[k]))
    zero = dots.dtype.type(0)
    mean, total = zero, zero
    for k in range(dots.shape[0]):
        plus = exp2(fma(slope, dots[k], biases[k]) - top)
        minus = exp2(fma(-slope, dots[k], biases[k]) - top) if k < n_pairs else zero
        odd[k] = plus - minus
        even[k] = plus + minus
        mean = fma(centers[k], odd[k], mean)
        total += even[k]
    scale = inverse(total)
    return mean * scale, scale


@device
def correlate_quad(pixels, pattern, dots):
    """Dot products of one pattern with the windows of four rows, which start at rows 0 … 3 of ``pixels`` (P + 3, P)."""
    size = pixels.shape[1]
    for lane in range(QUAD):
        for u in range(size):
            row = pattern[_N(u)]
            value = row[0] * pixels[lane + u, 0]
            for v in range(1, size):
                value = fma(row[_N(v)], pixels[lane + u, v], value)
            dots[lane] = dots[lane] + value if u > 0 else value


@device
def weights_of(dot, slope, bias, top, paired, zero):
    """Weights of a pair (of a single, and zero) relative to the top logit."""
    plus = exp2(fma(slope, dot, bias) - top)
    minus = exp2(fma(-slope, dot, bias) - top) if paired else zero
    return plus, minus
