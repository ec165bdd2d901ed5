"""CPU kernels of the patch machine: noise, posterior, Euler-Maruyama step, mode sums.

All kernels and the functions they call share this file, because Numba's disk cache does not notice an edited callee
in another one. They trust their arguments; `fastpatch.kernels.patch` prepares these.

The lattice is cut into bands of sixteen rows, the unit of parallel work, and a band into tiles of some eighty columns.
A tile with its halo is one flat array: row u of a pattern is then an offset of u rows, every inner loop is one long run
over contiguous memory, and halo columns are computed along and ignored. Within a tile the posterior is worked out in
runs of eight rows, a compromise between cache and calls. All scratch space of a thread is one flat array, addressed by
offsets: slicing it would cost more than the loops.
"""

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from .jit import entry, kernel
from .plan import NEGLIGIBLE

__all__ = [
    "BAND",
    "NOISE_SIZE",
    "advance",
    "evaluate",
    "fold_block",
    "respond_block",
    "scratch_size",
    "standard_normals",
    "threefry4x32",
    "tile_columns",
]

# Rows of a band; a multiple of 4 because one noise block serves four rows. Sums over the lattice are taken band by band
# in a fixed order, so they do not depend on the number of threads.
BAND = 16
_RUN = 8

# Floats a tile may hold: 81 columns of 5x5 patterns. An odd number of cache lines, so that the streams of the sixteen
# row combinations fall into different cache sets.
_TILE = 1776

# Loops run over a multiple of this many elements: what a vectorised loop leaves over is done one by one.
_ROUND = 64

# Floats of noise a thread draws at once: four rows of a tile.
NOISE_SIZE = 4 * _TILE

_F = np.float32
_U = np.uint32


@intrinsic
def _load(typing_context, array, index):
    """Element ``index`` of a contiguous array, declared not to overlap what `_store` writes in the same loop."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        value = builder.load(builder.gep(data, [arguments[1]]))
        value.set_metadata("alias.scope", _scope(builder.module))
        _use_whole_registers(builder.function)
        return value

    return array.dtype(array, types.int64), codegen


@intrinsic
def _read(typing_context, array, index):
    """Element ``index`` of a contiguous array; plain indexing would test for a negative index."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.int64), codegen


@intrinsic
def _store(typing_context, array, index, value):
    """Write element ``index`` of a contiguous array, declared not to overlap what `_load` reads in the same loop.

    Without the declaration the compiler must compare every pair of streams before a loop, and gives up on vectorising
    beyond eight comparisons.
    """

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        stored = builder.store(arguments[2], builder.gep(data, [arguments[1]]))
        stored.set_metadata("noalias", _scope(builder.module))
        _use_whole_registers(builder.function)
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), codegen


def _use_whole_registers(function):
    """Vectorise for 512 bits where the CPU has them: on Intel's, LLVM takes 256 unless a function says otherwise."""
    # llvmlite's own `add` refuses an attribute that it does not know.
    set.add(function.attributes, '"prefer-vector-width"="512"')


def _scope(module):
    domain = module.add_metadata(["fastpatch kernels"])
    return module.add_metadata([module.add_metadata(["read only in this loop", domain])])


@intrinsic
def fma(typing_context, a, b, c):
    """a * b + c rounded once: one instruction where the CPU has it, the same bits everywhere."""
    if not (a == b == c and a in (types.float32, types.float64)):
        return None

    def codegen(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return a(a, a, a), codegen


@intrinsic
def _bits(typing_context, value):
    """The bit pattern of a float, as a signed integer of the same width."""
    width = types.int32 if value == types.float32 else types.int64

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(width))

    return width(value), codegen


@intrinsic
def _from_bits(typing_context, pattern):
    """The float of a bit pattern."""
    float_type = types.float32 if pattern == types.int32 else types.float64

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(float_type))

    return float_type(pattern), codegen


@intrinsic
def _rotate_left(typing_context, word, count):
    """32-bit rotation, spelled as shifts Numba would widen to 64 bits."""

    def codegen(context, builder, signature, arguments):
        i32 = ir.IntType(32)
        rotate = builder.module.declare_intrinsic("llvm.fshl", [i32], ir.FunctionType(i32, [i32, i32, i32]))
        return builder.call(rotate, [arguments[0], arguments[0], arguments[1]])

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def _nearest(typing_context, z):
    """The nearest integer, ties to even, of a float of any size."""

    def codegen(context, builder, signature, arguments):
        kind = arguments[0].type
        return builder.call(
            builder.module.declare_intrinsic("llvm.rint", [kind], ir.FunctionType(kind, [kind])), arguments
        )

    return z(z), codegen


# An integer n added to 1.5 * 2^23 (or 2^52) stands in the low bits of the sum, ready to be shifted into an exponent.
_SHIFT32, _SHIFT64 = _F(12582912.0), 6755399441055744.0

# `_shift` and the exponent below which a power counts as zero.
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


def _shift(z):
    """What `_times_power` expects added to its exponent."""
    raise NotImplementedError("only inside kernels")


@overload(_shift)
def _shift_overload(z):
    if z == types.float32:
        return lambda z: _SHIFT32
    return lambda z: _SHIFT64


def _times_power(p, shifted):
    """p 2^n, given n + `_shift`, for p near 1; zero where n says that it is negligible.

    Zero rather than something tiny: sums of it would be denormal, and a hundred times as slow on some CPUs.
    """
    raise NotImplementedError("only inside kernels")


@overload(_times_power)
def _times_power_overload(p, shifted):
    if p == types.float32:

        def power_float32(p, shifted):
            power = np.int32(_bits(p) + np.int32(_bits(shifted) << 23))
            return _from_bits(power if shifted > _LEAST32 else np.int32(0))

        return power_float32

    def power_float64(p, shifted):
        power = _bits(p) + (_bits(shifted) << 52)
        return _from_bits(power if shifted > _LEAST64 else 0)

    return power_float64


def _times_powers(p, q, shifted):
    """p 2^n and q 2^-n, given n + `_shift`, where both are normal numbers."""
    raise NotImplementedError("only inside kernels")


@overload(_times_powers)
def _times_powers_overload(p, q, shifted):
    if p == types.float32:

        def both_float32(p, q, shifted):
            exponent = np.int32(_bits(shifted) << 23)
            return _from_bits(np.int32(_bits(p) + exponent)), _from_bits(np.int32(_bits(q) - exponent))

        return both_float32

    def both_float64(p, q, shifted):
        exponent = _bits(shifted) << 52
        return _from_bits(_bits(p) + exponent), _from_bits(_bits(q) - exponent)

    return both_float64


@kernel(inline=True)
def _power(z, top, base):
    """2^(z - top + B), or zero where that is negligible; top an integer, base = B + `_shift`."""
    n = _nearest(z)
    even, odd = _even_odd(z - n)
    return _times_power(even + odd, (n - top) + base)


@kernel(inline=True)
def _powers(z, top, base):
    """Sum and difference of 2^(z - top + B) and 2^(-z - top + B), see `_power`."""
    n = _nearest(z)
    even, odd = _even_odd(z - n)
    plus = _times_power(even + odd, (n - top) + base)
    minus = _times_power(even - odd, (-n - top) + base)
    return plus + minus, plus - minus


@kernel(inline=True)
def _small_powers(z):
    """Sum and difference of 2^z and 2^-z where these are normal numbers."""
    n = _nearest(z)
    even, odd = _even_odd(z - n)
    plus, minus = _times_powers(even + odd, even - odd, _shift(z) + n)
    return plus + minus, plus - minus


@kernel(inline=True)
def exp2(z):
    """2**z for z <= 0, zero where that is negligible."""
    return _power(z, _shift(z) - _shift(z), _shift(z))


@kernel(inline=True)
def _mix(a, b, c, d, r, s):
    """One Threefry round on the word pairs (a, b) and (c, d)."""
    a = _U(a + b)
    b = _rotate_left(b, r) ^ a
    c = _U(c + d)
    d = _rotate_left(d, s) ^ c
    return a, b, c, d


@entry(inline=True)
def threefry4x32(c0, c1, c2, c3, k0, k1, k2, k3):
    """Threefry-4x32 with 20 rounds (Salmon et al., SC11): four random words of a 128-bit counter and key."""
    k4 = _U(k0 ^ k1 ^ k2 ^ k3 ^ _U(0x1BD11BDA))
    a, b, c, d = _U(c0 + k0), _U(c1 + k1), _U(c2 + k2), _U(c3 + k3)
    a, b, c, d = _mix(a, b, c, d, 10, 26)
    a, d, c, b = _mix(a, d, c, b, 11, 21)
    a, b, c, d = _mix(a, b, c, d, 13, 27)
    a, d, c, b = _mix(a, d, c, b, 23, 5)
    a, b, c, d = _U(a + k1), _U(b + k2), _U(c + k3), _U(d + k4 + _U(1))
    a, b, c, d = _mix(a, b, c, d, 6, 20)
    a, d, c, b = _mix(a, d, c, b, 17, 11)
    a, b, c, d = _mix(a, b, c, d, 25, 10)
    a, d, c, b = _mix(a, d, c, b, 18, 20)
    a, b, c, d = _U(a + k2), _U(b + k3), _U(c + k4), _U(d + k0 + _U(2))
    a, b, c, d = _mix(a, b, c, d, 10, 26)
    a, d, c, b = _mix(a, d, c, b, 11, 21)
    a, b, c, d = _mix(a, b, c, d, 13, 27)
    a, d, c, b = _mix(a, d, c, b, 23, 5)
    a, b, c, d = _U(a + k3), _U(b + k4), _U(c + k0), _U(d + k1 + _U(3))
    a, b, c, d = _mix(a, b, c, d, 6, 20)
    a, d, c, b = _mix(a, d, c, b, 17, 11)
    a, b, c, d = _mix(a, b, c, d, 25, 10)
    a, d, c, b = _mix(a, d, c, b, 18, 20)
    a, b, c, d = _U(a + k4), _U(b + k0), _U(c + k1), _U(d + k2 + _U(4))
    a, b, c, d = _mix(a, b, c, d, 10, 26)
    a, d, c, b = _mix(a, d, c, b, 11, 21)
    a, b, c, d = _mix(a, b, c, d, 13, 27)
    a, d, c, b = _mix(a, d, c, b, 23, 5)
    return _U(a + k0), _U(b + k1), _U(c + k2), _U(d + k3 + _U(5))


@kernel(inline=True)
def _box_muller(w, v):
    """Two standard normals of two random words, in float32 arithmetic that every backend repeats bit for bit."""
    # u in (0, 1], from the upper 31 bits; -2 ln u by exponent and a polynomial in the mantissa over [1/sqrt2, sqrt2).
    u = fma(_F(np.int32(w >> _U(1))), _F(2.0**-31), _F(2.0**-32))
    bits = _bits(u)
    exponent = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> 23)
    f = _from_bits(np.int32(bits - np.int32(exponent << 23))) - _F(1.0)
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
    quarter = _bits(shifted)
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


@kernel()
def _copy(source, start, target, at, n):
    for c in range(n):
        _store(target, at + c, _load(source, start + c))


@kernel()
def _noise_block(out, at, j0, columns, block, step, trajectory, key):
    """Normals of rows 4 block … 4 block + 3, columns j0 … j0 + columns - 1; lane l of the four starts at + l _TILE."""
    k0, k1, k2 = key[0], key[1], key[2]
    row, time, path = _U(block), _U(step), _U(trajectory)
    for c in range(columns):
        w0, w1, w2, w3 = threefry4x32(_U(j0 + c), row, time, path, k0, k1, k2, _U(0))
        z0, z1 = _box_muller(w0, w1)
        z2, z3 = _box_muller(w2, w3)
        _store(out, at + c, z0)
        _store(out, at + c + _TILE, z1)
        _store(out, at + c + 2 * _TILE, z2)
        _store(out, at + c + 3 * _TILE, z3)


@entry(parallel=True)
def standard_normals(out, origin, step, first_trajectory, key):
    """Fill out (T, L1, L2) with the normals of one step, from the site ``origin`` on; see `fastpatch.noise`."""
    count, height, width = out.shape
    row, column = origin
    first = row // 4
    blocks = (row + height + 3) // 4 - first
    for task in prange(count * blocks):
        trajectory, block = task // blocks, first + task % blocks
        z = np.empty(4 * _TILE, dtype=np.float32)
        for j0 in range(0, width, _TILE):
            columns = min(_TILE, width - j0)
            _noise_block(z, 0, column + j0, columns, block, step, first_trajectory + trajectory, key)
            for lane in range(max(0, row - 4 * block), min(4, row + height - 4 * block)):
                start = ((trajectory * height) + 4 * block + lane - row) * width + j0
                _copy(z, lane * _TILE, out, start, columns)


# Layout of a thread's scratch space, in floats, for U units and Q distinct pattern rows: the padded field, the
# posterior mean of the tile and of a run, top logits and total weights of a run, two sums over units, then U times the
# dot products of a run (later the response) and a unit's sum of weights, U column sums, diagonal sums and row sums, and
# Q row correlations. Two streams that one loop writes must lie a known distance apart for it to be vectorised.
_MEAN = _TILE
_RUN_MEAN = 2 * _TILE
_TOP = 3 * _TILE
_TOTAL = 4 * _TILE
_SUMS = 5 * _TILE
_DOTS = 7 * _TILE


@kernel()
def _columns(units):
    return _DOTS + 2 * units * _TILE


@kernel()
def _row_correlations(units):
    return _DOTS + 5 * units * _TILE


@entry()
def scratch_size(units, n_rows):
    """Floats of scratch space a thread needs."""
    return _row_correlations(units) + n_rows * _TILE


@entry()
def tile_columns(size):
    """Most columns of a tile for patterns of this size; less than one if they are too large for these kernels."""
    return (_TILE - _ROUND - size) // (BAND + size - 1) - (size - 1)


@kernel()
def _rounded(n):
    return (n + _ROUND - 1) // _ROUND * _ROUND


@kernel()
def _load_padded(x, i0, height, j0, width, radius, s):
    """Rows i0 - R … and columns j0 - R … of a tile, periodically wrapped, at the start of the scratch space."""
    lattice_rows, lattice_columns = x.shape
    at = 0
    for g in range(height + 2 * radius):
        i = (i0 - radius + g) % lattice_rows
        for c in range(radius):
            s[at + c] = x[i, (j0 - radius + c) % lattice_columns]
            s[at + radius + width + c] = x[i, (j0 + width + c) % lattice_columns]
        at += radius
        _copy(x, i * lattice_columns + j0, s, at, width)
        at += width + radius
    # The last run reads past the tile's end; what it finds there is ignored but should not be a denormal.
    for c in range(_ROUND + 2 * radius):
        s[at + c] = 0.0


@kernel()
def _sign_combinations(s, out, n):
    """The sixteen sums a ± b ± c ± d ± e of five neighbours, in the order of their signs (- before +)."""
    for f in range(n):
        a, b, c, d, e = _load(s, f), _load(s, f + 1), _load(s, f + 2), _load(s, f + 3), _load(s, f + 4)
        p, m, q, r = a + b, a - b, c + d, c - d
        pp, pm, mp, mm = p + q, p + r, p - r, p - q
        np_, nm, nn, no = m + q, m + r, m - r, m - q
        _store(s, out + f, no - e)
        _store(s, out + f + _TILE, no + e)
        _store(s, out + f + 2 * _TILE, nn - e)
        _store(s, out + f + 3 * _TILE, nn + e)
        _store(s, out + f + 4 * _TILE, nm - e)
        _store(s, out + f + 5 * _TILE, nm + e)
        _store(s, out + f + 6 * _TILE, np_ - e)
        _store(s, out + f + 7 * _TILE, np_ + e)
        _store(s, out + f + 8 * _TILE, mm - e)
        _store(s, out + f + 9 * _TILE, mm + e)
        _store(s, out + f + 10 * _TILE, mp - e)
        _store(s, out + f + 11 * _TILE, mp + e)
        _store(s, out + f + 12 * _TILE, pm - e)
        _store(s, out + f + 13 * _TILE, pm + e)
        _store(s, out + f + 14 * _TILE, pp - e)
        _store(s, out + f + 15 * _TILE, pp + e)


@kernel()
def _correlate_rows(s, rows, out, n):
    """sum_v rows[q, v] x[f + v] for every distinct pattern row q, at out + q _TILE."""
    for q in range(rows.shape[0]):
        at = out + q * _TILE
        weight = rows[q, 0]
        for f in range(n):
            _store(s, at + f, weight * _load(s, f))
        for v in range(1, rows.shape[1]):
            weight = rows[q, v]
            for f in range(n):
                _store(s, at + f, fma(weight, _load(s, f + v), _read(s, at + f)))


@kernel()
def _stack_five_rows(s, correlated, row, sign, k, stride, slope, exponent, out, n):
    """`_stack_rows` and `_raise_top` in one pass, for a pair of patterns of size 5."""
    r0 = correlated + row[k, 0] * _TILE
    r1 = correlated + row[k, 1] * _TILE + stride
    r2 = correlated + row[k, 2] * _TILE + 2 * stride
    r3 = correlated + row[k, 3] * _TILE + 3 * stride
    r4 = correlated + row[k, 4] * _TILE + 4 * stride
    s0, s1, s2, s3, s4 = (
        slope * sign[k, 0],
        slope * sign[k, 1],
        slope * sign[k, 2],
        slope * sign[k, 3],
        slope * sign[k, 4],
    )
    for f in range(n):
        z = fma(s1, _load(s, r1 + f), s0 * _load(s, r0 + f))
        z = fma(s4, _load(s, r4 + f), fma(s3, _load(s, r3 + f), fma(s2, _load(s, r2 + f), z)))
        _store(s, out + f, z)
        _store(s, _TOP + f, max(s[_TOP + f], abs(z) + exponent))


@kernel()
def _stack_rows(s, correlated, row, sign, k, stride, slope, out, n):
    """slope sum_u sign[k, u] row-correlation row[k, u] at f + u stride: the base-2 logit of pattern k without prior."""
    at, weight = correlated + row[k, 0] * _TILE, slope * sign[k, 0]
    for f in range(n):
        _store(s, out + f, weight * _load(s, at + f))
    for u in range(1, row.shape[1]):
        at, weight = correlated + row[k, u] * _TILE + u * stride, slope * sign[k, u]
        for f in range(n):
            _store(s, out + f, fma(weight, _load(s, at + f), _read(s, out + f)))


@kernel()
def _raise_top(s, z, exponent, paired, n):
    """Raise the top logit to the larger logit of one unit."""
    if paired:
        for f in range(n):
            _store(s, _TOP + f, max(s[_TOP + f], abs(_load(s, z + f)) + exponent))
    else:
        for f in range(n):
            _store(s, _TOP + f, max(s[_TOP + f], _load(s, z + f) + exponent))


@kernel()
def _round_tops(s, n):
    """Round the top logits to integers; the least of them if it is positive, else something negative or zero."""
    for f in range(n):
        s[_TOP + f] = _nearest(s[_TOP + f])
    # The bits of non-negative floats are ordered like them, those of negative ones lie below; and an integer minimum is
    # vectorised where a float one, for the sake of NaN, is not.
    lowest = _bits(s[_TOP])
    for f in range(n):
        pattern = _bits(s[_TOP + f])
        lowest = pattern if pattern < lowest else lowest
    return _from_bits(lowest)


@kernel()
def _clear(s, at, value, n):
    for f in range(n):
        _store(s, at + f, value)


@kernel()
def _fold_pairs(s, correlated, row, sign, k, stride, slope, weights, centers, n):
    """Stack three pairs' logits and add their weights 2^logit, in one pass and without a top: for small logits."""
    r00, r10, r20 = (
        correlated + row[k, 0] * _TILE,
        correlated + row[k + 1, 0] * _TILE,
        correlated + row[k + 2, 0] * _TILE,
    )
    at = correlated + stride
    r01, r11, r21 = at + row[k, 1] * _TILE, at + row[k + 1, 1] * _TILE, at + row[k + 2, 1] * _TILE
    at += stride
    r02, r12, r22 = at + row[k, 2] * _TILE, at + row[k + 1, 2] * _TILE, at + row[k + 2, 2] * _TILE
    at += stride
    r03, r13, r23 = at + row[k, 3] * _TILE, at + row[k + 1, 3] * _TILE, at + row[k + 2, 3] * _TILE
    at += stride
    r04, r14, r24 = at + row[k, 4] * _TILE, at + row[k + 1, 4] * _TILE, at + row[k + 2, 4] * _TILE
    s00, s10, s20 = slope * sign[k, 0], slope * sign[k + 1, 0], slope * sign[k + 2, 0]
    s01, s11, s21 = slope * sign[k, 1], slope * sign[k + 1, 1], slope * sign[k + 2, 1]
    s02, s12, s22 = slope * sign[k, 2], slope * sign[k + 1, 2], slope * sign[k + 2, 2]
    s03, s13, s23 = slope * sign[k, 3], slope * sign[k + 1, 3], slope * sign[k + 2, 3]
    s04, s14, s24 = slope * sign[k, 4], slope * sign[k + 1, 4], slope * sign[k + 2, 4]
    w0, w1, w2 = weights[k], weights[k + 1], weights[k + 2]
    c0, c1, c2 = centers[k] * w0, centers[k + 1] * w1, centers[k + 2] * w2
    for f in range(n):
        z = fma(s01, _load(s, r01 + f), s00 * _load(s, r00 + f))
        z = fma(s04, _load(s, r04 + f), fma(s03, _load(s, r03 + f), fma(s02, _load(s, r02 + f), z)))
        both0, bias0 = _small_powers(z)
        z = fma(s11, _load(s, r11 + f), s10 * _load(s, r10 + f))
        z = fma(s14, _load(s, r14 + f), fma(s13, _load(s, r13 + f), fma(s12, _load(s, r12 + f), z)))
        both1, bias1 = _small_powers(z)
        z = fma(s21, _load(s, r21 + f), s20 * _load(s, r20 + f))
        z = fma(s24, _load(s, r24 + f), fma(s23, _load(s, r23 + f), fma(s22, _load(s, r22 + f), z)))
        both2, bias2 = _small_powers(z)
        _store(s, _RUN_MEAN + f, fma(c2, bias2, fma(c1, bias1, fma(c0, bias0, s[_RUN_MEAN + f]))))
        _store(s, _TOTAL + f, fma(w2, both2, fma(w1, both1, fma(w0, both0, s[_TOTAL + f]))))


@kernel()
def _add_pairs(s, k, exponents, factors, centers, n):
    """Add three pairs' weights, relative to the top logit, to the weighted sum of centre pixels and to the total."""
    z0, z1, z2 = _DOTS + 2 * k * _TILE, _DOTS + 2 * (k + 1) * _TILE, _DOTS + 2 * (k + 2) * _TILE
    w0, w1, w2 = factors[k], factors[k + 1], factors[k + 2]
    c0, c1, c2 = centers[k] * w0, centers[k + 1] * w1, centers[k + 2] * w2
    b0, b1, b2 = exponents[k] + _shift(w0), exponents[k + 1] + _shift(w0), exponents[k + 2] + _shift(w0)
    for f in range(n):
        top = _load(s, _TOP + f)
        both0, bias0 = _powers(_load(s, z0 + f), top, b0)
        both1, bias1 = _powers(_load(s, z1 + f), top, b1)
        both2, bias2 = _powers(_load(s, z2 + f), top, b2)
        _store(s, _RUN_MEAN + f, fma(c2, bias2, fma(c1, bias1, fma(c0, bias0, s[_RUN_MEAN + f]))))
        _store(s, _TOTAL + f, fma(w2, both2, fma(w1, both1, fma(w0, both0, s[_TOTAL + f]))))


@kernel()
def _add_dominant(s, k, exponents, factors, centers, n):
    """`_add_pairs` where every top logit is so large that the lesser weight of each pair rounds away."""
    z0, z1, z2 = _DOTS + 2 * k * _TILE, _DOTS + 2 * (k + 1) * _TILE, _DOTS + 2 * (k + 2) * _TILE
    w0, w1, w2 = factors[k], factors[k + 1], factors[k + 2]
    c0, c1, c2 = centers[k] * w0, centers[k + 1] * w1, centers[k + 2] * w2
    b0, b1, b2 = exponents[k] + _shift(w0), exponents[k + 1] + _shift(w0), exponents[k + 2] + _shift(w0)
    for f in range(n):
        x0, x1, x2, top = _load(s, z0 + f), _load(s, z1 + f), _load(s, z2 + f), _load(s, _TOP + f)
        p0, p1, p2 = _power(abs(x0), top, b0), _power(abs(x1), top, b1), _power(abs(x2), top, b2)
        _store(s, _TOTAL + f, fma(w2, p2, fma(w1, p1, fma(w0, p0, s[_TOTAL + f]))))
        p0 = p0 if x0 >= 0 else -p0
        p1 = p1 if x1 >= 0 else -p1
        p2 = p2 if x2 >= 0 else -p2
        _store(s, _RUN_MEAN + f, fma(c2, p2, fma(c1, p1, fma(c0, p0, s[_RUN_MEAN + f]))))


@kernel()
def _keep_unit(s, z, exponent, paired, dominant, n):
    """Replace a unit's logits at ``z`` by the difference of its two weights, and leave their sum behind it."""
    base = exponent + _shift(exponent)
    if paired and dominant:
        for f in range(n):
            x = _read(s, z + f)
            weight = _power(abs(x), _load(s, _TOP + f), base)
            _store(s, z + f, weight if x >= 0 else -weight)
            _store(s, z + _TILE + f, weight)
    elif paired:
        for f in range(n):
            both, bias = _powers(_read(s, z + f), _load(s, _TOP + f), base)
            _store(s, z + f, bias)
            _store(s, z + _TILE + f, both)
    else:
        for f in range(n):
            weight = _power(_read(s, z + f), _load(s, _TOP + f), base)
            _store(s, z + f, weight)
            _store(s, z + _TILE + f, weight)


@kernel()
def _add_unit(s, z, factor, center, n):
    """Add one unit's weights as `_keep_unit` left them."""
    weighted = center * factor
    for f in range(n):
        _store(s, _RUN_MEAN + f, fma(weighted, _load(s, z + f), s[_RUN_MEAN + f]))
        _store(s, _TOTAL + f, fma(factor, _load(s, z + _TILE + f), s[_TOTAL + f]))


@kernel()
def _respond(s, z, factor, center, n):
    """Turn a unit's kept weights into its response ``c (w+ + w-) - m (w+ - w-)``, or ``w (c - m)`` for a single."""
    for f in range(n):
        value = center * _load(s, z + _TILE + f) - _load(s, _RUN_MEAN + f) * _read(s, z + f)
        _store(s, z + f, factor * value / _load(s, _TOTAL + f))


@kernel()
def _divide(s, out, n):
    """Divide the weighted sums by the total weights, in place and into the tile's posterior mean."""
    for f in range(n):
        mean = s[_RUN_MEAN + f] / _load(s, _TOTAL + f)
        s[_RUN_MEAN + f] = mean
    for f in range(n):
        _store(s, out + f, _load(s, _RUN_MEAN + f))


@kernel()
def _posterior_run(s, start, n, stride, law, plan, correlated, small, want_response):
    """Posterior mean of one run, at ``_MEAN + start``; its response fields at the units' logits, if wanted.

    Whichever way it takes, its bits are the same: tops are integers, so weights relative to another top are the same
    weights times a power of two; what one way leaves out rounds away in the other; and all add in the same order.
    """
    row, sign, centers, n_pairs, dominance = plan[1], plan[2], plan[3], plan[4], plan[6]
    slope, exponents, factors, weights, _ = law
    units, thirds = centers.size, n_pairs - n_pairs % 3
    folded = thirds if small else 0
    # Loops with long bodies are vectorised by 16, short ones unrolled to 64; a remainder is done one by one.
    exact, n = (n + 15) // 16 * 16, _rounded(n)
    _clear(s, _RUN_MEAN, 0.0, n)
    _clear(s, _TOTAL, 0.0, n)
    for k in range(0, folded, 3):
        _fold_pairs(s, correlated + start, row, sign, k, stride, slope, weights, centers, exact)
    _clear(s, _TOP, -np.inf, n)
    for k in range(folded, units):
        z = _DOTS + 2 * k * _TILE
        if k < n_pairs and row.shape[1] == 5:
            _stack_five_rows(s, correlated + start, row, sign, k, stride, slope, exponents[k], z, n)
        else:
            _stack_rows(s, correlated + start, row, sign, k, stride, slope, z, n)
            _raise_top(s, z, exponents[k], k < n_pairs, n)
    if folded > 0:
        _clear(s, _TOP, 0.0, n)
    # The lesser weights of all pairs add up to less than 2^-top of the total, since the priors do to at most 1.
    dominant = folded == 0 and _round_tops(s, n) > dominance
    alone = 0 if want_response else thirds
    for k in range(folded, alone, 3):
        if dominant:
            _add_dominant(s, k, exponents, factors, centers, exact)
        else:
            _add_pairs(s, k, exponents, factors, centers, exact)
    for k in range(alone, units):
        z = _DOTS + 2 * k * _TILE
        _keep_unit(s, z, exponents[k], k < n_pairs, dominant, exact)
        _add_unit(s, z, factors[k], centers[k], exact)
    _divide(s, _MEAN + start, n)
    if want_response:
        for k in range(units):
            _respond(s, _DOTS + 2 * k * _TILE, factors[k], centers[k], exact)


@kernel()
def _row_sums_within(s, n, bound):
    """Whether no five neighbours of the first n elements, the padded field of a tile, sum up to more than a bound."""
    largest = _bits(abs(s[0]))
    for f in range(n - 4):
        sums = abs(_load(s, f)) + abs(_load(s, f + 1)) + abs(_load(s, f + 2)) + abs(_load(s, f + 3))
        pattern = _bits(sums + abs(_load(s, f + 4)))
        largest = pattern if pattern > largest else largest
    return _from_bits(largest) <= bound


@kernel()
def _correlate_tile(s, plan, correlated, n):
    """Row correlations of the tile in the scratch space."""
    rows, binary = plan[0], plan[5]
    if binary:
        _sign_combinations(s, correlated, n)
    else:
        _correlate_rows(s, rows, correlated, n)


@intrinsic
def _sum_sixteens(typing_context, array, index, n):
    """Sum of n elements, a multiple of 16, by sixteen partial sums and a tree of fixed order on any CPU."""

    def codegen(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        element = context.get_value_type(array.dtype)
        vector = ir.VectorType(element, 16)
        partial = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * 16))
        step = context.get_constant(types.int64, 16)
        with cgutils.for_range_slice(builder, context.get_constant(types.int64, 0), arguments[2], step) as (at, _):
            start = builder.gep(data, [builder.add(arguments[1], at)])
            loaded = builder.load(builder.bitcast(start, vector.as_pointer()), align=array.dtype.bitwidth // 8)
            builder.store(builder.fadd(builder.load(partial), loaded), partial)
        total = builder.load(partial)
        for half in (8, 4, 2, 1):
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), 16), [i + half if i < half else i for i in range(16)])
            total = builder.fadd(total, builder.shuffle_vector(total, total, lanes))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return array.dtype(array, types.int64, types.int64), codegen


@kernel()
def _sum(s, at, n):
    """Sum of n neighbours in an order that depends on n alone."""
    whole = n - n % 16
    total = _sum_sixteens(s, at, whole)
    for c in range(whole, n):
        total += _read(s, at + c)
    return total


@kernel()
def _add_lines(s, line, stride, out, n):
    """Add four lines to the sums over a direction."""
    for c in range(n):
        four = (_load(s, line + c) + _load(s, line + stride + c)) + (
            _load(s, line + 2 * stride + c) + _load(s, line + 3 * stride + c)
        )
        _store(s, out + c, _read(s, out + c) + four)


@kernel()
def _add_line(s, line, out, n):
    for c in range(n):
        _store(s, out + c, _read(s, out + c) + _load(s, line + c))


@kernel()
def _sum_lines(s, g0, first, last, left, width, stride, units, diagonal):
    """Add a run's response fields to the tile's sums over rows, columns and, if wanted, diagonals.

    Rows first … last - 1 of the run, which is the tile's from row ``g0`` on, and ``width`` columns from ``left`` on.
    """
    columns = _columns(units)
    diagonals, rows = columns + units * _TILE, columns + 2 * units * _TILE
    for k in range(units):
        line, out = _DOTS + 2 * k * _TILE + left, columns + k * _TILE + left
        whole = last - (last - first) % 4
        for g in range(first, whole, 4):
            _add_lines(s, line + g * stride, stride, out, width)
        for g in range(whole, last):
            _add_line(s, line + g * stride, out, width)
        if diagonal:
            for g in range(first, last):
                _add_line(s, line + g * stride, diagonals + k * _TILE + left + g0 + g, width)
        for g in range(first, last):
            s[rows + k * _TILE + g0 + g] = _sum(s, line + g * stride, width)


@kernel()
def _contract(s, lines, extent, origin, direction, units, wave, out):
    """Add a tile's share of ``sum_i v_i H_k(i) sum_u p_k(u) v_{i+u}``, v = cos(q i), to out[direction].

    With F the Fourier coefficients of the response summed over the lines across a direction, the sum is
    ``1/2 sum_k [A_k(q) (F_k(0) + Re F_k(2q)) - B_k(q) Im F_k(2q)]``, where A and B (``even`` and ``odd``,
    (directions, U, shells)) are the same coefficients of the pattern. ``risen`` and ``sine`` hold 1 + cos(2 q i) and
    sin(2 q i), flattened from (directions, shells, coordinates).
    """
    risen, sine, even, odd = wave
    directions, shells = out.shape
    length = risen.size // (directions * shells)
    first, second = _SUMS, _SUMS + _TILE
    n = (extent + 15) // 16 * 16
    for shell in range(shells):
        _clear(s, first, 0.0, n)
        _clear(s, second, 0.0, n)
        thirds = units - units % 3
        for k in range(0, thirds, 3):
            a0, a1, a2 = even[direction, k, shell], even[direction, k + 1, shell], even[direction, k + 2, shell]
            b0, b1, b2 = odd[direction, k, shell], odd[direction, k + 1, shell], odd[direction, k + 2, shell]
            line = lines + k * _TILE
            for i in range(n):
                h0, h1, h2 = _load(s, line + i), _load(s, line + _TILE + i), _load(s, line + 2 * _TILE + i)
                _store(s, first + i, fma(a2, h2, fma(a1, h1, fma(a0, h0, s[first + i]))))
                _store(s, second + i, fma(b2, h2, fma(b1, h1, fma(b0, h0, s[second + i]))))
        for k in range(thirds, units):
            a, b, line = even[direction, k, shell], odd[direction, k, shell], lines + k * _TILE
            for i in range(n):
                h = _load(s, line + i)
                _store(s, first + i, fma(a, h, s[first + i]))
                _store(s, second + i, fma(b, h, s[second + i]))
        at = (direction * shells + shell) * length + origin
        for i in range(extent):
            value = s[first + i] * _load(risen, at + i) - _load(s, second + i) * _load(sine, at + i)
            _store(s, first + i, value)
        out[direction, shell] += 0.5 * _sum(s, first, extent)


@kernel()
def _contract_tile(s, i0, height, j0, width, units, wave, out):
    columns = _columns(units)
    diagonals, rows = columns + units * _TILE, columns + 2 * units * _TILE
    _contract(s, rows, height, i0, 0, units, wave, out)
    _contract(s, columns, width, j0, 1, units, wave, out)
    if out.shape[0] > 2:
        _contract(s, diagonals, width + height - 1, i0 + j0, 2, units, wave, out)


@kernel()
def _posterior_tile(s, x, i0, height, j0, width, law, plan, wave, margin, response, projection):
    """Posterior mean of a tile, at ``_MEAN``; its response fields and mode sums where those are not empty.

    The mode sums leave out the margin (rows, columns) of x on every side.
    """
    size, units = plan[1].shape[1], plan[3].size
    stride = width + size - 1
    correlated = _row_correlations(units)
    _load_padded(x, i0, height, j0, width, size // 2, s)
    padded = (height + size - 1) * stride
    _correlate_tile(s, plan, correlated, _rounded(padded))
    want_response = response.size + projection.size > 0
    small = size == 5 and not want_response and _row_sums_within(s, padded, law[4])
    top, bottom = max(margin[0] - i0, 0), min(x.shape[0] - margin[0] - i0, height)
    left, right = max(margin[1] - j0, 0), min(x.shape[1] - margin[1] - j0, width)
    if projection.size > 0:
        for k in range(3 * units):
            _clear(s, _columns(units) + k * _TILE, 0.0, _rounded(width + height))
    for g0 in range(0, height, _RUN):
        g1 = min(g0 + _RUN, height)
        _posterior_run(s, g0 * stride, (g1 - g0) * stride, stride, law, plan, correlated, small, want_response)
        first, last = max(top, g0) - g0, min(bottom, g1) - g0
        if projection.size > 0 and first < last and left < right:
            _sum_lines(s, g0, first, last, left, right - left, stride, units, projection.shape[0] > 2)
        if response.size > 0:
            for k in range(units):
                for g in range(g1 - g0):
                    for c in range(width):
                        response[k, i0 + g0 + g, j0 + c] = s[_DOTS + 2 * k * _TILE + g * stride + c]
    if projection.size > 0:
        _contract_tile(s, i0, height, j0, width, units, wave, projection)
    return stride


@kernel()
def _tiling(band, shape, size):
    """First row, height and widest tile of a band: tiles of equal width, in cache lines of sixteen where that fits."""
    i0, most = band * BAND, tile_columns(size)
    tiles = (shape[1] + most - 1) // most
    equal = (shape[1] + tiles - 1) // tiles
    aligned = (equal + 15) // 16 * 16
    return i0, min(BAND, shape[0] - i0), aligned if aligned <= most else equal


@kernel()
def _evaluate_band(s, x, band, law, plan, wave, mean, response, projection):
    """Posterior mean, response fields (U, L1, L2) and mode sums (directions, shells) of a band, each if not empty."""
    i0, height, widest = _tiling(band, x.shape, plan[1].shape[1])
    for j0 in range(0, x.shape[1], widest):
        width = min(widest, x.shape[1] - j0)
        stride = _posterior_tile(s, x, i0, height, j0, width, law, plan, wave, (0, 0), response, projection)
        if mean.size > 0:
            for g in range(height):
                for c in range(width):
                    mean[i0 + g, j0 + c] = s[_MEAN + g * stride + c]


@entry(parallel=True)
def evaluate(x, law, plan, wave, scratch, mean, response, projections):
    """Fill what is not empty of mean (T, L1, L2), response (T, U, L1, L2), projections (T, bands, ways, shells).

    ``scratch`` (workers, `scratch_size`) sets the number of parallel workers.
    """
    bands = (x.shape[1] + BAND - 1) // BAND
    workers = scratch.shape[0]
    for worker in prange(workers):
        for task in range(worker, x.shape[0] * bands, workers):
            path, band = task // bands, task % bands
            _evaluate_band(
                scratch[worker],
                x[path],
                band,
                law,
                plan,
                wave,
                mean[path if mean.size > 0 else 0],
                response[path if response.size > 0 else 0],
                projections[path if projections.size > 0 else 0, band if projections.size > 0 else 0],
            )


@kernel()
def _update(x, y, at, s, mean, noise, eta, linear, pull, kick, n):
    """y = linear x + pull mean + kick eta along a piece of a row."""
    for c in range(n):
        value = fma(pull, _load(s, mean + c), kick * _load(noise, eta + c))
        _store(y, at + c, fma(linear, _load(x, at + c), value))


@kernel()
def _draw(noise, i, j, width, columns, step, trajectory, key):
    """`_noise_block` of row i and ``width`` columns from j on, wrapped around a lattice of so many ``columns``."""
    c = 0
    while c < width:
        here = (j + c) % columns
        piece = min(width - c, columns - here)
        _noise_block(noise, c, here, piece, i // 4, step, trajectory, key)
        c += piece


@kernel()
def _record_and_step(s, noise, n, path, band, x, y, part, counters, constants, plan, wave, records):
    """Step n of one band of one trajectory, between the buffers x and y, and what is recorded of it before."""
    lattice_rows, lattice_columns, first_row, first_column, margin_rows, margin_columns = part
    first_trajectory, first_step, key = counters
    slopes, exponents, factors, weights, bounds, coefficients = constants
    record, fields, projections = records
    source, target = (x[path], y[path]) if n % 2 == 0 else (y[path], x[path])
    linear, pull, kick = coefficients[n, 0], coefficients[n, 1], coefficients[n, 2]
    law = slopes[n], exponents[n], factors[n], weights[n], bounds[n]
    i0, height, widest = _tiling(band, source.shape, plan[1].shape[1])
    columns = source.shape[1]
    r = record[n]
    if r >= 0:
        projection = projections[r, path, band]
        _copy(source, i0 * columns, fields[r, path], i0 * columns, height * columns)
    else:
        projection = np.empty((0, 0), dtype=np.float64)
    response, margin = np.empty((0, 0, 0), dtype=x.dtype), (margin_rows, margin_columns)
    for j0 in range(0, columns, widest):
        width = min(widest, columns - j0)
        stride = _posterior_tile(s, source, i0, height, j0, width, law, plan, wave, margin, response, projection)
        g = 0
        while g < height:
            i = (first_row + i0 + g) % lattice_rows
            _draw(noise, i, first_column + j0, width, lattice_columns, first_step + n, first_trajectory + path, key)
            # Four rows, fewer where they begin within a noise block or end with the array or the lattice.
            end = min(g + 4 - i % 4, g + lattice_rows - i, height)
            for lane in range(i % 4, i % 4 + end - g):
                at, mean = (i0 + g) * columns + j0, _MEAN + g * stride
                _update(source, target, at, s, mean, noise, lane * _TILE, linear, pull, kick, width)
                g += 1


@entry(parallel=True)
def advance(x, y, part, by_trajectory, counters, constants, plan, wave, scratch, noise, records):
    """Take ``len(slopes)`` steps from x, alternating between the buffers x and y (T, H, W).

    ``part`` is (rows, columns) of the lattice, then of the site of it that comes first in the arrays, which go on
    periodically from there, then of the margin on every side that mode sums leave out. Neighbourhoods that reach beyond
    an array are wrapped around it: where it is not the whole lattice, each step makes the outermost R rows and columns
    of those with a meaning meaningless.

    Parallel over whole trajectories (``by_trajectory``: threads meet once a call), or over bands (once a step), with
    one worker a row of ``scratch`` (workers, `scratch_size`) and ``noise`` (workers, `NOISE_SIZE`).

    ``counters = (first_trajectory, first_step, key)`` number the noise. ``constants`` are those of
    `fastpatch.kernels.patch.tile_constants` and ``coefficients``: step n is ``x <- linear x + pull m(x) + kick eta``
    with ``coefficients[n] = (linear, pull, kick)`` and eta the noise of step ``first_step + n``.
    ``records = (record, fields, projections)``: where ``record[n]`` is r >= 0, the state before step n goes to
    ``fields[r]`` (T, H, W) and its bands' mode sums to ``projections[r]`` (T, bands, directions, shells). The last
    state is in x after an even number of steps, else in y.
    """
    steps, count, workers = constants[0].size, x.shape[0], scratch.shape[0]
    bands = (x.shape[1] + BAND - 1) // BAND
    # One parallel loop for both ways: each would be compiled with all that it calls.
    meetings, together, tasks, share = (1, steps, count, bands) if by_trajectory else (steps, 1, count * bands, 1)
    for meeting in range(meetings):
        for worker in prange(workers):
            for task in range(worker, tasks, workers):
                for n in range(meeting, meeting + together):
                    for piece in range(task * share, (task + 1) * share):
                        path, band = piece // bands, piece % bands
                        _record_and_step(
                            scratch[worker],
                            noise[worker],
                            n,
                            path,
                            band,
                            x,
                            y,
                            part,
                            counters,
                            constants,
                            plan,
                            wave,
                            records,
                        )


@entry()
def fold_block(z, exponents, factors, centers, n_pairs, top, raised, weighted, total):
    """Fold the logits z (units, sites) without priors of some units into a streaming softmax over sites.

    ``top``, integers, ``weighted`` and ``total`` hold the top logit so far, the sum of centre pixels and that of
    weights, both relative to it; ``raised`` is working space. The first ``n_pairs`` units are pairs.
    """
    units, sites = z.shape
    for f in range(sites):
        _store(raised, f, _load(top, f))
    for k in range(units):
        at, exponent = k * sites, exponents[k]
        if k < n_pairs:
            for f in range(sites):
                _store(raised, f, max(_read(raised, f), abs(_load(z, at + f)) + exponent))
        else:
            for f in range(sites):
                _store(raised, f, max(_read(raised, f), _load(z, at + f) + exponent))
    for f in range(sites):
        _store(raised, f, _nearest(_read(raised, f)))
    for f in range(sites):
        fade = exp2(_load(top, f) - _load(raised, f))
        weighted[f] *= fade
        total[f] *= fade
    for f in range(sites):
        _store(top, f, _load(raised, f))
    for k in range(units):
        at, factor, weight = k * sites, factors[k], centers[k] * factors[k]
        base = exponents[k] + _shift(factor)
        if k < n_pairs:
            for f in range(sites):
                both, bias = _powers(_load(z, at + f), _load(top, f), base)
                weighted[f] = fma(weight, bias, weighted[f])
                total[f] = fma(factor, both, total[f])
        else:
            for f in range(sites):
                power = _power(_load(z, at + f), _load(top, f), base)
                weighted[f] = fma(weight, power, weighted[f])
                total[f] = fma(factor, power, total[f])


@entry()
def respond_block(z, exponents, factors, centers, n_pairs, top, total, mean):
    """Turn the logits of some units, see `fold_block`, in place into their response, see `_respond`."""
    units, sites = z.shape
    for k in range(units):
        at, factor, c = k * sites, factors[k], centers[k]
        base = exponents[k] + _shift(factor)
        if k < n_pairs:
            for f in range(sites):
                both, bias = _powers(_read(z, at + f), _load(top, f), base)
                _store(z, at + f, factor * (c * both - _load(mean, f) * bias) / _load(total, f))
        else:
            for f in range(sites):
                power = _power(_read(z, at + f), _load(top, f), base)
                _store(z, at + f, factor * power * (c - _load(mean, f)) / _load(total, f))
