"""The shell fit of eq. 51 on dispersions whose answer is known, and its rules for signs and gaps."""

import numpy as np
import pytest

from fastpatch.analysis import fit_equilibrium_length, fit_shell_slope
from fastpatch.errors import DtypeError, InvalidInputError

K_MIN = 2 * np.pi / 80
N = np.arange(7)


def quadratic(lambda_0, slope):
    """lambda_n = lambda_0 (1 + slope (n k_min)^2)."""
    return np.asarray(lambda_0)[..., None] * (1.0 + np.asarray(slope)[..., None] * (N * K_MIN) ** 2)


@pytest.mark.parametrize("shells", [(1, 2, 3), (2,), (6, 1, 4), range(1, 7)])
def test_quadratic_dispersion_is_recovered(shells):
    xi = np.array([[0.0, 0.3, 2.0], [5.0, 40.0, 1e3]])
    lam = quadratic(np.array([0.5, 1e-4, 300.0]) * np.ones((2, 1)), xi**2)
    np.testing.assert_allclose(fit_shell_slope(lam, K_MIN, shells), xi**2, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(fit_equilibrium_length(lam, K_MIN, shells)[xi > 0], xi[xi > 0], rtol=1e-9)


def test_fit_is_the_least_squares_line_through_the_origin():
    lam = 0.2 + np.random.default_rng(0).uniform(0.1, 1.0, size=(20, 7))
    for shells in ((1, 2, 3), (2, 5)):
        n = np.array(shells)
        target = lam[:, n] / lam[:, :1] - 1.0
        expected = np.linalg.lstsq(((n * K_MIN) ** 2)[:, None], target.T, rcond=None)[0][0]
        np.testing.assert_allclose(fit_shell_slope(lam, K_MIN, shells), expected, rtol=1e-12)


def test_cosine_dispersion_approaches_its_curvature():
    # lambda = r + 2 kappa (1 - cos q) has xi^2 = kappa / r up to corrections of order (3 k_min)^2.
    r, kappa = 0.05, 0.8
    for L, tolerance in ((80, 5e-3), (800, 5e-5)):
        q = N * 2 * np.pi / L
        found = fit_equilibrium_length(r + 2 * kappa * (1 - np.cos(q)), 2 * np.pi / L)
        assert found == pytest.approx(np.sqrt(kappa / r), rel=tolerance)


def test_sign_rules():
    lambda_0 = np.array([0.5, 0.5, -0.5, -0.5])
    slope = np.array([4.0, -4.0, 4.0, -4.0])
    lam = quadratic(lambda_0, slope)
    nan = np.nan
    np.testing.assert_allclose(fit_shell_slope(lam, K_MIN), slope, rtol=1e-9)
    np.testing.assert_allclose(fit_equilibrium_length(lam, K_MIN), [2.0, nan, nan, nan], rtol=1e-9)
    np.testing.assert_allclose(fit_equilibrium_length(lam, K_MIN, zero_mode_sign=-1), [nan, nan, 2.0, nan], rtol=1e-9)
    np.testing.assert_allclose(fit_equilibrium_length(lam, K_MIN, clip=True), [2.0, 0.0, 2.0, 0.0], rtol=1e-9)


def test_undefined_values_are_nan_without_a_warning():
    lam = np.tile(quadratic(0.5, 4.0), (6, 1))
    lam[0, 0] = 0.0
    lam[1, 0] = np.nan
    lam[2, 2] = np.nan
    lam[3, 1] = np.inf
    lam[4, 0] = 5e-324
    lam[5, 6] = np.nan  # a shell that is not fitted
    for clip in (False, True):
        found = fit_equilibrium_length(lam, K_MIN, clip=clip)
        assert np.isnan(found[:5]).all()
        assert found[5] == pytest.approx(2.0)
    assert np.isnan(fit_shell_slope(np.zeros((2, 7)), K_MIN)).all()


def test_only_the_ratio_and_k_min_matter():
    lam = quadratic(0.5, 4.0)
    assert fit_equilibrium_length(-7.0 * lam, K_MIN, zero_mode_sign=-1) == pytest.approx(2.0)
    assert fit_equilibrium_length(lam, 3.0 * K_MIN) == pytest.approx(2.0 / 3.0)


def test_shape_and_dtype():
    lam = np.tile(quadratic(0.5, 4.0), (2, 3, 1)).astype(np.float32)
    found = fit_equilibrium_length(lam, K_MIN)
    assert found.shape == (2, 3)
    assert found.dtype == np.float64
    assert isinstance(fit_equilibrium_length(lam[0, 0], K_MIN), float)
    assert fit_equilibrium_length([2, 3], 1.0, shells=[1]) == pytest.approx(np.sqrt(0.5))


def test_what_is_refused():
    lam = quadratic(0.5, 4.0)
    for shells in ((0, 1), (1, 7), (), (1, 1)):
        with pytest.raises(InvalidInputError):
            fit_equilibrium_length(lam, K_MIN, shells)
    for k_min in (0.0, -1.0, np.nan):
        with pytest.raises(InvalidInputError, match="k_min"):
            fit_shell_slope(lam, k_min)
    for bad in (np.float64(1.0), np.ones((3, 1))):
        with pytest.raises(InvalidInputError, match="n_shells"):
            fit_shell_slope(bad, K_MIN)
    with pytest.raises(DtypeError, match="complex128"):
        fit_shell_slope(lam.astype(complex), K_MIN)
    with pytest.raises(InvalidInputError, match="zero_mode_sign is 0"):
        fit_equilibrium_length(lam, K_MIN, zero_mode_sign=0)
