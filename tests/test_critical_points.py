"""Empirical critical points on curves that put them at known times, with decoys elsewhere."""

import math

import numpy as np
import pytest
import xarray as xr

import fastpatch as fp
from fastpatch.analysis import (
    critical_points,
    equilibrium_length_peak,
    fastest_growth,
    fit_equilibrium_length,
    softest_zero_mode,
    zero_mode_crossing,
)
from fastpatch.errors import InvalidInputError

GRID = fp.log_time_grid(steps=600)
LOG_T = np.log(GRID)
SPACING = LOG_T[0] - LOG_T[1]
T_C, T_LOCK = 3.2, 1.0
OPTIONS = {"n_resamples": 200}


def softening(times_of_crossing):
    """lambda_0 of a run: 1/2 at large t, negative between T_LOCK and each trajectory's own crossing, then stiff."""
    tc = np.asarray(times_of_crossing)[:, None]
    return 0.5 * np.log(GRID / tc) * np.log(GRID / T_LOCK) / (1.0 + np.log(GRID) ** 2)


def trajectories(n=8, spread=0.03, seed=0):
    return T_C * np.exp(spread * np.random.default_rng(seed).standard_normal(n))


def steps_apart(a, b):
    return abs(math.log(a / b)) / SPACING


def test_crossing_is_the_first_one_and_interpolated_in_log_t():
    times = np.array([T_C])
    lam = np.log(GRID / times[:, None])
    assert zero_mode_crossing(GRID, lam).time == pytest.approx(T_C, rel=1e-9)
    found = zero_mode_crossing(GRID, softening(times))
    assert steps_apart(found.time, T_C) < 0.1
    on_the_grid = np.sign(70.0 - np.arange(len(GRID)))[None]
    assert zero_mode_crossing(GRID, on_the_grid).time == pytest.approx(GRID[70], rel=1e-12)


def test_crossing_of_the_median_with_its_interval():
    tc = trajectories(9)
    found = zero_mode_crossing(GRID, softening(tc), **OPTIONS)
    assert found.time == pytest.approx(np.median(tc), rel=1e-3)
    assert tc.min() * 0.999 <= found.low < found.time < found.high <= tc.max() * 1.001
    assert found.found == 1.0


def test_missing_values_and_leading_zeros_do_not_cross():
    lam = softening([T_C])
    lam[0, :5] = 0.0
    lam[0, 20:30] = np.nan
    assert steps_apart(zero_mode_crossing(GRID, lam).time, T_C) < 0.1


@pytest.mark.parametrize("lam", [np.ones((3, 601)), np.zeros((3, 601)), np.full((3, 601), np.nan)])
def test_no_crossing_is_nan(lam):
    found = zero_mode_crossing(GRID, lam, **OPTIONS)
    assert math.isnan(found.time)
    assert math.isnan(found.low)
    assert found.found == 0.0


def test_a_crossing_in_some_trajectories_only_is_reported_as_such():
    lam = np.concatenate([softening([T_C] * 3), np.ones((2, len(GRID)))])
    found = zero_mode_crossing(GRID, lam, **OPTIONS)
    # The median crosses if at least three of the five drawn do: probability 0.683.
    assert found.found == pytest.approx(0.683, abs=0.12)
    assert found.time > 0.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize(("crossing", "interval"), [(15, True), (12, False)])
def test_there_is_an_interval_where_nineteen_of_twenty_resamples_have_the_point(crossing, interval):
    # Of 19 trajectories a median crosses if ten do: with 15 that cross in 0.998 of the resamples, with 12 in 0.89.
    lam = np.concatenate([softening(trajectories(crossing)), np.ones((19 - crossing, len(GRID)))])
    found = zero_mode_crossing(GRID, lam, **OPTIONS)
    assert (found.found >= 0.95) is interval
    assert math.isnan(found.low) is not interval


def test_fewer_than_four_trajectories_carry_no_interval():
    few, enough = (zero_mode_crossing(GRID, softening(trajectories(n)), **OPTIONS) for n in (3, 4))
    assert math.isnan(few.low)
    assert few.found == 1.0
    assert enough.low < enough.time < enough.high


def test_a_length_below_one_site_is_no_peak():
    xi_eq = np.tile(0.9 * np.exp(-0.5 * ((LOG_T - np.log(2.0)) / 0.4) ** 2), (5, 1))
    assert math.isnan(equilibrium_length_peak(GRID, xi_eq, np.ones_like(xi_eq)).time)
    assert math.isnan(equilibrium_length_peak(GRID, xi_eq, np.ones_like(xi_eq), peak="first").time)
    assert equilibrium_length_peak(GRID, 1.2 * xi_eq, np.ones_like(xi_eq)).time > 0.0


def test_peak_of_xi_eq_is_at_the_first_divergence():
    tc = trajectories()
    lambda_0 = softening(tc)
    k = 2 * np.pi / 80
    # A stiffness that does not soften: xi_eq = sqrt(kappa / lambda_0), much larger at the second divergence.
    kappa = np.where(GRID > 2.0, 0.3, 30.0)
    lam = lambda_0[..., None] + kappa[:, None] * (np.arange(4) * k) ** 2
    xi_eq = fit_equilibrium_length(lam, k)
    found = equilibrium_length_peak(GRID, xi_eq, lambda_0, **OPTIONS)
    assert GRID[np.unravel_index(np.nanargmax(xi_eq), xi_eq.shape)[1]] < 2.0
    # The median over half of the trajectories ends at the middle of their crossings.
    assert tc.min() * (1 - 2 * SPACING) < found.time < tc.max() * (1 + 2 * SPACING)
    assert found.time == pytest.approx(np.median(tc), rel=0.05)
    assert found.low <= found.time <= found.high


def test_peak_of_xi_eq_without_a_crossing_is_the_global_maximum():
    bump = 1.0 + 4.0 * np.exp(-0.5 * ((LOG_T - np.log(2.0)) / 0.4) ** 2)
    xi_eq = bump * np.linspace(0.8, 1.2, 5)[:, None]
    found = equilibrium_length_peak(GRID, xi_eq, np.ones_like(xi_eq), **OPTIONS)
    assert steps_apart(found.time, 2.0) <= 0.5
    # All resamples agree, and what remains is that a maximum on the grid may lie half a step to either side.
    assert steps_apart(found.low, found.time) == pytest.approx(2.776 / math.sqrt(12), rel=1e-3)
    assert found.high / found.time == pytest.approx(found.time / found.low)


def test_one_surviving_trajectory_does_not_make_the_peak():
    xi_eq = 5.0 * np.exp(-0.5 * ((LOG_T - np.log(2.0)) / 0.4) ** 2) * np.ones((5, 1))
    xi_eq[:4, 300:310] = np.nan
    xi_eq[4, 300:310] = 100.0
    assert steps_apart(equilibrium_length_peak(GRID, xi_eq, np.ones_like(xi_eq)).time, 2.0) <= 0.5
    for nothing in (np.zeros_like(xi_eq), np.full_like(xi_eq, np.nan)):
        assert math.isnan(equilibrium_length_peak(GRID, nothing, np.ones_like(xi_eq)).time)


def bumps(*heights_at):
    """A curve on GRID with Gaussian bumps of unit width in log t."""
    return sum(height * np.exp(-(np.log(GRID / at) ** 2)) for height, at in heights_at)


def test_the_first_peak_is_taken_on_request_however_high_a_later_one_is():
    tc = trajectories(9)
    xi_eq = np.array([bumps((10.0, at), (30.0, 0.02)) for at in tc])
    positive = np.ones_like(xi_eq)
    assert steps_apart(equilibrium_length_peak(GRID, xi_eq, positive).time, 0.02) < 2
    first = equilibrium_length_peak(GRID, xi_eq, positive, peak="first", **OPTIONS)
    assert steps_apart(first.time, np.median(tc)) < 3
    assert first.low <= first.time <= first.high
    assert tc.min() * 0.98 < first.low
    assert first.high < tc.max() * 1.02


def test_the_first_peak_is_no_ripple_and_no_end_of_the_grid():
    rising = np.linspace(0.0, 10.0, len(GRID))
    assert math.isnan(equilibrium_length_peak(GRID, rising[None], np.ones((1, 601)), peak="first").time)
    ripples = rising + 0.2 * np.sin(0.5 * np.arange(len(GRID)))
    falling_at_last = np.where(np.arange(len(GRID)) < 550, ripples, 1.0)
    found = equilibrium_length_peak(GRID, falling_at_last[None], np.ones((1, 601)), peak="first").time
    assert steps_apart(found, GRID[545]) <= 10


def test_the_first_peak_may_be_the_divergence_where_lambda_0_vanishes():
    lam = softening([T_C] * 3)
    xi_eq = np.where(lam > 0.0, 1.0 / np.sqrt(np.abs(lam)), np.nan)
    for peak in ("first", "highest"):
        assert steps_apart(equilibrium_length_peak(GRID, xi_eq, lam, peak=peak).time, T_C) <= 1


def test_refuses_another_peak():
    with pytest.raises(InvalidInputError, match="peak is 'last'; expected one of 'highest', 'first'"):
        equilibrium_length_peak(GRID, np.ones((1, 601)), np.ones((1, 601)), peak="last")


def test_softest_point_is_near_the_first_crossing():
    tc = trajectories(7, spread=0.01)
    lam = softening(tc)
    # A much deeper zero of |lambda_0| where the pattern locks.
    assert GRID[np.median(np.abs(lam), axis=0).argmin()] < 2.0
    found = softest_zero_mode(GRID, lam, **OPTIONS)
    assert found.time == pytest.approx(np.median(tc), rel=2 * SPACING)
    assert found.low <= found.time <= found.high


def test_softest_point_without_a_crossing_is_the_dip_not_the_small_values_at_large_noise():
    sigma = np.geomspace(80.0, 2e-3, 200)
    dip = 1.0 - 0.8 * np.exp(-0.5 * (np.log(sigma / 5.0) / 0.7) ** 2)
    dip[3] *= 0.9  # a shallow dip where the values are smallest
    lam = (dip / sigma) * np.linspace(0.95, 1.05, 6)[:, None]
    depth = np.log(dip / sigma)
    interior = np.flatnonzero((depth[1:-1] < depth[:-2]) & (depth[1:-1] < depth[2:])) + 1
    assert len(interior) == 2
    assert depth[interior[0]] < depth[interior[1]]
    found = softest_zero_mode(sigma, lam, **OPTIONS)
    assert found.time == sigma[interior[1]]
    assert math.isnan(softest_zero_mode(sigma, np.tile(1.0 / sigma, (3, 1)), **OPTIONS).time)


def test_a_dip_below_five_per_cent_is_no_softening():
    rng = np.random.default_rng(5)
    rounding = 0.5 + np.linspace(0.0, 1.0, len(GRID)) ** 8 + 1e-12 * rng.standard_normal((4, len(GRID)))
    found = softest_zero_mode(GRID, rounding, **OPTIONS)
    assert math.isnan(found.time)
    assert found.found == 0.0
    dip = np.exp(-((LOG_T - math.log(2.0)) ** 2))
    for depth, there in ((0.03, False), (0.10, True)):
        lam = np.tile(0.5 * (1.0 - depth * dip), (4, 1))
        assert math.isnan(softest_zero_mode(GRID, lam, **OPTIONS).time) is not there


def test_softest_point_on_a_coarse_grid_keeps_the_neighbours_of_the_crossing():
    sigma = np.array([1000.0, 100.0, 10.0, 1.0])
    lam = np.array([[3.0, 1.0, -2.0, -3.0]])
    assert zero_mode_crossing(sigma, lam).time == pytest.approx(100.0 * 10 ** (-1 / 3))
    assert softest_zero_mode(sigma, lam).time == 100.0


def test_fastest_growth_is_found_despite_jumps_of_single_trajectories():
    tc = trajectories(8, seed=1) / 2.0
    xi = 4.0 / (1.0 + (GRID / tc[:, None]) ** 2)
    clean = fastest_growth(GRID, xi, **OPTIONS)
    # The logistic curve in 2 log t is steepest at t = tc.
    assert clean.time == pytest.approx(np.median(tc), rel=0.03)
    # All in the same place, so that their mean derivative would win by far.
    xi[:3, 320:] += 12.0
    jumping = fastest_growth(GRID, xi, **OPTIONS)
    assert jumping.time == pytest.approx(clean.time, rel=0.05)
    assert jumping.low <= jumping.time <= jumping.high


def test_no_growth_is_nan():
    assert math.isnan(fastest_growth(GRID, np.tile(GRID, (3, 1)), **OPTIONS).time)
    assert math.isnan(fastest_growth(GRID, np.full((3, len(GRID)), np.nan), **OPTIONS).time)


@pytest.mark.parametrize("grid", [GRID, GRID[::20], np.linspace(80.0 ** (1 / 7), 0.002 ** (1 / 7), 64) ** 7])
@pytest.mark.parametrize("length", [1.0, 0.3, 1e4 / 7.0])
def test_rounding_is_no_growth(grid, length):
    constant = fastest_growth(grid, np.full((8, len(grid)), length), **OPTIONS)
    assert math.isnan(constant.time)
    assert constant.found == 0.0
    falls_and_stays = np.where(grid > 1.0, 1.0 + np.log(np.maximum(grid, 1.0)), 1.0) * length
    assert math.isnan(fastest_growth(grid, np.tile(falls_and_stays, (8, 1)), **OPTIONS).time)


def test_all_at_once_agrees_with_one_by_one_and_is_reproducible():
    tc = trajectories(5, seed=2)
    lambda_0, xi_x = softening(tc), 4.0 / (1.0 + (GRID / tc[:, None]) ** 2)
    xi_eq = np.where(lambda_0 > 0, 1.0 / np.sqrt(np.abs(lambda_0)), np.nan)
    points = critical_points(run(xi_x, xi_eq, lambda_0), seed=3, **OPTIONS)
    assert points == {
        "equilibrium_length_peak": equilibrium_length_peak(GRID, xi_eq, lambda_0, seed=3, **OPTIONS),
        "zero_mode_crossing": zero_mode_crossing(GRID, lambda_0, seed=3, **OPTIONS),
        "softest_zero_mode": softest_zero_mode(GRID, lambda_0, seed=3, **OPTIONS),
        "fastest_growth": fastest_growth(GRID, xi_x, seed=3, **OPTIONS),
    }
    order = np.argsort(-tc)
    again = critical_points(run(xi_x[order], xi_eq[order], lambda_0[order]), seed=3, **OPTIONS)
    assert {name: point.time for name, point in again.items()} == {name: point.time for name, point in points.items()}


def run(xi_x, xi_eq, lambda_0, along="time"):
    """A dataset of the form of `simulate`'s, in which lambda_0 is the mean over the axes but not the diagonal."""
    modes = np.stack([np.stack([0.9 * lambda_0, 1.1 * lambda_0, 5.0 + lambda_0], axis=-1)] * 2, axis=-2)
    return xr.Dataset(
        {
            "xi_x": (("trajectory", along), xi_x),
            "xi_eq": ((along, "trajectory"), xi_eq.T),
            "mode_derivative": (("trajectory", along, "shell", "direction"), modes),
        },
        {along: GRID, "shell": [3, 0]},
    )


def test_a_dataset_in_sigma_and_one_that_is_none():
    tc = trajectories(4)
    lambda_0 = softening(tc)
    dataset = run(np.ones_like(lambda_0), np.ones_like(lambda_0), lambda_0, along="sigma")
    assert critical_points(dataset)["zero_mode_crossing"].time == pytest.approx(np.median(tc), rel=1e-3)
    with pytest.raises(InvalidInputError, match="has xi_x, xi_eq over trajectory, sigma; expected"):
        critical_points(dataset[["xi_x", "xi_eq"]])
    with pytest.raises(InvalidInputError, match=r"the shells \[3\]; expected shell 0"):
        critical_points(dataset.isel(shell=[0]))


def test_interval_narrows_with_more_trajectories_and_covers():
    widths, hits = [], 0
    for seed in range(20):
        found = zero_mode_crossing(GRID, softening(trajectories(20, seed=seed)), confidence=0.9, **OPTIONS)
        hits += found.low <= T_C <= found.high
        widths.append(math.log(found.high / found.low))
    assert hits >= 14
    few = zero_mode_crossing(GRID, softening(trajectories(5)), confidence=0.9, **OPTIONS)
    assert np.mean(widths) < math.log(few.high / few.low)


def test_a_single_trajectory_has_no_interval():
    found = zero_mode_crossing(GRID, softening([T_C]))
    assert steps_apart(found.time, T_C) < 0.1
    assert all(map(math.isnan, (found.low, found.high, found.found)))


def test_what_is_refused():
    lam = softening(trajectories(3))
    with pytest.raises(InvalidInputError, match=r"lambda_0 has shape \(601,\)"):
        zero_mode_crossing(GRID, lam[0])
    with pytest.raises(InvalidInputError, match=r"expected \(n_trajectories, 600\)"):
        zero_mode_crossing(GRID[1:], lam)
    with pytest.raises(InvalidInputError, match=r"xi_eq and lambda_0 hold \[2, 3\] trajectories"):
        equilibrium_length_peak(GRID, lam[:2], lam)
    with pytest.raises(InvalidInputError, match="strictly decreasing"):
        softest_zero_mode(GRID[::-1], lam)
    with pytest.raises(InvalidInputError, match="width"):
        fastest_growth(GRID, lam, width=-1.0)
    with pytest.raises(InvalidInputError, match="confidence"):
        zero_mode_crossing(GRID, lam, confidence=95)
