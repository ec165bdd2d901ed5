"""Powers of two, by a polynomial and integer arithmetic on exponents: the same bits on any CPU."""

import numpy as np
from numba import types
from numba.extending import overload

from ..jit import kernel
from ..plan import NEGLIGIBLE
from .intrinsics import bits_of, fma, from_bits, nearest

__all__ = ["exp2", "power_of_two", "powers_of_two", "shift", "small_powers_of_two"]

_F = np.float32

# An integer n added to 1.5 * 2^23 (or 2^52) stands in the low bits of the sum, ready to be shifted into an exponent.
_SHIFT32, _SHIFT64 = _F(12582912.0), 6755399441055744.0

# `shift` and the exponent below which a power counts as zero.
_LEAST32, _LEAST64 = _F(_SHIFT32 - _F(NEGLIGIBLE["float32"])), _SHIFT64 - NEGLIGIBLE["float64"]


# 2^f = E(f^2) + O(f), the even and the odd part for |f| <= 1/2, also give 2^-f = E - O. Degree 5, relative error 8e-8
# (float64: 12, 1e-16).
def _even_odd_float32(f):
    g = f * f
    even = fma(fma(_F(9.66636852e-3), g, _F(2.40223490e-1)), g, _F(1.0))
    odd = fma(fma(_F(1.33813025e-3), g, _F(5.55038101e-2)), g, _F(6.93147181e-1))
    return even, odd * f


def _even_odd_float64(f):
    g = f * f
    even = fma(2.57293241773623e-11, g, 7.0548973041551550e-09)
    even = fma(even, g, 1.3215486808705563e-06)
    even = fma(even, g, 1.5403530393370733e-04)
    even = fma(even, g, 9.6181291076284795e-03)
    even = fma(even, g, 2.4022650695910071e-01)
    odd = fma(4.45581790833607e-10, g, 1.0178057087733941e-07)
    odd = fma(odd, g, 1.5252733841556773e-05)
    odd = fma(odd, g, 1.3333558146406471e-03)
    odd = fma(odd, g, 5.5504108664821627e-02)
    odd = fma(odd, g, 6.9314718055994531e-01)
    return fma(even, g, 1.0), odd * f


def _even_odd(f):
    """E and O, so that 2^f = E + O and 2^-f = E - O, for |f| <= 1/2."""
    raise NotImplementedError("only inside kernels")


@overload(_even_odd)
def _even_odd_overload(f):
    return _even_odd_float32 if f == types.float32 else _even_odd_float64


def shift(z):
    """What `_times_power` expects added to its exponent."""
    raise NotImplementedError("only inside kernels")


@overload(shift)
def _shift_overload(z):
    if z == types.float32:
        return lambda z: _SHIFT32
    return lambda z: _SHIFT64


def _times_power(p, shifted):
    """p 2^n, given n + `shift`, for p near 1; zero where n says that it is negligible.

    Zero rather than something tiny: sums of it would be denormal, and a hundred times as slow on some CPUs.
    """
    raise NotImplementedError("only inside kernels")


@overload(_times_power)
def _times_power_overload(p, shifted):
    if p == types.float32:

        def power_float32(p, shifted):
            power = np.int32(bits_of(p) + np.int32(bits_of(shifted) << 23))
            return from_bits(power if shifted > _LEAST32 else np.int32(0))

        return power_float32

    def power_float64(p, shifted):
        power = bits_of(p) + (bits_of(shifted) << 52)
        return from_bits(power if shifted > _LEAST64 else 0)

    return power_float64


def _times_powers(p, q, shifted):
    """p 2^n and q 2^-n, given n + `shift`, where both are normal numbers."""
    raise NotImplementedError("only inside kernels")


@overload(_times_powers)
def _times_powers_overload(p, q, shifted):
    if p == types.float32:

        def both_float32(p, q, shifted):
            exponent = np.int32(bits_of(shifted) << 23)
            return from_bits(np.int32(bits_of(p) + exponent)), from_bits(np.int32(bits_of(q) - exponent))

        return both_float32

    def both_float64(p, q, shifted):
        exponent = bits_of(shifted) << 52
        return from_bits(bits_of(p) + exponent), from_bits(bits_of(q) - exponent)

    return both_float64


@kernel(inline=True)
def power_of_two(z, top, base):
    """2^(z - top + B), or zero where that is negligible; top an integer, base = B + `shift`."""
    n = nearest(z)
    even, odd = _even_odd(z - n)
    return _times_power(even + odd, (n - top) + base)


@kernel(inline=True)
def powers_of_two(z, top, base):
    """Sum and difference of 2^(z - top + B) and 2^(-z - top + B), see `power_of_two`."""
    n = nearest(z)
    even, odd = _even_odd(z - n)
    plus = _times_power(even + odd, (n - top) + base)
    minus = _times_power(even - odd, (-n - top) + base)
    return plus + minus, plus - minus


@kernel(inline=True)
def small_powers_of_two(z):
    """Sum and difference of 2^z and 2^-z where these are normal numbers."""
    n = nearest(z)
    even, odd = _even_odd(z - n)
    plus, minus = _times_powers(even + odd, even - odd, shift(z) + n)
    return plus + minus, plus - minus


@kernel(inline=True)
def exp2(z):
    """2**z for z <= 0, zero where that is negligible."""
    return power_of_two(z, shift(z) - shift(z), shift(z))
