"""The paper's patch experiment in its full size shows the paper's phenomena (Sec. 6, Fig. 3 top)."""

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.analysis import critical_points, shell_average


@pytest.fixture(scope="module")
def curves(main_job):
    """Medians over the four trajectories: times, xi_x, lambda_n (time, shell)."""
    shells = shell_average(main_job["mode_derivative"].to_numpy())
    return main_job["time"].to_numpy(), np.median(main_job["xi_x"], axis=0), np.median(shells, axis=0)


def at(times, t):
    return int(np.abs(np.log(times / t)).argmin())


def test_configuration_is_that_of_the_appendix(main_job):
    assert main_job.sizes["time"] == 2001
    assert main_job["final"].shape == (4, 80, 80)
    assert (main_job["time"][0], main_job["time"][-1]) == (50.0, 1e-3)
    assert len(main_job["prior"]) == 18


def test_every_record_is_there(main_job):
    for name in ("xi_x", "mode_derivative", "magnetization", "snapshot", "final"):
        assert np.isfinite(main_job[name]).all(), name
    # xi_eq is undefined only where lambda_0 is negative or the modes are not softest at k = 0.
    lambda_0 = shell_average(main_job["mode_derivative"].to_numpy())[..., 0]
    assert np.isnan(main_job["xi_eq"].to_numpy()[lambda_0 <= 0]).all()
    assert (main_job["xi_eq"].to_numpy()[np.isfinite(main_job["xi_eq"])] >= 0).all()


def test_zero_mode_softens_and_vanishes_near_the_predicted_time(main_job, curves):
    times, _, lam = curves
    lambda_0 = lam[:, 0]
    assert lambda_0[0] == pytest.approx(0.5, abs=1e-6)
    # Measured on an independent NumPy implementation, at a few per cent of trajectory-to-trajectory spread.
    assert lambda_0[at(times, 4.6)] == pytest.approx(0.32, rel=0.05)
    assert lambda_0[at(times, 3.7)] == pytest.approx(0.14, rel=0.1)
    first = int(np.argmax(lambda_0 < 0))
    assert 2.9 < times[first] < 3.6
    measured = critical_points(main_job)
    assert times[first] < measured["zero_mode_crossing"].time < times[first - 1]
    assert 2.9 < measured["softest_zero_mode"].time < 3.6
    # Then it stays negative until the pattern locks near t = 0.95, after which it grows like 1/sigma^2.
    assert (lambda_0[(times < times[first]) & (times > 1.1)] < 0).all()
    assert (lambda_0[(times < 0.8) & (times > 0.05)] > 0).all()
    # Down to t = 1e-3 a few sites that sit between two patterns make it fluctuate.
    locked = times < 5e-3
    assert np.median(lambda_0[locked] * -np.expm1(-times[locked])) == pytest.approx(1.0, abs=0.15)


def test_long_waves_soften_first(curves):
    times, _, lam = curves
    for t in (6.0, 5.0, 4.0, 3.5):
        assert (np.diff(lam[at(times, t)]) > 0).all(), t
    # Far from criticality no wave length is distinguished.
    assert np.ptp(lam[at(times, 20.0)]) < 1e-3


def test_correlation_length_appears_at_the_transition(main_job, curves):
    times, xi, _ = curves
    assert (xi[times > 6.0] < 0.2).all()
    assert xi[-1] > 2.5
    assert (main_job["xi_x"][:, -1] > 2.0).all()
    # From a lattice site's fraction at the transition to domains of several sites below it.
    assert xi[at(times, 4.0)] < 0.1
    assert xi[at(times, 3.26)] < 0.3
    assert xi[at(times, 1.0)] > 0.7
    assert xi[at(times, 0.3)] > 1.5


def test_magnetization_is_noise_until_domains_form(main_job):
    times = main_job["time"].to_numpy()
    m = main_job["magnetization"].to_numpy()
    # 6400 independent sites of unit variance: five standard errors.
    assert np.abs(m[:, times > 8.0]).max() < 5 / 80
    # In the end nearly every site is +-1; the rest lie where no pattern of the dictionary fits.
    assert (np.abs(np.abs(main_job["final"].to_numpy()) - 1.0) < 0.15).mean() > 0.85


def test_equilibrium_length_grows_towards_the_transition(main_job):
    times = main_job["time"].to_numpy()
    xi_eq = np.median(main_job["xi_eq"].to_numpy(), axis=0)
    values = xi_eq[[at(times, t) for t in (10.0, 6.0, 5.0, 4.0, 3.6)]]
    assert (np.diff(values) > 0).all()
    assert values[-1] > 4 * values[1]


def test_two_stored_patterns_bifurcate_without_soft_modes():
    # Fig. 3 middle: only the direction of the prototypes becomes unstable; xi_eq stays nearly constant.
    found = fp.simulate(fp.EmpiricalModel(fp.stripe_prototypes()), (48, 48), 2, fp.log_time_grid(steps=300))
    times, lam = found["time"].to_numpy(), shell_average(found["mode_derivative"].to_numpy())
    before = (times > 8.5) & (times < 50.0)
    bare = -0.5 - 1 / np.expm1(-times)
    np.testing.assert_allclose(lam[:, before], np.broadcast_to(bare[before, None], lam[:, before].shape), rtol=0.05)
    mu = fp.stripe_prototypes()[0]
    assert (np.abs((found["final"] * mu).mean(("y", "x"))) > 0.95).all()
