"""Scaling laws: known exponents come back within their intervals, and noise has none."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from study_cases import GRID, measured, small_sweep, softening_ensemble

import fastpatch as fp
from fastpatch.errors import InvalidInputError, OutputError
from fastpatch.studies import (
    Curve,
    Ensemble,
    FiniteSize,
    Measured,
    PriorMass,
    Quench,
    QuenchRate,
    collapse_measure,
    ensemble_observables,
    finite_size_scaling,
    fit_collapse,
    fit_power_law,
    fit_shift,
    quench_rate_dependence,
    scaling_report,
    scaling_study,
    trajectory_observables,
)
from fastpatch.studies.figures import draw_scaling, save_scaling
from fastpatch.studies.kinds import study_kind
from fastpatch.studies.measured import Exponent, median_of
from fastpatch.studies.report import shown_exponent
from fastpatch.sweeps import Parameters

SIDES = [8, 12, 16, 24, 32, 64, 128]


def covers(found, value, widened=1.0):
    """Whether an interval, widened about its middle, holds a value."""
    low, high = found.interval
    return abs(value - 0.5 * (low + high)) <= 0.5 * widened * (high - low)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_observables_of_a_trajectory_are_those_of_its_curves(rng):
    run = softening_ensemble(3.2, 0.05, rng)
    each = trajectory_observables(run.times, run.xi_x, run.xi_eq, run.lambda_0)
    # lambda_0 = log t + constant: its zero is exact, and the highest xi_eq is at the last record before it.
    exact = np.exp(np.log(GRID) - run.lambda_0)[:, 0]
    np.testing.assert_allclose(each.zero_time, exact, rtol=1e-9)
    last = np.array([GRID[zero < GRID].min() for zero in exact])
    np.testing.assert_allclose(each.peak_time, last)
    np.testing.assert_allclose(each.peak_height, np.log(last / exact) ** -0.5, rtol=1e-9)
    assert (each.cut_off == 1.0).all()
    np.testing.assert_array_equal(each.final_length, run.xi_x[:, -1])


def test_a_peak_before_the_zero_is_not_cut_off():
    log_t = np.log(GRID)
    bump = 9.0 * np.exp(-(((log_t - math.log(5.0)) / 0.2) ** 2))[None]
    each = trajectory_observables(GRID, 0.0 * bump, bump, (log_t - math.log(3.0))[None])
    assert abs(math.log(each.peak_time[0] / 5.0)) < 0.02
    assert each.cut_off[0] == 0.0


def test_noise_in_time_does_not_move_the_zero_of_an_ensemble(rng):
    # Each record with noise of its own: the first sign change is early, the fitted zero is not.
    quiet = softening_ensemble(3.2, 0.0, rng, trajectories=16)
    zeros = []
    for _ in range(12):
        noisy = quiet.lambda_0 + 0.2 * rng.standard_normal(quiet.lambda_0.shape)
        run = Ensemble(quiet.times, quiet.xi_x, quiet.xi_eq, noisy)
        zeros.append(ensemble_observables(run, n_resamples=10).zero_time.value)
    first = [trajectory_observables(run.times, run.xi_x, run.xi_eq, run.lambda_0).zero_time.mean()]
    error = np.std(zeros) / math.sqrt(len(zeros))
    assert abs(np.mean(zeros) - 3.2) < 4.0 * error < 0.1
    assert np.mean(first) > 3.5


def test_intervals_narrow_with_trajectories(rng):
    found = [ensemble_observables(softening_ensemble(3.2, 0.1, rng, trajectories=n)).zero_time.error for n in (16, 144)]
    assert 2.0 < found[0] / found[1] < 4.5
    assert 0.6 < found[1] / (3.2 * 0.1 / 12.0) < 1.5


def test_runs_without_values_are_left_out(rng):
    run = softening_ensemble(3.2, 0.05, rng, trajectories=6)
    holes = [np.concatenate([part, np.full_like(part[:2], np.nan)]) for part in (run.xi_x, run.xi_eq, run.lambda_0)]
    padded = Ensemble(run.times, *holes)
    assert len(padded) == 6
    first, second = (ensemble_observables(one, n_resamples=50) for one in (run, padded))
    assert first.zero_time.interval == second.zero_time.interval
    assert first.final_length.value == second.final_length.value
    with pytest.raises(InvalidInputError, match="no value in any trajectory"):
        Ensemble(run.times, *(np.full_like(part, np.nan) for part in holes))


def test_a_run_without_a_zero_has_no_critical_time(rng):
    run = softening_ensemble(1e-3, 0.05, rng)
    found = ensemble_observables(run, n_resamples=20)
    assert math.isnan(found.zero_time.value)
    assert math.isnan(found.zero_time.error)
    study = finite_size_scaling({8: run, 16: run, 32: run}, n_resamples=20)
    assert "no size has a critical time" in study.shift.reason
    assert study.collapse is None
    assert "none" in scaling_report(study)
    assert "none [" not in scaling_report(study)
    assert max(map(len, scaling_report(study).splitlines())) <= 80


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_shift_recovers_limit_and_exponent(exponent, rng):
    times = [measured(3.0 + 4.0 * L**-exponent, 0.003, rng) for L in SIDES]
    found = fit_shift(SIDES, times)
    assert not found.reason
    assert covers(found.inverse_nu, exponent, 1.5)
    assert covers(found.limit, 3.0, 1.5)
    assert found.p_constant < 1e-6 < found.p_shift


def test_intervals_of_the_shift_cover_as_often_as_they_say(rng):
    hits = 0
    for _ in range(30):
        found = fit_shift(SIDES, [measured(3.0 + 4.0 / L, 0.01, rng, 60) for L in SIDES])
        hits += covers(found.inverse_nu, 1.0)
    assert hits >= 24


def few_runs(L, trajectories, rng):
    """Critical times 3 + 4 / L of some trajectories each, with a bootstrap of their mean."""
    values = 3.0 + 4.0 / np.array(L)[:, None] + 0.05 * rng.standard_normal((len(L), trajectories))
    draws = rng.integers(trajectories, size=(100, trajectories))
    return [Measured(float(row.mean()), row[draws].mean(axis=1), trajectories) for row in values]


def test_intervals_of_the_shift_know_how_few_trajectories_there_are(rng):
    fits = [fit_shift(SIDES, few_runs(SIDES, 4, rng)) for _ in range(40)]
    # Percentiles of so few resampled means hold either about 26 times.
    assert sum(covers(one.inverse_nu, 1.0) for one in fits) >= 33
    assert sum(covers(one.limit, 3.0) for one in fits) >= 33
    few = fit_shift(SIDES, few_runs(SIDES, 3, rng))
    assert np.isfinite([few.limit.value, few.amplitude.value, few.inverse_nu.value]).all()
    assert np.isnan([few.limit.interval, few.amplitude.interval, few.inverse_nu.interval]).all()
    assert "[" not in shown_exponent(few)


def test_an_exponent_is_cut_off_after_its_interval_is_taken():
    logarithm = Measured(0.0, np.linspace(-6.0, 6.0, 101))
    found = Exponent.of(logarithm, (0.1, 10.0))
    assert found.interval == pytest.approx((0.1, 10.0))
    assert Exponent.of(logarithm, (1e-9, 1e9)).interval == pytest.approx(tuple(np.exp(logarithm.interval)))
    assert (found.value, found.resampled.min(), found.resampled.max()) == pytest.approx((1.0, 0.1, 10.0))


def test_flat_times_leave_the_exponent_open(rng):
    claimed = [fit_shift(SIDES, [measured(3.2, 0.01, rng, 40) for _ in SIDES]) for _ in range(60)]
    assert sum(any(one.open_ends) for one in claimed) >= 59
    assert sum(all(one.open_ends) for one in claimed) >= 50
    assert sum("does not depend on L" in one.remark for one in claimed) >= 55
    assert covers(claimed[0].mean, 3.2, 2.0)
    # t_c(inf) is there whether or not a shift is significant, and covers.
    assert sum(covers(one.limit, 3.2) for one in claimed) >= 54


def test_a_shift_that_is_no_power_is_called_so(rng):
    times = [measured(3.0 + 0.5 * math.sin(3.0 * math.log(L)), 0.01, rng) for L in SIDES]
    found = fit_shift(SIDES, times)
    assert "no power of L describes the data" in found.remark
    # The least squares miss by many errors, and the interval says so.
    assert all(found.open_ends)


def test_a_shift_seen_at_one_size_only_leaves_the_exponent_open(rng):
    times = [measured(3.0 + (0.06 if L == 8 else 0.0), 0.01, rng) for L in SIDES]
    found = fit_shift(SIDES, times)
    assert any(found.open_ends)
    assert "open" in shown_exponent(found)


def test_three_sizes_are_too_few_for_three_parameters(rng):
    assert (
        "fewer than four sizes"
        in fit_shift([8, 16, 32], [measured(3.0 + 1.0 / L, 1e-3, rng) for L in (8, 16, 32)]).reason
    )


@pytest.mark.parametrize("exponent", [-0.33, 0.5])
def test_power_law_recovers_its_exponent(exponent, rng):
    x = np.geomspace(1e-3, 1e-1, 8)
    found = fit_power_law(x, [measured(2.0 * v**exponent, 0.05 * 2.0 * v**exponent, rng) for v in x])
    assert covers(found.exponent, exponent, 1.5)
    assert not found.reason
    assert found.amplitude == pytest.approx(2.0, rel=0.3)


def test_constants_and_curves_are_called_so(rng):
    x = np.geomspace(1e-3, 1e-1, 8)
    flat = fit_power_law(x, [measured(3.0, 0.1, rng) for _ in x])
    assert "a constant describes the data, too" in flat.remark
    assert covers(flat.exponent, 0.0, 1.5)
    levels_off = fit_power_law(x, [measured(3.0 + 40.0 * v, 0.05, rng) for v in x])
    assert "no power law describes the data" in levels_off.remark
    # As wide as the distance of the data from the law asks for: between the slopes of its two ends.
    low, high = levels_off.exponent.interval
    assert high - low > 0.05
    nothing = fit_power_law(x, [Measured(math.nan, np.full(4, np.nan)) for _ in x])
    assert "fewer than three" in nothing.reason


def test_small_exponents_are_neither_exaggerated_nor_missed(rng):
    """What is reported only where it is significant is too large: here the mean over all fits is the true one."""
    x, n = np.geomspace(1.0, 16.0, 5), 16
    fits = []
    for _ in range(150):
        samples = [v**0.05 * np.exp(0.4 * rng.standard_normal(n)) for v in x]
        draws = rng.integers(n, size=(200, n))
        fits.append(fit_power_law(x, [median_of(one, draws) for one in samples]))
    exponents = np.array([one.exponent.value for one in fits])
    significant = [one.exponent.value for one in fits if one.p_constant < 0.05]
    assert exponents.mean() == pytest.approx(0.05, abs=4.0 * exponents.std() / math.sqrt(150))
    assert np.mean(significant) > 0.07
    assert np.mean([covers(one.exponent, 0.05) for one in fits]) > 0.9


def curves(inverse_nu, rng, *, t_c=3.0, error=0.01, scaling=True):
    """xi / L = f((t - t_c) L^(1/nu)) at four sizes, with times that resolve f alike; or xi = f(t - t_c) at all."""
    found = []
    for L in (16, 24, 32, 48):
        width = L**-inverse_nu if scaling else 16.0**-inverse_nu
        times = t_c + 4.0 * width * np.linspace(-1.0, 2.0, 45)
        exact = (L if scaling else 1.0) / (1.5 + np.tanh((times - t_c) / width / 2.0))
        noise = error * exact
        values = exact + noise * rng.standard_normal(exact.shape)
        found.append(Curve(L, times, values, noise, values + noise * rng.standard_normal((60, len(times)))))
    return found


@pytest.mark.parametrize("inverse_nu", [0.7, 1.0, 1.6])
def test_collapse_recovers_the_exponent(inverse_nu, rng):
    found = fit_collapse(curves(inverse_nu, rng))
    assert not found.reason
    assert covers(found.inverse_nu, inverse_nu, 1.5)
    assert covers(found.t_c, 3.0, 1.5)
    assert 0.6 < found.measure < 1.5
    assert found.unscaled > 20.0


def test_intervals_of_the_collapse_know_how_few_trajectories_there_are(rng):
    exact = curves(1.0, rng)
    whole, four, three = (fit_collapse([replace(curve, count=count) for curve in exact]) for count in (None, 4, 3))
    # Student's factor of four, and what resampling four values loses, beside 1.96.
    expected = 3.182 / 1.96 / math.sqrt(0.75)
    for name in ("t_c", "inverse_nu"):
        widths = [np.ptp(np.log(getattr(found, name).interval)) for found in (whole, four)]
        assert widths[1] / widths[0] == pytest.approx(expected, rel=0.2)
    assert "fewer than 4 trajectories" in three.reason
    assert math.isnan(three.inverse_nu.value)
    assert np.isfinite(three.best).all()


def test_a_collapse_beyond_its_errors_is_as_much_wider(rng):
    found = curves(1.0, rng)
    tight = [Curve(c.L, c.times, c.values, c.errors / 1.5, c.values + (c.resampled - c.values) / 1.5) for c in found]
    whole, scattered = fit_collapse(found), fit_collapse(tight)
    assert scattered.measure == pytest.approx(2.25 * whole.measure, rel=0.01)
    # Errors that are too small by 1.5 give the interval of the right ones.
    widths = [np.ptp(np.log(one.inverse_nu.interval)) for one in (whole, scattered)]
    assert widths[1] == pytest.approx(widths[0], rel=0.35)


def test_curves_that_do_not_depend_on_the_size_are_seen_as_such(rng):
    found = fit_collapse(curves(1.0, rng, scaling=False))
    assert 0.6 < found.unscaled < 1.5
    assert "do not fall on one another" in found.reason
    assert math.isnan(found.inverse_nu.value)


def test_collapse_measure_is_one_for_noise_and_grows_with_distance(rng):
    x = [np.sort(rng.uniform(0.0, 1.0, 200)) for _ in range(4)]
    errors = [np.full(200, 0.1)] * 4
    y = [2.0 * one + 0.1 * rng.standard_normal(200) for one in x]
    same = collapse_measure(x, y, errors)
    assert same == pytest.approx(1.0, abs=0.15)
    assert collapse_measure(x, [y[0] + 1.0, *y[1:]], errors) > 10.0 * same
    assert math.isinf(collapse_measure([one + 2.0 * k for k, one in enumerate(x)], y, errors))


def test_quench_rate_is_the_logarithmic_step_whatever_beta():
    grid = fp.log_time_grid(16.0, 1e-3, 640)
    for beta in (0.5, 2.0):
        assert Quench(beta, 640, 16.0, 1e-3).rate == pytest.approx(math.log(grid[100] / grid[101]))
    with pytest.raises(InvalidInputError, match="t_max > t_min"):
        Quench(1.0, 640, 1e-3, 16.0)


def test_quench_study_recovers_a_known_law_for_every_beta(rng):
    ensembles = {}
    for steps in (50, 100, 200, 400, 800, 1600):
        for beta, exponent in ((1.0, -0.25), (2.0, 0.0)):
            quench = Quench(beta, steps, 16.0, 1e-3)
            ensembles[quench] = softening_ensemble(3.2 / beta, 0.05, rng, final=2.0 * quench.rate**exponent)
    study = quench_rate_dependence(ensembles, n_resamples=100)
    assert covers(study.laws[1.0].exponent, -0.25, 1.5)
    assert covers(study.slow[1.0].exponent, -0.25, 2.0)
    assert "constant" in study.laws[2.0].remark
    assert covers(study.laws[2.0].exponent, 0.0, 1.5)
    assert "a constant describes the data, too" in scaling_report(study)
    figure = draw_scaling(study)
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]


def test_a_size_dependent_machine_is_measured_as_such(rng):
    """The whole study of ensembles whose critical time moves as 3 + 8 / L and whose domains grow as L^0.5."""
    ensembles = {
        L: softening_ensemble(3.0 + 8.0 / L, 0.6 / L, rng, trajectories=32, final=L**0.5) for L in (8, 16, 32, 64, 128)
    }
    study = finite_size_scaling(ensembles, n_resamples=100)
    assert covers(study.shift.inverse_nu, 1.0, 1.5)
    assert covers(study.shift.limit, 3.0, 1.5)
    assert covers(study.final_length.exponent, 0.5, 1.5)
    # These peaks are where a record happens to be, and the report says so.
    assert "spacing of records" in scaling_report(study)


def test_sweep_over_sizes(tmp_path):
    dataset = small_sweep(shape=[8, 12, 16, 24], replicas=2)
    study = scaling_study(dataset, n_resamples=100)
    assert isinstance(study, FiniteSize)
    np.testing.assert_array_equal(study.L, [8, 12, 16, 24])
    # Replicas are pooled: the first size has the trajectories of its two points.
    pooled = dataset["xi_x"].isel(point=[0, 1], record=-1).to_numpy()
    assert study.observables[0].final_length.value == pytest.approx(np.median(pooled))
    for one in study.observables:
        assert 2.2 < one.zero_time.value < 4.2
    path = save_scaling(study, tmp_path, "Finite size")
    assert path.name == "finite_size.png"
    assert path.stat().st_size > 10_000
    with pytest.raises(OutputError):
        save_scaling(study, tmp_path / "absent")


def test_unfinished_points_are_not_used():
    dataset = small_sweep(shape=[8, 12, 16])
    finished = dataset["finished"].copy(data=[True, False, True])
    dataset["xi_x"][1], dataset["xi_eq"][1], dataset["mode_derivative"][1] = np.nan, np.nan, np.nan
    study = scaling_study(dataset.assign_coords(finished=finished), n_resamples=20)
    np.testing.assert_array_equal(study.L, [8, 16])
    with pytest.raises(InvalidInputError, match="no finished point"):
        scaling_study(dataset.assign_coords(finished=finished & False))


def test_points_without_numbers_are_left_out():
    dataset = small_sweep(shape=[8, 12, 16])
    dataset["mode_derivative"][1], dataset["xi_x"][2, 0] = np.inf, np.inf
    study = scaling_study(dataset, n_resamples=20)
    np.testing.assert_array_equal(study.L, [8, 16])
    kept = dataset["xi_x"].isel(point=2, record=-1).to_numpy()[1:]
    assert study.observables[1].final_length.value == pytest.approx(np.median(kept))
    with pytest.raises(InvalidInputError, match="has a value"):
        scaling_study(dataset.isel(point=[1]))


def test_the_summary_is_made_once_for_every_extent_of_a_sweep(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    pytest.importorskip("zarr")
    from sweep_cases import threaded_client

    from fastpatch.cli.scaling import scaling_summary
    from fastpatch.sweeps import load_spec
    from fastpatch.sweeps.run import complete

    spec = {
        "title": "sides",
        "records": 20,
        "shells": 3,
        "parameters": {"shape": [8, 12], "steps": 20, "trajectories": 2, "solver": "ancestral"},
    }
    wider = {**spec, "parameters": {**spec["parameters"], "shape": [8, 12, 16]}}
    mixed = {**spec, "parameters": {**spec["parameters"], "patch_size": [3, 5]}}
    with threaded_client() as client:
        store, _ = complete(load_spec(spec), tmp_path, client)
        first = scaling_summary(store, tmp_path)
        assert first.startswith("sides: 2 points (results ")
        assert (tmp_path / "scaling.txt").read_text() == f"{first}\n"
        assert (tmp_path / "finite_size.png").exists()
        with monkeypatch.context() as patched:
            patched.setattr("fastpatch.studies.scaling_study", None)
            assert scaling_summary(store, tmp_path) == first
        (tmp_path / "finite_size.png").unlink()
        assert scaling_summary(store, tmp_path) == first
        assert (tmp_path / "finite_size.png").exists()
        (tmp_path / "scaling.txt").write_bytes(b"\xff\xfe")
        assert scaling_summary(store, tmp_path) == first
        store, _ = complete(load_spec(wider), tmp_path, client, extend=True)
        assert scaling_summary(store, tmp_path).startswith("sides: 3 points (results ")
        store, _ = complete(load_spec(mixed), tmp_path / "mixed", client)
        assert scaling_summary(store, tmp_path / "mixed") is None
    assert not (tmp_path / "mixed" / "scaling.txt").exists()


def test_sweep_over_prior_masses_stands_beside_its_own_theory():
    dataset = small_sweep(uniform_mass=[0.5, 1.0], trajectories=12, records=120)
    study = scaling_study(dataset, n_resamples=100)
    assert isinstance(study, PriorMass)
    # Two uniform patterns alone: Omega = 25.
    assert study.predictions["score"][1] == pytest.approx(math.log(26.0))
    assert study.predictions["drift"][1] == pytest.approx(math.asinh(25.0))
    assert study.predictions["renormalised"][0] < study.predictions["renormalised"][1]
    assert study.measured[0] < study.measured[1]
    assert abs(study.deviation("score")[1]) < 0.1
    assert study.deviation("drift")[1] < -0.1
    assert "measured over renormalised" in scaling_report(study)
    assert len(draw_scaling(study).axes) == 2


def test_sweep_over_steps_with_records_of_different_number():
    dataset = small_sweep(steps=[30, 60, 90, 240])
    assert np.isnan(dataset["time"]).any()
    study = scaling_study(dataset, n_resamples=50)
    assert isinstance(study, QuenchRate)
    assert [quench.steps for quench in study.quenches] == [30, 60, 90, 240]
    assert study.rates[0] == pytest.approx(math.log(1200.0) / 30)
    assert scaling_report(study).count("\n") >= 6


@pytest.mark.parametrize("axis", [{"patch_size": [3, 5]}, {"shape": [8]}])
def test_other_sweeps_are_no_scaling_study(axis):
    with pytest.raises(InvalidInputError, match="expected shapes of squares alone"):
        scaling_study(small_sweep(records=10, trajectories=1, **axis))


def test_sides_of_rectangles_are_no_sizes():
    shapes = [Parameters(shape=shape) for shape in ((8, 8), (12, 12), (12, 8))]
    assert study_kind(shapes[:2]) == "finite-size"
    assert study_kind(shapes) is None


def test_results_follow_from_data_and_seed(rng):
    run = softening_ensemble(3.2, 0.1, rng)
    first, same, other = (ensemble_observables(run, n_resamples=50, seed=seed).zero_time for seed in (0, 0, 1))
    assert first.interval == same.interval != other.interval


def test_importing_the_study_loads_neither_dask_nor_pyplot():
    code = (
        "import sys, fastpatch.studies; print([m for m in ('dask', 'zarr', 'torch', 'matplotlib') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "[]"


def test_equal_resamples_are_no_error():
    one = Measured(3.7, np.full(400, 3.7) + np.tile([0.0, 4.4e-16], 200), 1)
    assert math.isnan(one.error)
    assert all(map(math.isnan, one.interval))
    law = fit_power_law([1.0, 2.0, 4.0, 8.0], [one] * 4)
    assert law.reason == "no errors are known, hence no test"
    assert fit_shift([16, 32, 64, 128], [one] * 4).reason == "no errors are known, hence no test"


@pytest.mark.slow
@pytest.mark.parametrize("trajectories", [4, 16])
def test_a_constant_is_rejected_as_rarely_as_is_said(trajectories):
    # Errors from a few trajectories are themselves uncertain: taken as exact, they reject one truth in four.
    rng = np.random.default_rng(trajectories)
    rejected, repetitions = 0, 300
    for _ in range(repetitions):
        values = 3.2 + np.array([[1.0], [2.0], [0.5], [1.0], [1.5]]) * rng.standard_normal((5, trajectories))
        draws = rng.integers(trajectories, size=(200, trajectories))
        means = [Measured(float(row.mean()), row[draws].mean(axis=1), trajectories) for row in values]
        rejected += fit_shift([16, 32, 64, 128, 256], means).p_constant < 0.01
    assert rejected / repetitions < 0.035


def test_the_documented_way_to_the_last_record_has_a_value_for_every_point():
    # Recorded every second and every third time: 30 and 40 records and the first.
    dataset = small_sweep(steps=[60, 120], records=50, trajectories=2)
    assert np.isnan(dataset["xi_x"].isel(record=-1)).any()
    last = dataset.time.notnull().sum("record").compute() - 1
    final = dataset["xi_x"].isel(record=last)
    assert final.dims == ("point", "trajectory")
    np.testing.assert_allclose(dataset["time"].isel(record=last), 0.01)
    assert np.isfinite(final.groupby("steps").mean(...)).all()
