"""Euler-Maruyama steps of the reverse SDE (eq. 42), recording on the way."""

import numpy as np
from numba import prange

from ..jit import entry, kernel
from .intrinsics import fma, load, store
from .noise import draw
from .scratch import BAND, MEAN, TILE, copy
from .tiles import posterior_tile, tiling

__all__ = ["advance"]


@kernel()
def _update(x, y, at, s, mean, noise, eta, linear, pull, kick, n):
    """y = linear x + pull mean + kick eta along a piece of a row."""
    for c in range(n):
        value = fma(pull, load(s, mean + c), kick * load(noise, eta + c))
        store(y, at + c, fma(linear, load(x, at + c), value))


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
    i0, height, widest = tiling(band, source.shape, plan[1].shape[1])
    columns = source.shape[1]
    r = record[n]
    if r >= 0:
        projection = projections[r, path, band]
        copy(source, i0 * columns, fields[r, path], i0 * columns, height * columns)
    else:
        projection = np.empty((0, 0), dtype=np.float64)
    response, margin = np.empty((0, 0, 0), dtype=x.dtype), (margin_rows, margin_columns)
    for j0 in range(0, columns, widest):
        width = min(widest, columns - j0)
        stride = posterior_tile(s, source, i0, height, j0, width, law, plan, wave, margin, response, projection)
        g = 0
        while g < height:
            i = (first_row + i0 + g) % lattice_rows
            draw(noise, i, first_column + j0, width, lattice_columns, first_step + n, first_trajectory + path, key)
            # Four rows, fewer where they begin within a noise block or end with the array or the lattice.
            end = min(g + 4 - i % 4, g + lattice_rows - i, height)
            for lane in range(i % 4, i % 4 + end - g):
                at, mean = (i0 + g) * columns + j0, MEAN + g * stride
                _update(source, target, at, s, mean, noise, lane * TILE, linear, pull, kick, width)
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
