"""The smoothed logarithmic derivative on curves whose smoothed derivative is known in closed form."""

import time

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.analysis import log_time_derivative
from fastpatch.errors import DtypeError, InvalidInputError

GRID = fp.log_time_grid()
# The noise levels of the EDM sampler, whose steps in log sigma grow fourfold along the run.
EDM = np.linspace(80.0 ** (1 / 7), 0.002 ** (1 / 7), 64) ** 7
GRIDS = {"paper": GRID, "EDM": EDM, "two times": np.array([3.0, 0.5]), "float32": GRID.astype(np.float32)}


@pytest.mark.parametrize("width", [0.0, 0.003, 0.2, 2.0])
@pytest.mark.parametrize("times", GRIDS.values(), ids=GRIDS.keys())
def test_a_line_in_log_t_keeps_its_slope_up_to_both_ends(times, width):
    xi = 3.0 - 1.7 * np.log(times.astype(np.float64))
    np.testing.assert_allclose(log_time_derivative(xi, times, width), -1.7, rtol=1e-4 if times.dtype != float else 1e-9)


def test_growth_along_the_reverse_run_is_negative():
    xi = np.linspace(0.0, 4.0, len(GRID))
    assert (log_time_derivative(xi, GRID) < 0.0).all()


@pytest.mark.parametrize("width", [0.05, 0.2, 0.5])
def test_smoothing_attenuates_a_wave_by_the_gaussian_factor(width):
    log_t, omega = np.log(GRID), 3.0
    found = log_time_derivative(np.sin(omega * log_t), GRID, width)
    expected = omega * np.exp(-0.5 * (omega * width) ** 2) * np.cos(omega * log_t)
    inside = (log_t - log_t[-1] > 5 * width) & (log_t[0] - log_t > 5 * width)
    # The filter cuts the Gaussian at four standard deviations.
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-3)


def test_uneven_grids_give_the_same_derivative():
    log_t = np.log(EDM)
    found = log_time_derivative(np.tanh(log_t), EDM, 0.2)
    fine = fp.log_time_grid(80.0, 0.002, 4000)
    expected = np.interp(log_t, np.log(fine)[::-1], log_time_derivative(np.tanh(np.log(fine)), fine, 0.2)[::-1])
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_without_smoothing_it_is_the_central_difference():
    xi = np.random.default_rng(0).standard_normal(len(GRID))
    found = log_time_derivative(xi, GRID, 0.0)
    np.testing.assert_allclose(found[1:-1], np.gradient(xi, np.log(GRID))[1:-1], rtol=1e-6, atol=1e-6)


def test_noise_is_averaged_as_a_gaussian_filter_predicts():
    noise = np.random.default_rng(1).standard_normal((40, len(GRID)))
    spacing = -np.diff(np.log(GRID)).mean()
    width = 0.2
    # White noise of variance s^2 becomes a derivative of variance s^2 h / (4 sqrt(pi) w^3).
    expected = np.sqrt(spacing / (4 * np.sqrt(np.pi) * width**3))
    assert log_time_derivative(noise, GRID, width)[:, 200:-200].std() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("times", "width"), [(GRID, 0.2), (GRID, 0.05), (np.geomspace(80.0, 0.002, 32), 0.4)])
def test_noise_at_the_ends_is_that_of_the_inside(times, width):
    noise = np.random.default_rng(4).standard_normal((3000, len(times)))
    error = log_time_derivative(noise, times, width).std(axis=0)
    inside = np.sqrt((error**2)[len(times) // 3 : -(len(times) // 3)].mean())
    # Each standard deviation is known to 1.3 %.
    np.testing.assert_allclose(error / inside, 1.0, atol=0.07)


def test_a_curve_may_end_before_the_grid_does():
    xi = np.where(np.abs(np.log(GRID)) < 2.0, 3.0 + 0.7 * np.log(GRID), np.nan)
    present = ~np.isnan(xi)
    np.testing.assert_allclose(log_time_derivative(xi, GRID)[present], 0.7, rtol=1e-9)


def test_linear_in_the_curve_and_blind_to_constants():
    a, b = np.random.default_rng(2).standard_normal((2, len(GRID)))
    da, db = log_time_derivative(np.stack([a, b]), GRID)
    np.testing.assert_allclose(log_time_derivative(2 * a - b + 5.0, GRID), 2 * da - db, atol=1e-9)


def test_missing_values_are_bridged_and_stay_missing():
    xi = -0.5 * np.log(GRID)
    with_gap = np.stack([xi, xi, np.full_like(xi, np.nan), np.full_like(xi, np.nan)])
    with_gap[1, 500:560] = np.nan
    with_gap[3, 100] = 1.0
    found = log_time_derivative(with_gap, GRID)
    np.testing.assert_allclose(found[0], -0.5, rtol=1e-9)
    np.testing.assert_array_equal(np.isnan(found[1]), np.isnan(with_gap[1]))
    np.testing.assert_allclose(found[1][~np.isnan(found[1])], -0.5, rtol=1e-9)
    assert np.isnan(found[2:]).all()


def test_leading_axes():
    xi = np.random.default_rng(3).standard_normal((2, 3, 50)).astype(np.float32)
    times = fp.log_time_grid(steps=49)
    found = log_time_derivative(xi, times)
    assert found.shape == xi.shape
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found[1, 2], log_time_derivative(xi[1, 2], times))


def test_what_is_refused():
    xi = np.zeros(len(GRID))
    with pytest.raises(InvalidInputError, match="last axis to match the 2001 times"):
        log_time_derivative(xi[1:], GRID)
    with pytest.raises(InvalidInputError, match="infinite"):
        log_time_derivative(np.where(GRID > 1, np.inf, 0.0), GRID)
    with pytest.raises(DtypeError, match="complex"):
        log_time_derivative(xi + 0j, GRID)
    with pytest.raises(InvalidInputError, match="width"):
        log_time_derivative(xi, GRID, -0.1)
    with pytest.raises(InvalidInputError, match="strictly decreasing"):
        log_time_derivative(xi, GRID[::-1])
    with pytest.raises(InvalidInputError, match="uniform samples"):
        log_time_derivative([0.0, 1.0, 2.0], [1.0, 1.0 - 1e-9, 1e-3], width=0.0)


def test_two_times_that_lie_close_cost_nothing():
    grid, between = fp.log_time_grid(steps=1000), 500
    closer = np.insert(grid, between, grid[between] * (1.0 + 1e-9))
    wave = np.sin(np.log(closer))
    start = time.perf_counter()
    found = np.delete(log_time_derivative(wave, closer), between)
    # Samples as close as these two times would be more than 2**20, and their kernel minutes for a few thousand.
    assert time.perf_counter() - start < 10.0
    np.testing.assert_allclose(found, log_time_derivative(np.delete(wave, between), grid), atol=2e-3)
