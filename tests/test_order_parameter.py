"""Magnetization, its moments and Binder's cumulant: slow sums, and the two phases in which they are known."""

import numpy as np
import pytest

from fastpatch.analysis import binder_cumulant, magnetization, order_parameter_moments
from fastpatch.errors import DtypeError, InvalidInputError


def test_magnetization_is_the_mean_over_sites():
    fields = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype(np.float32)
    slow = [[sum(float(v) for v in field.ravel()) / 12 for field in row] for row in fields]
    signs = [[sum(1 if v >= 0 else -1 for v in field.ravel()) / 12 for field in row] for row in fields]
    np.testing.assert_allclose(magnetization(fields), slow, rtol=1e-12)
    np.testing.assert_array_equal(magnetization(fields, binarize=True), signs)
    assert magnetization(fields).dtype == np.float64
    np.testing.assert_allclose(order_parameter_moments(fields)[1, 2], np.abs(slow[1][2]) ** np.array([1, 2, 4]))


def test_sums_are_in_double_precision():
    assert magnetization(np.full((2000, 2000), 0.1, np.float32)) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_integers_and_booleans_are_what_they_look_like():
    assert magnetization(np.array([[1, 2], [3, 4]])) == 2.5
    assert magnetization(np.array([[True, False], [False, False]])) == -0.5


def test_binder_cumulant_of_both_phases():
    rng = np.random.default_rng(1)
    n = 9
    gaussian = binder_cumulant(rng.normal(size=(n, 40_000)))
    # m^4 / (m^2)^2 of n Gaussian values has the mean 3 n / (n + 2), exactly.
    assert gaussian.mean() == pytest.approx(2.0 / (n + 2), abs=4.0 * gaussian.std() / 200.0)
    assert abs(binder_cumulant(rng.normal(size=10**6))) < 0.01
    np.testing.assert_allclose(binder_cumulant(rng.choice([-0.7, 0.7], size=(5, 6)), axis=1), 2.0 / 3.0, rtol=1e-14)
    uniform = binder_cumulant(rng.uniform(-1, 1, size=10**6))
    assert uniform == pytest.approx(1.0 - (1 / 5) / (3 * (1 / 3) ** 2), abs=0.005)


def test_binder_cumulant_does_not_depend_on_the_unit_of_m():
    m = np.random.default_rng(2).normal(size=(8, 3))
    for unit in (1e-200, 1e200):
        np.testing.assert_allclose(binder_cumulant(unit * m), binder_cumulant(m), rtol=1e-12)


def test_missing_trajectories_are_left_out():
    m = np.random.default_rng(3).normal(size=(6, 4))
    m[4:, 1], m[1:, 2], m[:, 3] = np.nan, np.nan, 0.0
    found = binder_cumulant(m)
    assert found[1] == binder_cumulant(m[:4, 1])
    assert np.isnan(found).tolist() == [False, False, True, True]
    masked = np.ma.masked_array([1.0, -1.0, 900.0], [0, 0, 1])
    assert binder_cumulant(masked) == pytest.approx(2.0 / 3.0)


def test_moments_over_trajectories_give_the_cumulant():
    fields = np.random.default_rng(4).normal(size=(50, 8, 8))
    _, second, fourth = order_parameter_moments(fields).mean(axis=0)
    assert binder_cumulant(magnetization(fields)) == pytest.approx(1.0 - fourth / (3.0 * second**2), rel=1e-12)


def test_bad_input_is_refused():
    with pytest.raises(InvalidInputError, match="sum does not overflow"):
        magnetization(np.full((4, 4), 1e308))
    with pytest.raises(InvalidInputError, match="fourth power"):
        order_parameter_moments(np.full((4, 4), 1e100))
    with pytest.raises(DtypeError, match="m has dtype complex128"):
        binder_cumulant(np.zeros(3, complex))
    with pytest.raises(InvalidInputError, match="axis is 1"):
        binder_cumulant(np.zeros(3), axis=1)
