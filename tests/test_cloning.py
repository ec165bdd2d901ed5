"""Cloned runs and decided information of a patch machine, against independent spins, whose laws are known."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

import fastpatch as fp
from fastpatch.errors import InvalidInputError
from fastpatch.studies import cloning, patch_information

SPINS = fp.PatchModel(fp.PatchDictionary(np.array([[[1.0]], [[-1.0]]])))
TIMES = fp.log_time_grid(15.0, 1e-2, 400)


def overlap_of_spins(t):
    """E[m^2], m = tanh(alpha x / sigma^2), x = +-alpha + sigma z."""
    alpha, sigma = math.exp(-t / 2), math.sqrt(-math.expm1(-t))

    def integrand(z):
        weight = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return weight * math.tanh(alpha * (alpha + sigma * z) / sigma**2) ** 2

    return quad(integrand, -9, 9)[0]


def test_clones_of_independent_spins_overlap_as_their_posterior_says():
    found = cloning(SPINS, (40, 40), 10, TIMES, [15.0, 3.0, 1.0, 0.4, 0.01], seed=2)
    for t, overlap in zip(found["time"].values, found["sign_overlap"].mean("trajectory").values, strict=True):
        expected = 1.0 if t == TIMES[-1] else overlap_of_spins(t)
        # 16000 pairs of signs, and a step's error.
        assert abs(overlap - expected) < 4.0 / math.sqrt(16000) + 0.01
    np.testing.assert_allclose(found["correlation"].isel(time=-1), 1.0)
    assert abs(float(found["correlation"].isel(time=0).mean())) < 0.05


def test_clones_part_and_depend_on_the_seed_alone():
    model = fp.PatchModel(fp.PatchDictionary.random(size=3))
    times = fp.log_time_grid(10.0, 0.05, 60)
    first, again = (cloning(model, (10, 11), 3, times, levels=5, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first["sign_overlap"], again["sign_overlap"])
    assert first.sizes == {"trajectory": 3, "time": 5}
    mean = first["sign_overlap"].mean("trajectory")
    assert float(mean[-1]) == 1.0
    assert abs(float(mean[0])) < 0.9


def test_independent_spins_decide_log_two_a_site():
    found = patch_information(SPINS, (30, 30), 6, fp.log_time_grid(15.0, 2e-3, 1500), every=10)
    assert found.entropy == pytest.approx(math.log(2.0))
    assert found.calibration == pytest.approx(1.0, abs=0.02)
    assert found.runs == 6
    # Half of it is decided where the closed form says.
    share = 0.5 * math.log(2.0)

    def left(sigma):
        def entropy(z):
            a = 2.0 * (1.0 + sigma * z) / sigma**2
            return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * np.logaddexp(0.0, -a)

        return quad(entropy, -9, 9)[0]

    sigma = found.sigma_at(0.5)
    assert left(sigma) == pytest.approx(share, abs=0.01)


def test_bad_levels_are_named():
    with pytest.raises(InvalidInputError, match="number of levels"):
        cloning(SPINS, (4, 4), 1, TIMES, [-1.0])
    with pytest.raises(InvalidInputError, match="levels is 0"):
        cloning(SPINS, (4, 4), 1, TIMES, 0)
