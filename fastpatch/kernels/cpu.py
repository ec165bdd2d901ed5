"""CPU kernels of the patch machine: noise, posterior, Euler-Maruyama step, mode sums.

All kernels and the functions they call share this file, because Numba's disk cache does not notice an edited callee
in another one. They trust their arguments; `fastpatch.kernels.patch` prepares these.

The lattice is worked on in tiles of a few rows by about a hundred columns, small enough for the second-level cache.
A tile with its halo is one flat array: row u of a pattern is then an offset of u rows, and every inner loop is one
long run over contiguous memory that the compiler vectorises. Halo columns are computed along and ignored.
"""

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic, overload

from .jit import kernel

__all__ = ["BAND", "advance", "evaluate", "standard_normals", "threefry4x32"]

# Rows of a band, the unit of parallel work; a multiple of 4 because one noise block serves four rows. Sums over the
# lattice are taken band by band in a fixed order, so they do not depend on the number of threads.
BAND = 16
_TILE_COLUMNS = 128

_F = np.float32
_U = np.uint32


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


def _exp2_float32(z):
    # 2^z = 2^n 2^f with n the nearest integer: adding 1.5 * 2^23 leaves n in the low bits of the sum. Degree 5,
    # relative error 8e-8.
    z = max(z, _F(-126.0))
    shifted = z + _F(12582912.0)
    f = z - (shifted - _F(12582912.0))
    p = fma(_F(1.33813025e-3), f, _F(9.66636852e-3))
    p = fma(p, f, _F(5.55038101e-2))
    p = fma(p, f, _F(2.40223490e-1))
    p = fma(p, f, _F(6.93147181e-1))
    p = fma(p, f, _F(1.0))
    return _from_bits(np.int32(_bits(p) + np.int32(_bits(shifted) << 23)))


def _exp2_float64(z):
    z = max(z, -1022.0)
    shifted = z + 6755399441055744.0
    f = z - (shifted - 6755399441055744.0)
    p = fma(2.57293241773623e-11, f, 4.45581790833607e-10)
    p = fma(p, f, 7.0548973041551550e-09)
    p = fma(p, f, 1.0178057087733941e-07)
    p = fma(p, f, 1.3215486808705563e-06)
    p = fma(p, f, 1.5252733841556773e-05)
    p = fma(p, f, 1.5403530393370733e-04)
    p = fma(p, f, 1.3333558146406471e-03)
    p = fma(p, f, 9.6181291076284795e-03)
    p = fma(p, f, 5.5504108664821627e-02)
    p = fma(p, f, 2.4022650695910071e-01)
    p = fma(p, f, 6.9314718055994531e-01)
    p = fma(p, f, 1.0)
    return _from_bits(_bits(p) + (_bits(shifted) << 52))


def exp2(z):
    """2**z for z <= 0, flushed towards 2**-126 (float32) or 2**-1022 (float64) below."""
    raise NotImplementedError("only inside kernels")


@overload(exp2)
def _exp2_overload(z):
    return _exp2_float32 if z == types.float32 else _exp2_float64


@kernel(inline=True)
def _mix(a, b, c, d, r, s):
    """One Threefry round on the word pairs (a, b) and (c, d)."""
    a = _U(a + b)
    b = _rotate_left(b, r) ^ a
    c = _U(c + d)
    d = _rotate_left(d, s) ^ c
    return a, b, c, d


@kernel(inline=True)
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
def _noise_block(out, j0, columns, block, step, trajectory, key):
    """Normals of rows 4 block … 4 block + 3, columns j0 … j0 + columns - 1, into out (4, >= columns)."""
    z0, z1, z2, z3 = out[0], out[1], out[2], out[3]
    k0, k1, k2 = key[0], key[1], key[2]
    row, time, path = _U(block), _U(step), _U(trajectory)
    for c in range(columns):
        w0, w1, w2, w3 = threefry4x32(_U(j0 + c), row, time, path, k0, k1, k2, _U(0))
        z0[c], z1[c] = _box_muller(w0, w1)
        z2[c], z3[c] = _box_muller(w2, w3)


@kernel(parallel=True)
def standard_normals(out, step, first_trajectory, key):
    """Fill out (T, L1, L2) with the normals of one step; see `fastpatch.noise` for the numbering."""
    count, height, width = out.shape
    blocks = (height + 3) // 4
    for task in prange(count * blocks):
        trajectory, block = task // blocks, task % blocks
        z = np.empty((4, width), dtype=np.float32)
        _noise_block(z, 0, width, block, step, first_trajectory + trajectory, key)
        for lane in range(min(4, height - 4 * block)):
            out[trajectory, 4 * block + lane] = z[lane]


@kernel()
def _load_padded(x, i0, height, j0, width, radius, pad):
    """Rows i0 - R … and columns j0 - R … of a tile, periodically wrapped, as one flat array."""
    lattice_rows, lattice_columns = x.shape
    padded_width = width + 2 * radius
    for g in range(height + 2 * radius):
        source = x[(i0 - radius + g) % lattice_rows]
        target = pad[g * padded_width : (g + 1) * padded_width]
        if j0 >= radius and j0 + width + radius <= lattice_columns:
            target[:] = source[j0 - radius : j0 + width + radius]
        else:
            for c in range(radius):
                target[c] = source[(j0 - radius + c) % lattice_columns]
                target[radius + width + c] = source[(j0 + width + c) % lattice_columns]
            target[radius : radius + width] = source[j0 : j0 + width]


@kernel()
def _correlate_row(pad, weights, out, n):
    """out[f] = sum_v weights[v] pad[f + v]."""
    if weights.size == 5:
        w0, w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3], weights[4]
        p0, p1, p2, p3, p4 = pad, pad[1:], pad[2:], pad[3:], pad[4:]
        for f in range(n):
            out[f] = fma(w4, p4[f], fma(w3, p3[f], fma(w2, p2[f], fma(w1, p1[f], w0 * p0[f]))))
    else:
        w0 = weights[0]
        for f in range(n):
            out[f] = w0 * pad[f]
        for v in range(1, weights.size):
            shifted, w = pad[v:], weights[v]
            for f in range(n):
                out[f] = fma(w, shifted[f], out[f])


@kernel()
def _stack_rows(correlated, index, sign, stride, out, n):
    """out[f] = sum_u sign[u] correlated[index[u], f + u stride]: a pattern's dot product with each neighbourhood."""
    if index.size == 5:
        s0, s1, s2, s3, s4 = sign[0], sign[1], sign[2], sign[3], sign[4]
        r0, r1, r2 = correlated[index[0]], correlated[index[1], stride:], correlated[index[2], 2 * stride :]
        r3, r4 = correlated[index[3], 3 * stride :], correlated[index[4], 4 * stride :]
        for f in range(n):
            out[f] = fma(s4, r4[f], fma(s3, r3[f], fma(s2, r2[f], fma(s1, r1[f], s0 * r0[f]))))
    else:
        first, s = correlated[index[0]], sign[0]
        for f in range(n):
            out[f] = s * first[f]
        for u in range(1, index.size):
            row, s = correlated[index[u], u * stride :], sign[u]
            for f in range(n):
                out[f] = fma(s, row[f], out[f])


@kernel()
def _logits_top(d, slope, bias, paired, top, n):
    """Raise ``top`` to the larger logit of one unit."""
    if paired:
        for f in range(n):
            top[f] = max(top[f], fma(slope, abs(d[f]), bias))
    else:
        for f in range(n):
            top[f] = max(top[f], fma(slope, d[f], bias))


@kernel()
def _add_pair(d, slope, bias, center, top, mean, total, n):
    """Add a pair's two weights, relative to the top logit, to the weighted sum of centre pixels and to the total."""
    for f in range(n):
        plus = exp2(fma(slope, d[f], bias) - top[f])
        minus = exp2(fma(-slope, d[f], bias) - top[f])
        mean[f] = fma(center, plus - minus, mean[f])
        total[f] += plus + minus


@kernel()
def _add_single(d, slope, bias, center, top, mean, total, n):
    for f in range(n):
        weight = exp2(fma(slope, d[f], bias) - top[f])
        mean[f] = fma(center, weight, mean[f])
        total[f] += weight


@kernel()
def _keep_weights(d, slope, bias, paired, top, total, even, n):
    """Turn a unit's dot products into the difference of its two normalised weights, their sum in ``even``."""
    if paired:
        for f in range(n):
            plus = exp2(fma(slope, d[f], bias) - top[f]) / total[f]
            minus = exp2(fma(-slope, d[f], bias) - top[f]) / total[f]
            even[f] = plus + minus
            d[f] = plus - minus
    else:
        for f in range(n):
            weight = exp2(fma(slope, d[f], bias) - top[f]) / total[f]
            even[f] = weight
            d[f] = weight


@kernel()
def _posterior_tile(scratch, height, width, slope, bias, rows, unit_row, unit_sign, centers, n_pairs, want_response):
    """Posterior mean of the tile whose padded field is scratch[0], left in scratch[1]; the flat row stride returned.

    Logits are in base 2: ``slope = log2(e) alpha / sigma^2``. With ``want_response``, the response fields
    ``H_k = c_k (w+ + w-) - m (w+ - w-)`` of the U units (``w (c_k - m)`` for a single) are left in scratch[4:4 + U].
    """
    size, units = rows.shape[1], centers.size
    stride = width + size - 1
    n = height * stride
    pad, mean, top, total = scratch[0], scratch[1], scratch[2], scratch[3]
    dots = scratch[4 : 4 + units]
    correlated = scratch[4 + units :]
    for q in range(rows.shape[0]):
        _correlate_row(pad, rows[q], correlated[q], n + (size - 1) * stride)
    top[:n] = -np.inf
    for k in range(units):
        _stack_rows(correlated, unit_row[k], unit_sign[k], stride, dots[k], n)
        _logits_top(dots[k], slope, bias[k], k < n_pairs, top, n)
    mean[:n] = 0.0
    total[:n] = 0.0
    for k in range(n_pairs):
        _add_pair(dots[k], slope, bias[k], centers[k], top, mean, total, n)
    for k in range(n_pairs, units):
        _add_single(dots[k], slope, bias[k], centers[k], top, mean, total, n)
    for f in range(n):
        mean[f] /= total[f]
    if want_response:
        even = correlated[0]
        for k in range(units):
            difference, center = dots[k], centers[k]
            _keep_weights(difference, slope, bias[k], k < n_pairs, top, total, even, n)
            for f in range(n):
                difference[f] = center * even[f] - mean[f] * difference[f]
    return stride


@kernel()
def _scratch(height, width, size, units, n_rows, like):
    """Space for one tile: the padded field, mean, top logit, total weight, a dot product a unit, a run a row."""
    longest = (height + size - 1) * (width + size - 1) + size
    return np.zeros((4 + units + n_rows, longest), dtype=like.dtype)


@kernel()
def _add_projections(response, height, width, stride, i0, j0, cosine, sine, even, odd, out):
    """Add a tile's share of ``sum_i v_i H_k(i) sum_u p_k(u) v_{i+u}``, v = cos(q i), to out (directions, shells).

    With F the Fourier coefficients of the response projected on a direction (rows, columns or diagonals), the sum is
    ``1/2 sum_k [A_k(q) (F_k(0) + Re F_k(2q)) - B_k(q) Im F_k(2q)]``, where A and B (``even`` and ``odd``, each
    (directions, U, shells)) are the same coefficients of the pattern. ``cosine`` and ``sine`` hold cos(2 q i) and
    sin(2 q i), (directions, shells, coordinates).
    """
    directions, shells = out.shape
    sums = np.empty(height + width, dtype=np.float64)
    for k in range(response.shape[0]):
        h = response[k]
        for direction in range(directions):
            if direction == 0:
                extent, origin = height, i0
                for g in range(height):
                    line = h[g * stride : g * stride + width]
                    # Sixteen partial sums: vectorised, in an order fixed by the tile alone.
                    lanes = np.zeros(16, dtype=h.dtype)
                    whole = width - width % 16
                    for c in range(0, whole, 16):
                        for lane in range(16):
                            lanes[lane] += line[c + lane]
                    total = 0.0
                    for lane in range(16):
                        total += lanes[lane]
                    for c in range(whole, width):
                        total += line[c]
                    sums[g] = total
            else:
                # Direction 1 adds up columns, direction 2 diagonals: the same lines, each shifted by its row number.
                lean = direction - 1
                extent, origin = width + lean * (height - 1), j0 + lean * i0
                sums[:extent] = 0.0
                for g in range(height):
                    line = h[g * stride : g * stride + width]
                    target = sums[lean * g : lean * g + width]
                    for c in range(width):
                        target[c] += line[c]
            zero = 0.0
            for s in range(extent):
                zero += sums[s]
            for n in range(shells):
                real = 0.0
                imaginary = 0.0
                for s in range(extent):
                    real += sums[s] * cosine[direction, n, origin + s]
                    imaginary += sums[s] * sine[direction, n, origin + s]
                out[direction, n] += 0.5 * (even[direction, k, n] * (zero + real) - odd[direction, k, n] * imaginary)


@kernel()
def _tiling(band, shape):
    """First row, height and widest tile of a band; its tiles are equal to within rounding."""
    i0 = band * BAND
    tiles = (shape[1] + _TILE_COLUMNS - 1) // _TILE_COLUMNS
    return i0, min(BAND, shape[0] - i0), (shape[1] + tiles - 1) // tiles


@kernel()
def _evaluate_band(x, band, slope, bias, plan, wave, mean, response, projection):
    """Posterior mean, response fields (U, L1, L2) and mode sums (directions, shells) of a band, each if not empty."""
    rows, unit_row, unit_sign, centers, n_pairs = plan
    cosine, sine, even, odd = wave
    size, units = rows.shape[1], centers.size
    i0, height, widest = _tiling(band, x.shape)
    scratch = _scratch(height, widest, size, units, rows.shape[0], x)
    want_response = response.size + projection.size > 0
    for j0 in range(0, x.shape[1], widest):
        width = min(widest, x.shape[1] - j0)
        _load_padded(x, i0, height, j0, width, size // 2, scratch[0])
        stride = _posterior_tile(
            scratch, height, width, slope, bias, rows, unit_row, unit_sign, centers, n_pairs, want_response
        )
        if projection.size > 0:
            _add_projections(scratch[4 : 4 + units], height, width, stride, i0, j0, cosine, sine, even, odd, projection)
        for g in range(height):
            at = slice(g * stride, g * stride + width)
            if mean.size > 0:
                mean[i0 + g, j0 : j0 + width] = scratch[1, at]
            if response.size > 0:
                response[:, i0 + g, j0 : j0 + width] = scratch[4 : 4 + units, at]


@kernel(parallel=True)
def evaluate(x, slope, bias, plan, wave, mean, response, projections):
    """Fill what is not empty of mean (T, L1, L2), response (T, U, L1, L2), projections (T, bands, ways, shells)."""
    bands = (x.shape[1] + BAND - 1) // BAND
    for task in prange(x.shape[0] * bands):
        path, band = task // bands, task % bands
        _evaluate_band(
            x[path],
            band,
            slope,
            bias,
            plan,
            wave,
            mean[path if mean.size > 0 else 0],
            response[path if response.size > 0 else 0],
            projections[path if projections.size > 0 else 0, band if projections.size > 0 else 0],
        )


@kernel()
def _step_band(x, y, band, slope, bias, plan, linear, pull, kick, step, trajectory, key, wave, projection):
    """One Euler-Maruyama step x -> y of a band of rows; its mode sums at x as well, unless ``projection`` is empty."""
    rows, unit_row, unit_sign, centers, n_pairs = plan
    cosine, sine, even, odd = wave
    size, units = rows.shape[1], centers.size
    i0, height, widest = _tiling(band, x.shape)
    scratch = _scratch(height, widest, size, units, rows.shape[0], x)
    noise = np.empty((4, widest), dtype=np.float32)
    for j0 in range(0, x.shape[1], widest):
        width = min(widest, x.shape[1] - j0)
        _load_padded(x, i0, height, j0, width, size // 2, scratch[0])
        stride = _posterior_tile(
            scratch, height, width, slope, bias, rows, unit_row, unit_sign, centers, n_pairs, projection.size > 0
        )
        if projection.size > 0:
            _add_projections(scratch[4 : 4 + units], height, width, stride, i0, j0, cosine, sine, even, odd, projection)
        for g0 in range(0, height, 4):
            _noise_block(noise, j0, width, (i0 + g0) // 4, step, trajectory, key)
            for lane in range(min(4, height - g0)):
                g = g0 + lane
                old = x[i0 + g, j0 : j0 + width]
                new = y[i0 + g, j0 : j0 + width]
                mean = scratch[1, g * stride : g * stride + width]
                z = noise[lane]
                for c in range(width):
                    new[c] = fma(linear, old[c], fma(pull, mean[c], kick * z[c]))


@kernel()
def _record_and_step(s, path, band, x, y, counters, constants, plan, wave, records):
    """Step s of one band of one trajectory, between the buffers x and y, and what is recorded of it before."""
    first_trajectory, first_step, key = counters
    slopes, biases, coefficients = constants
    record, fields, projections = records
    source, target = (x[path], y[path]) if s % 2 == 0 else (y[path], x[path])
    r = record[s]
    if r >= 0:
        projection = projections[r, path, band]
        for i in range(band * BAND, min((band + 1) * BAND, x.shape[1])):
            fields[r, path, i] = source[i]
    else:
        projection = np.empty((0, 0), dtype=np.float64)
    _step_band(
        source,
        target,
        band,
        slopes[s],
        biases[s],
        plan,
        coefficients[s, 0],
        coefficients[s, 1],
        coefficients[s, 2],
        first_step + s,
        first_trajectory + path,
        key,
        wave,
        projection,
    )


@kernel(parallel=True)
def advance(x, y, by_trajectory, counters, constants, plan, wave, records):
    """Take ``len(slopes)`` steps from x, alternating between the buffers x and y (T, L1, L2).

    Parallel over whole trajectories (``by_trajectory``: threads meet once a call), or over bands (once a step).
    ``counters = (first_trajectory, first_step, key)`` number the noise. ``constants = (slopes, biases, coefficients)``:
    step s is ``x <- linear x + pull m(x) + kick eta`` with ``coefficients[s] = (linear, pull, kick)`` and eta the noise
    of step ``first_step + s``. ``records = (record, fields, projections)``: where ``record[s]`` is r >= 0, the state
    before step s goes to ``fields[r]`` (T, L1, L2) and its bands' mode sums to ``projections[r]``
    (T, bands, directions, shells). The last state is in x after an even number of steps, else in y.
    """
    steps, count = constants[0].size, x.shape[0]
    bands = (x.shape[1] + BAND - 1) // BAND
    if by_trajectory:
        for path in prange(count):
            for s in range(steps):
                for band in range(bands):
                    _record_and_step(s, path, band, x, y, counters, constants, plan, wave, records)
    else:
        for s in range(steps):
            for task in prange(count * bands):
                _record_and_step(s, task // bands, task % bands, x, y, counters, constants, plan, wave, records)
