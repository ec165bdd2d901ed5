"""The counter-based noise: the operations of `fastpatch.kernels.cpu.noise`, one by one."""

import math

import numpy as np

from .operations import add, bits, device, fma, from_bits, rotate_left

__all__ = ["box_muller", "draw_quad", "threefry4x32"]

_F = np.float32
_I = np.int32
_U = np.uint32


@device
def _mix(a, b, c, d, r, s):
    """One Threefry round on the word pairs (a, b) and (c, d)."""
    a = add(a, b)
    c = add(c, d)
    return a, rotate_left(b, r) ^ a, c, rotate_left(d, s) ^ c


@device
def _even_rounds(a, b, c, d):
    a, b, c, d = _mix(a, b, c, d, 10, 26)
    a, d, c, b = _mix(a, d, c, b, 11, 21)
    a, b, c, d = _mix(a, b, c, d, 13, 27)
    a, d, c, b = _mix(a, d, c, b, 23, 5)
    return a, b, c, d


@device
def _odd_rounds(a, b, c, d):
    a, b, c, d = _mix(a, b, c, d, 6, 20)
    a, d, c, b = _mix(a, d, c, b, 17, 11)
    a, b, c, d = _mix(a, b, c, d, 25, 10)
    a, d, c, b = _mix(a, d, c, b, 18, 20)
    return a, b, c, d


@device
def threefry4x32(c0, c1, c2, c3, k0, k1, k2, k3):
    """Threefry-4x32 with 20 rounds (Salmon et al., SC11): four random words of a 128-bit counter and key."""
    k4 = k0 ^ k1 ^ k2 ^ k3 ^ _U(0x1BD11BDA)
    a, b, c, d = _even_rounds(add(c0, k0), add(c1, k1), add(c2, k2), add(c3, k3))
    a, b, c, d = _odd_rounds(add(a, k1), add(b, k2), add(c, k3), add(add(d, k4), _U(1)))
    a, b, c, d = _even_rounds(add(a, k2), add(b, k3), add(c, k4), add(add(d, k0), _U(2)))
    a, b, c, d = _odd_rounds(add(a, k3), add(b, k4), add(c, k0), add(add(d, k1), _U(3)))
    a, b, c, d = _even_rounds(add(a, k4), add(b, k0), add(c, k1), add(add(d, k2), _U(4)))
    return add(a, k0), add(b, k1), add(c, k2), add(add(d, k3), _U(5))


@device
def box_muller(w, v):
    """Two standard normals of two random words: the operations of `fastpatch.kernels.cpu`, one by one."""
    u = fma(_F(_I(w >> _U(1))), _F(2.0**-31), _F(2.0**-32))
    pattern = bits(u)
    exponent = _I(_I(pattern - _I(0x3F3504F3)) >> _I(23))
    f = from_bits(_I(pattern - _I(exponent << _I(23)))) - _F(1.0)
    p = fma(_F(-0.0790274377), f, _F(0.126223198))
    p = fma(p, f, _F(-0.129981838))
    p = fma(p, f, _F(0.142144959))
    p = fma(p, f, _F(-0.166412815))
    p = fma(p, f, _F(0.200010451))
    p = fma(p, f, _F(-0.250003064))
    p = fma(p, f, _F(0.333333307))
    p = fma(p * f, f * f, fma(_F(-0.5) * f, f, f))
    radius = _F(math.sqrt(_F(-2.0) * fma(_F(exponent), _F(0.69314718), p)))
    x = _F(_I(v)) * _F(2.0**-31)
    shifted = (x + x) + _F(12582912.0)
    y = fma(_F(-0.5), shifted - _F(12582912.0), x)
    quarter = bits(shifted)
    y2 = y * y
    s = fma(_F(0.0812295746), y2, _F(-0.599228796))
    s = fma(s, y2, _F(2.55016359))
    s = fma(s, y2, _F(-5.16771278))
    sine = fma(s * y2, y, _F(3.14159265) * y)
    c = fma(_F(0.232125414), y2, _F(-1.33513781))
    c = fma(c, y2, _F(4.05871057))
    c = fma(c, y2, _F(-4.93480220))
    cosine = fma(c, y2, _F(1.0))
    odd = (quarter & _I(1)) != 0
    first = sine if odd else cosine
    second = cosine if odd else sine
    first = -first if ((quarter + _I(1)) & _I(2)) != 0 else first
    second = -second if (quarter & _I(2)) != 0 else second
    return radius * first, radius * second


@device
def draw_quad(j, block, step, trajectory, k0, k1, k2):
    """Normals of rows 4 block … 4 block + 3 in column j."""
    w0, w1, w2, w3 = threefry4x32(_U(j), _U(block), _U(step), _U(trajectory), k0, k1, k2, _U(0))
    z0, z1 = box_muller(w0, w1)
    z2, z3 = box_muller(w2, w3)
    return z0, z1, z2, z3
