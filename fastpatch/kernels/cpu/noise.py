"""The counter-based noise: Threefry-4x32 and Box and Muller's transform, see `fastpatch.noise`."""

import numpy as np

from ..jit import entry, kernel
from .crew import claim
from .intrinsics import bits_of, fma, from_bits, rotate_left, store
from .scratch import TILE, copy

__all__ = ["NOISE_SIZE", "draw", "standard_normals", "threefry4x32"]

_F = np.float32
_U = np.uint32


@kernel(inline=True)
def _mix(a, b, c, d, r, s):
    """One Threefry round on the word pairs (a, b) and (c, d)."""
    a = _U(a + b)
    b = rotate_left(b, r) ^ a
    c = _U(c + d)
    d = rotate_left(d, s) ^ c
    return a, b, c, d


@kernel(inline=True)
def threefry4x32(c0, c1, c2, c3, k0, k1, k2, k3):
    """Threefry-4x32 with 20 rounds (Salmon et al., SC11): four random words of a 128-bit counter and key."""
    k4 = _U(k0 ^ k1 ^ k2 ^ k3 ^ _U(0x1BD11BDA))
    a, b, c, d = _U(c0 + k0), _U(c1 + k1), _U(c2 + k2), _U(c3 + k3)
    a, b, c, d = _mix(a, b, c, d, _U(10), _U(26))
    a, d, c, b = _mix(a, d, c, b, _U(11), _U(21))
    a, b, c, d = _mix(a, b, c, d, _U(13), _U(27))
    a, d, c, b = _mix(a, d, c, b, _U(23), _U(5))
    a, b, c, d = _U(a + k1), _U(b + k2), _U(c + k3), _U(d + k4 + _U(1))
    a, b, c, d = _mix(a, b, c, d, _U(6), _U(20))
    a, d, c, b = _mix(a, d, c, b, _U(17), _U(11))
    a, b, c, d = _mix(a, b, c, d, _U(25), _U(10))
    a, d, c, b = _mix(a, d, c, b, _U(18), _U(20))
    a, b, c, d = _U(a + k2), _U(b + k3), _U(c + k4), _U(d + k0 + _U(2))
    a, b, c, d = _mix(a, b, c, d, _U(10), _U(26))
    a, d, c, b = _mix(a, d, c, b, _U(11), _U(21))
    a, b, c, d = _mix(a, b, c, d, _U(13), _U(27))
    a, d, c, b = _mix(a, d, c, b, _U(23), _U(5))
    a, b, c, d = _U(a + k3), _U(b + k4), _U(c + k0), _U(d + k1 + _U(3))
    a, b, c, d = _mix(a, b, c, d, _U(6), _U(20))
    a, d, c, b = _mix(a, d, c, b, _U(17), _U(11))
    a, b, c, d = _mix(a, b, c, d, _U(25), _U(10))
    a, d, c, b = _mix(a, d, c, b, _U(18), _U(20))
    a, b, c, d = _U(a + k4), _U(b + k0), _U(c + k1), _U(d + k2 + _U(4))
    a, b, c, d = _mix(a, b, c, d, _U(10), _U(26))
    a, d, c, b = _mix(a, d, c, b, _U(11), _U(21))
    a, b, c, d = _mix(a, b, c, d, _U(13), _U(27))
    a, d, c, b = _mix(a, d, c, b, _U(23), _U(5))
    return _U(a + k0), _U(b + k1), _U(c + k2), _U(d + k3 + _U(5))


@kernel(inline=True)
def _box_muller(w, v):
    """Two standard normals of two random words, in float32 arithmetic that every backend repeats bit for bit."""
    # u in (0, 1], from the upper 31 bits; -2 ln u by exponent and a polynomial in the mantissa over [1/sqrt2, sqrt2).
    u = fma(_F(np.int32(w >> _U(1))), _F(2.0**-31), _F(2.0**-32))
    bits = bits_of(u)
    exponent = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> 23)
    f = from_bits(np.int32(bits - np.int32(exponent << 23))) - _F(1.0)
    p = fma(_F(-0.0790274377), f, _F(0.126223198))
    p = fma(p, f, _F(-0.129981838))
    p = fma(p, f, _F(0.142144959))
    p = fma(p, f, _F(-0.166412815))
    p = fma(p, f, _F(0.200010451))
    p = fma(p, f, _F(-0.250003064))
    p = fma(p, f, _F(0.333333307))
    p = fma(_F(p * f), _F(f * f), fma(_F(_F(-0.5) * f), f, f))
    radius = _F(np.sqrt(_F(_F(-2.0) * fma(_F(exponent), _F(0.69314718), p))))
    # The angle is pi times x in [-1, 1): nearest quarter turn, then sin and cos of what is left, at most pi / 4.
    x = _F(np.int32(v)) * _F(2.0**-31)
    shifted = _F(x + x) + _F(12582912.0)
    y = fma(_F(-0.5), _F(shifted - _F(12582912.0)), x)
    quarter = bits_of(shifted)
    y2 = _F(y * y)
    s = fma(_F(0.0812295746), y2, _F(-0.599228796))
    s = fma(s, y2, _F(2.55016359))
    s = fma(s, y2, _F(-5.16771278))
    sine = fma(_F(s * y2), y, _F(_F(3.14159265) * y))
    c = fma(_F(0.232125414), y2, _F(-1.33513781))
    c = fma(c, y2, _F(4.05871057))
    c = fma(c, y2, _F(-4.93480220))
    cosine = fma(c, y2, _F(1.0))
    odd = (quarter & 1) != 0
    first = sine if odd else cosine
    second = cosine if odd else sine
    first = -first if ((quarter + 1) & 2) != 0 else first
    second = -second if (quarter & 2) != 0 else second
    return radius * first, radius * second


# Floats of noise a thread draws at once: four rows of a tile.
NOISE_SIZE = 4 * TILE


@kernel()
def _noise_block(out, at, j0, columns, block, step, trajectory, key):
    """Normals of rows 4 block … 4 block + 3, columns j0 … j0 + columns - 1; lane l of the four starts at + l TILE."""
    k0, k1, k2 = key[0], key[1], key[2]
    row, time, path = _U(block), _U(step), _U(trajectory)
    for c in range(columns):
        w0, w1, w2, w3 = threefry4x32(_U(j0 + c), row, time, path, k0, k1, k2, _U(0))
        z0, z1 = _box_muller(w0, w1)
        z2, z3 = _box_muller(w2, w3)
        store(out, at + c, z0)
        store(out, at + c + TILE, z1)
        store(out, at + c + 2 * TILE, z2)
        store(out, at + c + 3 * TILE, z3)


@kernel()
def draw(noise, i, j, width, columns, step, trajectory, key):
    """`_noise_block` of row i and ``width`` columns from j on, wrapped around a lattice of so many ``columns``."""
    c = 0
    while c < width:
        here = (j + c) % columns
        piece = min(width - c, columns - here)
        _noise_block(noise, c, here, piece, i // 4, step, trajectory, key)
        c += piece


@entry()
def standard_normals(crew, out, origin, step, first_trajectory, key):
    """Fill out (T, L1, L2) with the normals of one step, from the site ``origin`` on; see `fastpatch.noise`."""
    count, height, width = out.shape
    row, column = origin
    first = row // 4
    blocks = (row + height + 3) // 4 - first
    z = np.empty(NOISE_SIZE, dtype=np.float32)
    task = claim(crew)
    while task < count * blocks:
        trajectory, block = task // blocks, first + task % blocks
        for j0 in range(0, width, TILE):
            columns = min(TILE, width - j0)
            _noise_block(z, np.int64(0), column + j0, columns, block, step, first_trajectory + trajectory, key)
            for lane in range(max(0, row - 4 * block), min(4, row + height - 4 * block)):
                start = ((trajectory * height) + 4 * block + lane - row) * width + j0
                copy(z, lane * TILE, out, start, columns)
        task = claim(crew)
