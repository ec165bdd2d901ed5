"""Dictionaries and patterns too large for the tile kernels: matrix products, held to the oracle and to the tiles."""

import numpy as np
import oracle
import pytest
import scipy.special

import fastpatch as fp
from fastpatch.analysis import fourier_modes
from fastpatch.kernels import dense
from fastpatch.noise import standard_normals

RNG = np.random.default_rng(7)
LARGE = {
    "many pairs": fp.PatchDictionary.random(n_random=2100),
    "many singles of unequal norm": fp.PatchDictionary(RNG.normal(size=(200, 3, 3))),
    "pairs and singles across a block": fp.PatchDictionary(
        np.concatenate([(half := RNG.normal(size=(100, 3, 3))), -half, RNG.normal(size=(60, 3, 3))])
    ),
    "small weights": fp.PatchDictionary(
        RNG.normal(size=(130, 3, 3)), scipy.special.softmax(RNG.uniform(-600.0, 0.0, 130))
    ),
    "wide patterns": fp.PatchDictionary.random(n_random=2, size=31),
}
SHAPE = (33, 37)


@pytest.fixture(params=LARGE, ids=str)
def model(request):
    found = fp.PatchModel(LARGE[request.param])
    assert dense.suits(found.plan)
    return found


@pytest.mark.parametrize("t", [0.05, 1.0, 3.3, 50.0])
def test_posterior_mean_is_that_of_the_oracle(model, t):
    x = RNG.normal(size=(2, *SHAPE))
    expected = [oracle.posterior_mean(field, t, model.dictionary.patterns, model.dictionary.prior) for field in x]
    np.testing.assert_allclose(model.posterior_mean(x, t), expected, rtol=0, atol=5e-12)


def test_derivatives_are_those_of_the_drift(model):
    x, t, step = RNG.normal(size=(41, 41)), 1.0, 1e-5
    found = model.mode_derivatives(x, t, shells=(0, 2, 5), diagonal=True)
    for v, exact in zip(
        fourier_modes(x.shape, (0, 2, 5), diagonal=True).reshape(-1, *x.shape), found.ravel(), strict=True
    ):
        slope = np.vdot(v, model.drift(x + step * v, t) - model.drift(x - step * v, t)) / (2 * step)
        assert exact == pytest.approx(slope, rel=1e-7, abs=1e-9)


def test_spectrum_holds_the_axis_modes(model):
    x = RNG.normal(size=SHAPE)
    spectrum, modes = model.spectrum(x, 0.7), model.mode_derivatives(x, 0.7, shells=range(5))
    np.testing.assert_allclose(spectrum[np.arange(5), 0], modes[:, 0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(spectrum[0, np.arange(5)], modes[:, 1], rtol=1e-12, atol=1e-12)


def test_both_paths_agree_where_both_can_work(monkeypatch):
    dictionary, x = fp.PatchDictionary.random(n_random=40), RNG.normal(size=(40, 95))
    tiles = fp.PatchModel(dictionary)
    assert not dense.suits(tiles.plan)
    expected = tiles.posterior_mean(x, 0.3), tiles.mode_derivatives(x, 0.3), tiles.spectrum(x, 0.3)
    monkeypatch.setattr(dense, "_MOST_UNITS", 1)
    found = tiles.posterior_mean(x, 0.3), tiles.mode_derivatives(x, 0.3), tiles.spectrum(x, 0.3)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-11, atol=1e-12)


def test_simulate_takes_the_same_steps(model):
    times = [1.0, 0.97, 0.95]
    x, _, last = (state.x for state in fp.states(model, SHAPE, 2, times, seed=3, dtype="float64"))
    for k, t in enumerate(times[:-1]):
        dt = times[k + 1] - t
        eta = standard_normals(x.shape, seed=3, step=k, dtype=np.float64)
        drift = [oracle.drift(field, t, model.dictionary.patterns, model.dictionary.prior) for field in x]
        x = x + dt * np.array(drift) + np.sqrt(-dt) * eta
    np.testing.assert_allclose(last, x, rtol=0, atol=1e-11)
