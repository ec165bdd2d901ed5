"""Euler-Maruyama steps of the reverse SDE (eq. 42), recording on the way."""

import numpy as np

from ..arguments import Law
from ..jit import entry, kernel
from .crew import claim, meet
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
def _record_and_step(s, noise, n, path, band, x, y, place, counters, laws, plan, waves, records):
    """Step n of one band of one trajectory, between the buffers x and y, and what is recorded of it before."""
    source, target = (x[path], y[path]) if n % 2 == 0 else (y[path], x[path])
    linear, pull, kick = laws.coefficients[n, 0], laws.coefficients[n, 1], laws.coefficients[n, 2]
    law = Law(laws.slopes[n], laws.exponents[n], laws.factors[n], laws.weights[n], laws.bounds[n])
    i0, height, widest = tiling(band, source.shape, plan.unit_row.shape[1])
    columns = source.shape[1]
    r = records.record[n]
    if r >= 0:
        projection = records.projections[r, path, band]
        copy(source, i0 * columns, records.fields[r, path], i0 * columns, height * columns)
    else:
        projection = np.empty((0, 0), dtype=np.float64)
    response, margin = np.empty((0, 0, 0), dtype=x.dtype), (place.margin_rows, place.margin_columns)
    key, step, trajectory = counters.key, counters.first_step + n, counters.first_trajectory + path
    for j0 in range(0, columns, widest):
        width = min(widest, columns - j0)
        stride = posterior_tile(s, source, i0, height, j0, width, law, plan, waves, margin, response, projection)
        g = 0
        while g < height:
            i = (place.first_row + i0 + g) % place.lattice_rows
            draw(noise, i, place.first_column + j0, width, place.lattice_columns, step, trajectory, key)
            # Four rows, fewer where they begin within a noise block or end with the array or the lattice.
            end = min(g + 4 - i % 4, g + place.lattice_rows - i, height)
            for lane in range(i % 4, i % 4 + end - g):
                at, mean = (i0 + g) * columns + j0, MEAN + g * stride
                _update(source, target, at, s, mean, noise, lane * TILE, linear, pull, kick, width)
                g += 1


@entry()
def advance(crew, x, y, place, counters, laws, plan, waves, scratch, noise, records):
    """Take ``len(laws.slopes)`` steps from x, alternating between the buffers x and y (T, H, W).

    ``place`` says where on the lattice the arrays lie. Neighbourhoods that reach beyond an array are wrapped around it:
    where it is not the whole lattice, each step makes the outermost R rows and columns of those with a meaning
    meaningless. The last state is in x after an even number of steps, else in y.

    The threads of the crew take whole trajectories, one after another, where these can be shared out evenly; else each
    takes its bands of every step, and they meet before the next. Each uses its own row of ``scratch`` (workers,
    `scratch_size`) and ``noise`` (workers, `NOISE_SIZE`).
    """
    steps, count, workers = laws.slopes.size, x.shape[0], crew.workers
    bands = (x.shape[1] + BAND - 1) // BAND
    s, z = scratch[crew.worker], noise[crew.worker]
    apart = count % workers == 0 or count >= 4 * workers
    # One loop for both ways: each would be compiled with all that it calls.
    rounds, together = (count, steps) if apart else (steps, 1)
    for turn in range(rounds):
        if apart:
            path = claim(crew)
            first, last, stride, n = path * bands, (path + 1) * bands, 1, 0
            if path >= count:
                break
        else:
            first, last, stride, n = crew.worker, count * bands, workers, turn
            if turn > 0 and not meet(crew, turn):
                break
        for step in range(n, n + together):
            for piece in range(first, last, stride):
                path, band = piece // bands, piece % bands
                _record_and_step(s, z, step, path, band, x, y, place, counters, laws, plan, waves, records)
