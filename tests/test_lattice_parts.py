"""A part of a lattice with a margin, stepped on its own, against the whole: the same bits, the same mode sums."""

from itertools import pairwise, product

import numpy as np
import pytest
from cases import DICTIONARIES, DTYPES

import fastpatch as fp
from fastpatch.kernels.patch import ModeTables, Part, Stepper, tile_constants
from fastpatch.noise import NoiseStream, noise_key, standard_normals
from fastpatch.runs.engines.patch import PatchEngine
from fastpatch.runs.setup import Setup
from fastpatch.runs.solvers import EulerMaruyama

TIMES = fp.log_time_grid(t_max=6.0, t_min=0.02, steps=12)
SEED, FIRST, SHELLS = 5, 3, np.arange(4)


def whole(model, x, diagonal=False):
    """The run of the whole lattice, whose states are x."""
    return Setup.of(
        model, x.shape[1:], len(x), TIMES, SEED, dtype=x.dtype, first_trajectory=FIRST, shells=SHELLS, diagonal=diagonal
    )


def step_part(model, x, part, first_step, records, diagonal=False):
    """States and overlaps of an array that holds a part, after ``len(records)`` steps."""
    tables = ModeTables(model.plan.patterns, part.lattice, SHELLS, diagonal)
    stepper = Stepper(model.plan, tables, part, x.shape[1:], x.dtype)
    window = slice(first_step, first_step + len(records))
    law = tile_constants(model.plan, *model.schedule.amplitudes(TIMES), x.dtype)
    constants = (*(c[window] for c in law), EulerMaruyama().coefficients(model.schedule, TIMES)[window].astype(x.dtype))
    buffers = x.copy(), np.empty_like(x)
    fields = np.empty((int((records >= 0).sum()), *x.shape), dtype=x.dtype)
    counters = FIRST, first_step, noise_key(SEED, NoiseStream.STEP)
    overlaps = stepper.run(*buffers, counters, constants, records, fields)
    return buffers[len(records) % 2], fields, overlaps


def cut(x, part, inner):
    """The sites of ``part``, ``inner`` ones and the margin around them, by wrapping the whole lattice."""
    index = [
        (first + np.arange(count + 2 * margin)) % side
        for first, count, margin, side in zip(part.origin, inner, part.margin, part.lattice, strict=True)
    ]
    return np.ascontiguousarray(x[:, index[0][:, None], index[1]])


def parts(shape, rows, columns, margin):
    """The parts between the given cuts, and where their inner sites lie in the lattice."""
    for (i, i1), (j, j1) in product(pairwise((0, *rows, shape[0])), pairwise((0, *columns, shape[1]))):
        origin = (i - margin[0]) % shape[0], (j - margin[1]) % shape[1]
        yield Part(shape, origin, margin), (slice(i, i1), slice(j, j1))


# Cuts at and beside multiples of the four rows of a noise block and of the sixteen of a band, parts narrower than their
# margin and wider than a tile, lattices smaller than the margins of their parts.
CUTS = {
    "two by three": ((48, 40), (17,), (9, 22)),
    "rows only": ((37, 21), (5, 20), ()),
    "wide": ((19, 230), (11,), (3, 101)),
    "tiny": ((7, 5), (2,), (1, 3)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("name", ["18 patterns", "unbalanced flips", "3x3", "1x1"])
def test_parts_repeat_the_lattice_bit_by_bit(name, cuts, dtype):
    model, (shape, rows, columns) = fp.PatchModel(DICTIONARIES[name]), CUTS[cuts]
    if min(shape) < model.dictionary.size:
        pytest.skip("the lattice is smaller than a pattern")
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(dtype)
    steps, radius = 3, model.dictionary.radius
    margin = (steps * radius, steps * radius if columns else 0)
    records = np.array([-1, 0, 1])
    engine = PatchEngine(whole(model, x), x.copy(), 2)
    fields = engine.space(2)
    derivatives = engine.advance(records, fields)
    total = 0.0
    for part, inner in parts(shape, rows, columns, margin):
        extent = [side.stop - side.start for side in inner]
        state, recorded, overlaps = step_part(model, cut(x, part, extent), part, 2, records)
        core = (..., slice(margin[0], margin[0] + extent[0]), slice(margin[1], margin[1] + extent[1]))
        np.testing.assert_array_equal(state[core], engine.x[:, *inner])
        np.testing.assert_array_equal(recorded[core], fields[:, :, *inner])
        total += overlaps
    found = model.derivative_of_overlap(total, TIMES[3:5, None, None, None])
    scale = np.abs(derivatives).max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found / scale, derivatives / scale, atol={"float32": 2e-6, "float64": 1e-13}[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_diagonal_modes_of_parts_add_up(dtype):
    model, shape = fp.PatchModel(DICTIONARIES["18 patterns"]), (40, 40)
    x = np.random.default_rng(2).normal(size=(1, *shape)).astype(dtype)
    engine = PatchEngine(whole(model, x, diagonal=True), x.copy(), 4)
    expected = engine.advance(np.zeros(1, dtype=int), engine.space(1))
    overlaps = [
        step_part(model, cut(x, part, [s.stop - s.start for s in inner]), part, 4, np.zeros(1, dtype=int), True)[2]
        for part, inner in parts(shape, (13, 30), (6, 27), (2, 2))
    ]
    found = model.derivative_of_overlap(sum(overlaps), TIMES[4])
    np.testing.assert_allclose(found, expected, rtol={"float32": 1e-5, "float64": 1e-12}[dtype])


@pytest.mark.parametrize("origin", [(0, 0), (3, 5), (18, 1), (40, 100)])
def test_noise_of_a_part_is_that_of_its_sites(origin):
    whole = standard_normals((2, 60, 130), seed=7, step=9, first_trajectory=4)
    found = standard_normals((2, 11, 23), seed=7, step=9, first_trajectory=4, origin=origin)
    np.testing.assert_array_equal(found, whole[:, origin[0] : origin[0] + 11, origin[1] : origin[1] + 23])
