"""CUDA kernels of a step: the Euler-Maruyama step and the mode sums of what is recorded before it.

A block works on a strip of rows by a run of columns, copied with its halo to shared memory; a thread walks down one
column, four rows (a quad, which shares one Threefry call) at a time. Two ways to the dot products:

- `sliding_step` has the dictionary compiled in as constants. All loops over it unroll; a pattern row common to several
  patterns, or a common beginning of two rows, is multiplied once, and weights of +-1 become additions. Partial dot
  products move down with the window in registers.
- `streaming_step` reads the patterns from memory, for dictionaries too large to unroll, with a running log-sum-exp.

Where every operation is written out (products fused by hand, sums in a fixed order) the bits are those of the CPU:
noise, dot products, logits. The exponential (float32: the hardware's ex2.approx, relative error 2^-22; float64: 1 ulp)
and the reciprocal of the total weight (1 ulp) are not.

All that asks for its thread or block is in this file: Numba's simulator answers only in the file of a kernel.
"""

import math
from typing import Any

import numpy as np
from numba import cuda, types

from .noise import draw_quad
from .operations import compiled, device, exp2, fma, inverse
from .posterior import QUAD, correlate_quad, correlate_row, slide, weigh, weights_of

__all__ = ["add_blocks", "sliding_step", "streaming_step"]

# Array indices are unsigned, or Numba would test each for being negative.
_N = np.uintp


@device
def _place(shape, height):
    """Trajectory, number within it, first row and first column of this block's strip of ``height`` rows."""
    down = (shape[1] + height - 1) // height
    across = (shape[2] + cuda.blockDim.x - 1) // cuda.blockDim.x
    path = cuda.blockIdx.x // (down * across)
    block = cuda.blockIdx.x - path * down * across
    strip = block // across
    return path, block, strip * height, (block - strip * across) * cuda.blockDim.x


@device
def _load_tile(x, i0, height, j0, width, radius, tile):
    """Copy rows i0 - R … i0 + height + R - 1 and columns j0 - R … j0 + width + R - 1, periodically wrapped."""
    rows, columns = x.shape
    stride = cuda.blockDim.x + 2 * radius
    for c in range(cuda.threadIdx.x, width + 2 * radius, cuda.blockDim.x):
        j = j0 - radius + c
        j = j + columns if j < 0 else j
        j = j - columns if j >= columns else j
        i = i0 - radius
        i = i + rows if i < 0 else i
        at = c
        for _ in range(height + 2 * radius):
            tile[_N(at)] = x[_N(i), _N(j)]
            at += stride
            i += 1
            i = 0 if i == rows else i


@device
def _open(x, height, radius, tile):
    """Load this block's strip; its place, its width, its number of quads and the row stride of its tile."""
    path, block, i0, j0 = _place(x.shape, height)
    width = min(cuda.blockDim.x, x.shape[2] - j0)
    quads = (min(height, x.shape[1] - i0) + QUAD - 1) // QUAD
    _load_tile(x[path], i0, QUAD * quads, j0, width, radius, tile)
    return path, block, i0, j0, width, quads, cuda.blockDim.x + 2 * radius


@device
def _clear(sums, count, zero):
    for v in range(count):
        sums[_N(v * cuda.blockDim.x + cuda.threadIdx.x)] = zero


@device
def _project_rows(response, first_unit, direction, coordinate, waves, sums):
    """Add a quad's response (4, units) to the thread's mode sums along a direction, the first row at ``coordinate``."""
    cosine, sine, even, odd = waves
    shells = cosine.shape[1]
    zero = response.dtype.type(0)
    for n in range(shells):
        a0, a1, a2, a3 = zero, zero, zero, zero
        b0, b1, b2, b3 = zero, zero, zero, zero
        even_n = even[_N(direction), _N(n)]
        odd_n = odd[_N(direction), _N(n)]
        for k in range(response.shape[1]):
            a = even_n[_N(first_unit + k)]
            b = odd_n[_N(first_unit + k)]
            a0, b0 = fma(a, response[0, k], a0), fma(b, response[0, k], b0)
            a1, b1 = fma(a, response[1, k], a1), fma(b, response[1, k], b1)
            a2, b2 = fma(a, response[2, k], a2), fma(b, response[2, k], b2)
            a3, b3 = fma(a, response[3, k], a3), fma(b, response[3, k], b3)
        c = cosine[_N(direction), _N(n)]
        s = sine[_N(direction), _N(n)]
        value = a0 * c[_N(coordinate)] - b0 * s[_N(coordinate)]
        value += a1 * c[_N(coordinate + 1)] - b1 * s[_N(coordinate + 1)]
        value += a2 * c[_N(coordinate + 2)] - b2 * s[_N(coordinate + 2)]
        value += a3 * c[_N(coordinate + 3)] - b3 * s[_N(coordinate + 3)]
        at = _N((direction * shells + n) * cuda.blockDim.x + cuda.threadIdx.x)
        sums[at] += value


@device
def _project_column(column, first_unit, coordinate, waves, sums):
    """Add the response summed down a column (units,) to the thread's mode sums along direction 1."""
    cosine, sine, even, odd = waves
    shells = cosine.shape[1]
    zero = column.dtype.type(0)
    for n in range(shells):
        a, b = zero, zero
        for k in range(column.shape[0]):
            a = fma(even[1, _N(n), _N(first_unit + k)], column[k], a)
            b = fma(odd[1, _N(n), _N(first_unit + k)], column[k], b)
        at = _N((shells + n) * cuda.blockDim.x + cuda.threadIdx.x)
        sums[at] += a * cosine[1, _N(n), _N(coordinate)] - b * sine[1, _N(n), _N(coordinate)]


@device
def _reduce_block(sums, out):
    """``out[v]`` = sum over the block's threads of ``sums[v, thread]``, pairwise in a fixed order."""
    left = cuda.blockDim.x
    while left > 1:
        half = (left + 1) // 2
        cuda.syncthreads()
        if cuda.threadIdx.x < left - half:
            for v in range(out.shape[0]):
                at = v * cuda.blockDim.x + cuda.threadIdx.x
                sums[_N(at)] += sums[_N(at + half)]
        left = half
    cuda.syncthreads()
    for v in range(cuda.threadIdx.x, out.shape[0], cuda.blockDim.x):
        out[_N(v)] = sums[_N(v * cuda.blockDim.x)]


def sliding_step(
    rows: Any,
    unit_row: Any,
    unit_sign: Any,
    centers: Any,
    n_pairs: int,
    binary: bool,
    precision: types.Float,
    record: bool,
) -> Any:
    """The step for one dictionary, compiled in: the arrays of a `PatchPlan`, in the precision of the run.

    Launched with blocks of any width, ``height`` rows a block (a multiple of 4), and the arguments

    - x, y: fields (T, L1, L2) before and after the step
    - table (steps, 4 + U), s: row s is (slope, linear, pull, kick, biases), as in `fastpatch.kernels.cpu.advance`
    - number, first, k0, k1, k2: step and first trajectory in the noise counters, and the key
    - dictionary: () here
    - records: (), or with ``record``: r, fields (R, T, L1, L2), partials (R, T, blocks, directions * shells) and the
      tables (cosine, sine, even, odd) of `_project_rows`; the state x goes to fields[r] and its blocks' mode sums to
      partials[r].
    """
    units, size = unit_row.shape
    n_rows = rows.shape[0]
    radius = size // 2

    @compiled
    def step(x, y, height, table, s, number, first, k0, k1, k2, dictionary, records):
        tile = cuda.shared.array(0, precision)
        the_rows = cuda.const.array_like(rows)
        the_unit_row = cuda.const.array_like(unit_row)
        the_unit_sign = cuda.const.array_like(unit_sign)
        the_centers = cuda.const.array_like(centers)
        correlated = cuda.local.array(n_rows, precision)
        running = cuda.local.array((units, size), precision)
        dots = cuda.local.array(units, precision)
        odds = cuda.local.array(units, precision)
        evens = cuda.local.array(units, precision)
        response = cuda.local.array((QUAD, units), precision)
        column = cuda.local.array(units, precision)
        biases = cuda.local.array(units, precision)
        zero = precision(0)
        c = cuda.threadIdx.x
        path, block, i0, j0, width, quads, stride = _open(x, height, radius, tile)
        if record:
            r, fields, partials, cosine, sine, even, odd = records
            sums = tile[(height + 2 * radius) * stride :]
            _clear(sums, cosine.shape[0] * cosine.shape[1], zero)
        cuda.syncthreads()
        if c < width:
            slope = table[s, 0]
            linear = table[s, 1]
            pull = table[s, 2]
            kick = table[s, 3]
            for k in range(units):
                biases[k] = table[s, 4 + k]
                column[k] = zero
                for u in range(size):
                    running[k, u] = zero
            for g in range(2 * radius):
                correlate_row(tile, g * stride + c, the_rows, binary, correlated)
                slide(correlated, the_unit_row, the_unit_sign, running, dots)
            target = y[path]
            for quad in range(quads):
                i = i0 + QUAD * quad
                inside = x.shape[1] - i
                z0, z1, z2, z3 = draw_quad(j0 + c, i // QUAD, number, first + path, k0, k1, k2)
                at = (QUAD * quad + 2 * radius) * stride + c
                for lane in range(QUAD):
                    correlate_row(tile, at, the_rows, binary, correlated)
                    slide(correlated, the_unit_row, the_unit_sign, running, dots)
                    mean, scale = weigh(dots, slope, biases, the_centers, n_pairs, odds, evens)
                    old = tile[_N(at - radius * stride + radius)]
                    if lane < inside:
                        target[_N(i + lane), _N(j0 + c)] = fma(linear, old, fma(pull, mean, kick * precision(z0)))
                        if record:
                            fields[_N(r), _N(path), _N(i + lane), _N(j0 + c)] = old
                    if record:
                        scale = scale if lane < inside else zero
                        for k in range(units):
                            h = fma(the_centers[k], evens[k], -mean * odds[k]) * scale
                            response[lane, k] = h
                            column[k] += h
                    z0, z1, z2 = z1, z2, z3
                    at += stride
                if record:
                    waves = (cosine, sine, even, odd)
                    _project_rows(response, 0, 0, i, waves, sums)
                    if cosine.shape[0] > 2:
                        _project_rows(response, 0, 2, i + j0 + c, waves, sums)
            if record:
                _project_column(column, 0, j0 + c, (cosine, sine, even, odd), sums)
        if record:
            _reduce_block(sums, partials[r, path, block])

    return step


def streaming_step(size: int, precision: types.Float, record: bool) -> Any:
    """The step for dictionaries of any length, of side ``size``; launched like `sliding_step`.

    Only ``dictionary`` differs: (patterns (U, P, P), centers (U,), n_pairs).
    """
    radius = size // 2
    window = size + QUAD - 1

    @compiled
    def step(x, y, height, table, s, number, first, k0, k1, k2, dictionary, records):
        patterns, centers, n_pairs = dictionary
        tile = cuda.shared.array(0, precision)
        pixels = cuda.local.array((window, size), precision)
        dots = cuda.local.array(QUAD, precision)
        tops = cuda.local.array(QUAD, precision)
        totals = cuda.local.array(QUAD, precision)
        means = cuda.local.array(QUAD, precision)
        normals = cuda.local.array(QUAD, types.float32)
        response = cuda.local.array((QUAD, 1), precision)
        column = cuda.local.array(1, precision)
        zero = precision(0)
        c = cuda.threadIdx.x
        path, block, i0, j0, width, quads, stride = _open(x, height, radius, tile)
        if record:
            r, fields, partials, cosine, sine, even, odd = records
            sums = tile[(height + 2 * radius) * stride :]
            _clear(sums, cosine.shape[0] * cosine.shape[1], zero)
        cuda.syncthreads()
        if c < width:
            slope = table[s, 0]
            linear = table[s, 1]
            pull = table[s, 2]
            kick = table[s, 3]
            biases = table[s, 4:]
            target = y[path]
            for quad in range(quads):
                i = i0 + QUAD * quad
                inside = x.shape[1] - i
                at = QUAD * quad * stride + c
                for g in range(window):
                    for v in range(size):
                        pixels[g, v] = tile[_N(at + g * stride + v)]
                for lane in range(QUAD):
                    tops[lane] = precision(-math.inf)
                    totals[lane] = zero
                    means[lane] = zero
                for k in range(centers.shape[0]):
                    bias = biases[_N(k)]
                    center = centers[_N(k)]
                    correlate_quad(pixels, patterns[_N(k)], dots)
                    for lane in range(QUAD):
                        larger = fma(slope, abs(dots[lane]) if k < n_pairs else dots[lane], bias)
                        if larger > tops[lane]:
                            rescale = exp2(tops[lane] - larger)
                            tops[lane] = larger
                            totals[lane] *= rescale
                            means[lane] *= rescale
                        plus, minus = weights_of(dots[lane], slope, bias, tops[lane], k < n_pairs, zero)
                        totals[lane] += plus + minus
                        means[lane] = fma(center, plus - minus, means[lane])
                normals[0], normals[1], normals[2], normals[3] = draw_quad(
                    j0 + c, i // QUAD, number, first + path, k0, k1, k2
                )
                for lane in range(QUAD):
                    totals[lane] = inverse(totals[lane])
                    means[lane] *= totals[lane]
                    if lane < inside:
                        old = tile[_N(at + (lane + radius) * stride + radius)]
                        kicked = fma(pull, means[lane], kick * precision(normals[lane]))
                        target[_N(i + lane), _N(j0 + c)] = fma(linear, old, kicked)
                        if record:
                            fields[_N(r), _N(path), _N(i + lane), _N(j0 + c)] = old
                if record:
                    waves = (cosine, sine, even, odd)
                    for k in range(centers.shape[0]):
                        correlate_quad(pixels, patterns[_N(k)], dots)
                        column[0] = zero
                        for lane in range(QUAD):
                            plus, minus = weights_of(dots[lane], slope, biases[_N(k)], tops[lane], k < n_pairs, zero)
                            h = fma(centers[_N(k)], plus + minus, -means[lane] * (plus - minus)) * totals[lane]
                            response[lane, 0] = h if lane < inside else zero
                            column[0] += response[lane, 0]
                        _project_rows(response, k, 0, i, waves, sums)
                        if cosine.shape[0] > 2:
                            _project_rows(response, k, 2, i + j0 + c, waves, sums)
                        _project_column(column, k, j0 + c, waves, sums)
        if record:
            _reduce_block(sums, partials[r, path, block])

    return step


@compiled
def add_blocks(partials, out):
    """``out[r, path, v]`` = sum over blocks of ``partials[r, path, :, v]`` in a fixed order, one block of threads each.

    Grid: R * T * V blocks.
    """
    held = cuda.shared.array(0, types.float64)
    _, paths, blocks, values = partials.shape
    v = cuda.blockIdx.x % values
    path = cuda.blockIdx.x // values % paths
    r = cuda.blockIdx.x // (values * paths)
    total = 0.0
    for block in range(cuda.threadIdx.x, blocks, cuda.blockDim.x):
        total += partials[_N(r), _N(path), _N(block), _N(v)]
    held[cuda.threadIdx.x] = total
    _reduce_block(held, out[r, path, v : v + 1])
