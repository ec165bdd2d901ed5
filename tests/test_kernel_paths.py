"""The shortcuts of the tile kernels must not be felt: not in one bit of a trajectory."""

import numpy as np
import pytest
from cases import DTYPES

import fastpatch as fp
from fastpatch.kernels import dense
from fastpatch.runs.engines.patch import PatchEngine
from fastpatch.runs.setup import Setup

# Five pairs (three in one pass, two alone), nine pairs, singles, and sizes that have no shortcut.
DICTIONARIES = {
    "ten in pairs": fp.PatchDictionary.random(4),
    "eighteen in pairs": fp.PatchDictionary.random(8),
    "pairs and singles": fp.PatchDictionary.random(5, sign_flips=False, uniform_mass=0.4),
    "3x3": fp.PatchDictionary.random(6, size=3),
}
TIMES = fp.log_time_grid(steps=300)


def run(model, dtype, alter=lambda engine: None, *, shape=(21, 37), recorded=False):
    x = np.random.default_rng(3).normal(size=(2, *shape)).astype(dtype)
    engine = PatchEngine(Setup.of(model, shape, len(x), TIMES, 5, dtype=dtype, shells=range(4)), x)
    alter(engine)
    steps = len(TIMES) - 1
    records = np.arange(steps) if recorded else np.full(steps, -1)
    engine.advance(records, engine.space(steps if recorded else 0))
    return engine.x


def without_small_logits(engine):
    *others, bounds = engine._law
    assert (bounds > 0).any()
    engine._law = (*others, np.full_like(bounds, -1.0))


def without_dominance(engine):
    plan = engine._stepper.plan
    engine._stepper.plan = plan._replace(dominance=type(plan.dominance)(np.inf))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DICTIONARIES)
def test_every_way_through_a_tile_gives_the_same_bits(name, dtype):
    model = fp.PatchModel(DICTIONARIES[name])
    expected = run(model, dtype)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(run(model, dtype, without_small_logits), expected)
    np.testing.assert_array_equal(run(model, dtype, without_dominance), expected)
    np.testing.assert_array_equal(run(model, dtype, recorded=True), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_of_a_site_do_not_depend_on_its_tile(dtype):
    # Shifting a periodic field moves every site to another tile, run and lane.
    model = fp.PatchModel(DICTIONARIES["eighteen in pairs"])
    x = np.random.default_rng(4).normal(size=(1, 48, 112)).astype(dtype)
    shift = (13, 29)
    for k in (0, 120, 180, 220, 299):
        setup = Setup.of(model, x.shape[1:], len(x), TIMES, dtype=dtype, shells=range(4))
        engines = [PatchEngine(setup, field, k) for field in (x, np.roll(x, shift, (1, 2)))]
        for engine in engines:
            engine._coefficients = engine._coefficients * np.array([1, 1, 0], dtype=dtype)
            engine.advance(np.full(1, -1), engine.space(0))
        np.testing.assert_array_equal(np.roll(engines[0].x, shift, (1, 2)), engines[1].x)


@pytest.mark.parametrize("t", [30.0, 3.0, 1.0])
def test_small_logits_are_found_where_they_are_and_nowhere_else(t):
    # A field that no bound admits must still give the posterior of the same pattern everywhere.
    model = fp.PatchModel(DICTIONARIES["eighteen in pairs"])
    for magnitude in (1e-3, 1.0, 1e9, 1e15):
        mean = model.posterior_mean(np.full((16, 16), magnitude), t)
        assert (np.abs(mean) <= 1.0).all()
        if magnitude >= 1e9:
            np.testing.assert_array_equal(mean, 1.0)


@pytest.mark.parametrize("most_units", [2048, 1], ids=["tiles", "matrix products"])
def test_what_cannot_be_felt_is_zero_and_not_denormal(most_units, monkeypatch):
    # Arithmetic with denormal numbers is a hundred times as slow on some CPUs.
    monkeypatch.setattr(dense, "_MOST_UNITS", most_units)
    hollow = np.ones((3, 3))
    hollow[1, 1] = 0.0
    model = fp.PatchModel(fp.PatchDictionary([hollow, 1.0 - hollow]))
    x, t = np.tile(hollow, (4, 4)), 0.01
    mean = model.posterior_mean(x, t)
    # Where the hollow pattern fits, the other's share would be about exp(-9 / 2t) = 1e-195.
    np.testing.assert_array_equal(mean[1::3, 1::3], 0.0)
    assert np.isfinite(mean).all()
