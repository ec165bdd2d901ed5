"""The factors of all possible rows at a block of sites."""

import numpy as np

from ..cpu.exponentials import exp2
from ..jit import kernel
from .leaves import BLOCK

__all__ = ["fill_pair_tables", "fill_row_tables", "gather_windows"]


@kernel()
def gather_windows(x, sites, begin, end, order, windows):
    """Neighbourhoods of the sites ``sites[begin:end]`` of fields x (B, H, W), numbered through, as (P P, BLOCK).

    Rows in the tree's ``order``. Lanes that no site is left for repeat the last one.
    """
    _, height, width = x.shape
    size = order.size
    radius = size // 2
    for lane in range(BLOCK):
        site = sites[min(begin + lane, end - 1)]
        field, i, j = site // (height * width), site // width % height, site % width
        for r in range(size):
            row = (i + order[r] - radius + height) % height
            for v in range(size):
                windows[r * size + v, lane] = x[field, row, (j + v - radius + width) % width]


@kernel()
def fill_row_tables(windows, slope, rows, up, down):
    """Table r of ``rows`` (P, 2^P BLOCK): ``prod_v 2^(slope (s_v y_v - |y_v|))`` for the signs s of a row.

    At most 1. Built pixel by pixel: the powers of two are as many as pixels, in float64, not as many as entries.
    """
    size = rows.shape[0]
    one = rows.dtype.type(1.0)
    for r in range(size):
        table = rows[r]
        for lane in range(BLOCK):
            table[lane] = one
        for v in range(size):
            for lane in range(BLOCK):
                y = np.float64(windows[r * size + v, lane])
                unlike = rows.dtype.type(exp2(-2.0 * slope * abs(y)))
                up[lane] = one if y >= 0.0 else unlike
                down[lane] = unlike if y >= 0.0 else one
            half = BLOCK << v
            for entry in range(0, half, BLOCK):
                for lane in range(BLOCK):
                    below = table[entry + lane]
                    table[half + entry + lane] = below * up[lane]
                    table[entry + lane] = below * down[lane]


@kernel()
def fill_pair_tables(rows, pairs):
    """Tables for two rows, from the fourth on: entry ``first 2^P + second`` is the product of both factors."""
    size = rows.shape[0]
    values = 1 << size
    if size == 3:
        for lane in range(BLOCK):
            pairs[0][lane] = rows.dtype.type(1.0)
        return
    for p in range(len(pairs)):
        first, second, table = rows[3 + 2 * p], rows[4 + 2 * p], pairs[p]
        for e in range(values):
            for f in range(values):
                at = (e * values + f) * BLOCK
                for lane in range(BLOCK):
                    table[at + lane] = first[e * BLOCK + lane] * second[f * BLOCK + lane]
