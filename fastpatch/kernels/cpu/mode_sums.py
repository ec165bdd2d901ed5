"""Sums of the response along Fourier modes, for the exact mode derivatives."""

import numpy as np

from ..jit import kernel
from .intrinsics import fma, load, read, store, sum_sixteens
from .scratch import DOTS, SUMS, TILE, columns_at, fill

__all__ = ["contract_tile", "sum_lines"]


@kernel()
def _sum(s, at, n):
    """Sum of n neighbours in an order that depends on n alone."""
    whole = n - n % 16
    total = sum_sixteens(s, at, whole)
    for c in range(whole, n):
        total += read(s, at + c)
    return total


@kernel()
def _add_lines(s, line, stride, out, n):
    """Add four lines to the sums over a direction."""
    for c in range(n):
        four = (load(s, line + c) + load(s, line + stride + c)) + (
            load(s, line + 2 * stride + c) + load(s, line + 3 * stride + c)
        )
        store(s, out + c, read(s, out + c) + four)


@kernel()
def _add_line(s, line, out, n):
    for c in range(n):
        store(s, out + c, read(s, out + c) + load(s, line + c))


@kernel()
def sum_lines(s, g0, first, last, left, width, stride, units, diagonal):
    """Add a run's response fields to the tile's sums over rows, columns and, if wanted, diagonals.

    Rows first … last - 1 of the run, which is the tile's from row ``g0`` on, and ``width`` columns from ``left`` on.
    """
    columns = columns_at(units)
    diagonals, rows = columns + units * TILE, columns + 2 * units * TILE
    for k in range(units):
        line, out = DOTS + 2 * k * TILE + left, columns + k * TILE + left
        whole = last - (last - first) % 4
        for g in range(first, whole, 4):
            _add_lines(s, line + g * stride, stride, out, width)
        for g in range(whole, last):
            _add_line(s, line + g * stride, out, width)
        if diagonal:
            for g in range(first, last):
                _add_line(s, line + g * stride, diagonals + k * TILE + left + g0 + g, width)
        for g in range(first, last):
            s[rows + k * TILE + g0 + g] = _sum(s, line + g * stride, width)


@kernel()
def _contract(s, lines, extent, origin, direction, units, wave, out):
    """Add a tile's share of ``sum_i v_i H_k(i) sum_u p_k(u) v_{i+u}``, v = cos(q i), to out[direction].

    With F the Fourier coefficients of the response summed over the lines across a direction, the sum is
    ``1/2 sum_k [A_k(q) (F_k(0) + Re F_k(2q)) - B_k(q) Im F_k(2q)]``, where A and B (``even`` and ``odd``,
    (directions, U, shells)) are the same coefficients of the pattern. ``risen`` and ``sine`` hold 1 + cos(2 q i) and
    sin(2 q i), flattened from (directions, shells, coordinates).
    """
    even, odd = wave.even, wave.odd
    directions, shells = out.shape
    length = wave.risen.size // (directions * shells)
    first, second = SUMS, SUMS + TILE
    n = (extent + 15) // 16 * 16
    for shell in range(shells):
        fill(s, first, 0.0, n)
        fill(s, second, 0.0, n)
        thirds = units - units % 3
        for k in range(0, thirds, 3):
            a0, a1, a2 = even[direction, k, shell], even[direction, k + 1, shell], even[direction, k + 2, shell]
            b0, b1, b2 = odd[direction, k, shell], odd[direction, k + 1, shell], odd[direction, k + 2, shell]
            line = lines + k * TILE
            for i in range(n):
                h0, h1, h2 = load(s, line + i), load(s, line + TILE + i), load(s, line + 2 * TILE + i)
                store(s, first + i, fma(a2, h2, fma(a1, h1, fma(a0, h0, s[first + i]))))
                store(s, second + i, fma(b2, h2, fma(b1, h1, fma(b0, h0, s[second + i]))))
        for k in range(thirds, units):
            a, b, line = even[direction, k, shell], odd[direction, k, shell], lines + k * TILE
            for i in range(n):
                h = load(s, line + i)
                store(s, first + i, fma(a, h, s[first + i]))
                store(s, second + i, fma(b, h, s[second + i]))
        at = (direction * shells + shell) * length + origin
        for i in range(extent):
            value = s[first + i] * load(wave.risen, at + i) - load(s, second + i) * load(wave.sine, at + i)
            store(s, first + i, value)
        out[direction, shell] += 0.5 * _sum(s, first, extent)


@kernel()
def contract_tile(s, i0, height, j0, width, units, wave, out):
    columns = columns_at(units)
    diagonals, rows = columns + units * TILE, columns + 2 * units * TILE
    _contract(s, rows, height, i0, np.int64(0), units, wave, out)
    _contract(s, columns, width, j0, np.int64(1), units, wave, out)
    if out.shape[0] > 2:
        _contract(s, diagonals, width + height - 1, i0 + j0, np.int64(2), units, wave, out)
