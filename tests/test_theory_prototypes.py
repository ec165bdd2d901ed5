"""Two and M prototypes: densities, printed and exact Jacobians, spectra and the pitchfork."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

import fastpatch as fp
from fastpatch import theory
from fastpatch.errors import InvalidInputError

SCHEDULE = fp.VPSchedule(beta=0.7)


def closed_form_drift(x, prototypes, weights, t, schedule):
    """b = beta (-x/2 - s) of the empirical score, one loop a prototype."""
    alpha, sigma2 = schedule.alpha(t), schedule.sigma2(t)
    total, pull = 0.0, np.zeros_like(x)
    for weight, prototype in zip(weights, prototypes, strict=True):
        density = weight * np.exp(-np.sum((x - alpha * prototype) ** 2) / (2 * sigma2))
        total += density
        pull += density * (alpha * prototype - x) / sigma2
    return schedule.rate(t) * (-0.5 * x - pull / total)


def finite_difference_jacobian(function, x, step=1e-5):
    columns = [(function(x + step * e) - function(x - step * e)) / (2 * step) for e in np.eye(x.size)]
    return np.stack(columns, axis=1)


@pytest.fixture
def mixture():
    rng = np.random.default_rng(3)
    return rng.normal(size=(4, 6)), np.array([0.1, 0.2, 0.3, 0.4]), rng.normal(size=6)


def test_eq3_is_the_mixture_density_up_to_the_stated_constant(mixture):
    (mu, *_), _, x = mixture
    t = 0.8
    sigma2 = SCHEDULE.sigma2(t)
    constant = -0.5 * x.size * np.log(2 * np.pi * sigma2) - mu @ mu / (2 * sigma2)
    density = np.mean([multivariate_normal(sign * mu, sigma2 * np.eye(6)).pdf(x) for sign in (1, -1)])
    assert theory.log_density_eq3(x, mu, t, schedule=SCHEDULE) + constant == pytest.approx(np.log(density), rel=1e-12)


def test_eq3_survives_overlaps_whose_cosh_overflows():
    mu = np.full(10_000, 1.0)
    t = 0.01
    expected = (-0.5 * 10_000 + 10_000) / fp.VPSchedule().sigma2(t) - np.log(2.0)
    assert theory.log_density_eq3(mu, mu, t) == pytest.approx(expected, rel=1e-14)


def test_eq4_is_minus_the_exact_jacobian_but_for_the_sign_of_its_half(mixture):
    (mu, *_), _, x = mixture
    t = 1.1
    schedule = fp.VPSchedule()
    exact = theory.prototype_jacobian(0 * x, [mu, -mu], t)
    printed = theory.jacobian_eq4(schedule.alpha(t) * mu, t)
    np.testing.assert_allclose(printed, -exact - np.eye(6), rtol=0, atol=1e-12)


def test_eq6_counts_each_prototype_fully_and_so_doubles_eq4(mixture):
    (mu, *_), _, _ = mixture
    bulk = theory.spectrum_eq4(mu, 1.0).bulk * np.eye(6)
    twice = 2.0 * (theory.jacobian_eq4(mu, 1.0) - bulk)
    np.testing.assert_allclose(theory.jacobian_eq6([mu, -mu], 1.0) - bulk, twice, atol=1e-12)


def test_exact_jacobian_is_the_derivative_of_the_closed_form_drift(mixture):
    prototypes, weights, x = mixture
    for t in (0.3, 1.5):
        expected = finite_difference_jacobian(lambda y, t=t: closed_form_drift(y, prototypes, weights, t, SCHEDULE), x)
        # Weights are normalised on entry.
        found = theory.prototype_jacobian(x, prototypes, t, weights=7 * weights, schedule=SCHEDULE)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("which", ["eq4", "eq6", "exact"])
def test_low_rank_spectra_rebuild_the_dense_matrix(mixture, which):
    prototypes, weights, x = mixture
    t = 0.9
    if which == "eq4":
        dense, spectrum = theory.jacobian_eq4(prototypes[0], t), theory.spectrum_eq4(prototypes[0], t)
    elif which == "eq6":
        dense, spectrum = theory.jacobian_eq6(prototypes, t), theory.spectrum_eq6(prototypes, t)
    else:
        dense = theory.prototype_jacobian(x, prototypes, t, weights=weights)
        spectrum = theory.prototype_spectrum(x, prototypes, t, weights=weights)
    rank = {"eq4": 1, "eq6": 4, "exact": 3}[which]
    assert (len(spectrum.eigenvalues), spectrum.multiplicity) == (rank, 6 - rank)
    every = np.sort([spectrum.bulk] * spectrum.multiplicity + list(spectrum.eigenvalues))
    np.testing.assert_allclose(every, np.linalg.eigvalsh(dense), atol=1e-11)
    for value, vector in zip(spectrum.eigenvalues, spectrum.eigenvectors, strict=True):
        np.testing.assert_allclose(dense @ vector, value * vector, atol=1e-11)
    np.testing.assert_allclose(spectrum.eigenvectors @ spectrum.eigenvectors.T, np.eye(rank), atol=1e-12)


def test_spectrum_keeps_the_lattice_and_orders_by_variance():
    rng = np.random.default_rng(0)
    prototypes = rng.choice([-1.0, 1.0], size=(3, 48, 48))
    spectrum = theory.prototype_spectrum(np.zeros((48, 48)), np.concatenate([prototypes, -prototypes]), 6.0)
    assert spectrum.eigenvectors.shape == (3, 48, 48)
    assert spectrum.multiplicity == 48 * 48 - 3
    assert (np.diff(spectrum.eigenvalues) >= 0).all()


@pytest.mark.parametrize("squared_norm", [2.0, 25.0, 2304.0])
def test_pitchfork_coefficients_are_the_taylor_coefficients_of_the_drift(squared_norm):
    rng = np.random.default_rng(1)
    mu = rng.normal(size=5)
    mu *= np.sqrt(squared_norm) / np.linalg.norm(mu)
    t = theory.critical_time("drift", Omega=squared_norm, schedule=SCHEDULE) * 0.9
    # The polynomial fit is to the drift in N dimensions, generation running towards smaller t.
    scale = SCHEDULE.sigma2(t) / (SCHEDULE.alpha(t) * squared_norm)
    nodes = 0.3 * scale * np.cos(np.pi * (np.arange(40) + 0.5) / 40)
    rates = [-closed_form_drift(m * mu, [mu, -mu], [0.5, 0.5], t, SCHEDULE) @ mu / squared_norm for m in nodes]
    fit = np.polynomial.Polynomial.fit(nodes, rates, 15).convert().coef
    form = theory.pitchfork(squared_norm, t, schedule=SCHEDULE)
    assert -fit[1] == pytest.approx(form.g2 * form.r, rel=1e-9)
    assert -fit[3] == pytest.approx(form.u, rel=1e-7)
    np.testing.assert_allclose(theory.projected_drift(nodes, squared_norm, t, schedule=SCHEDULE), rates, rtol=1e-9)


def test_eq5_prints_r_too_large_by_one_and_shares_u_with_the_exact_form():
    t = np.array([0.5, 2.0, 4.0])
    norm2 = 25.0
    alpha2 = SCHEDULE.alpha(t) ** 2
    exact = theory.pitchfork(norm2, t, schedule=SCHEDULE)
    for i, time in enumerate(t):
        printed = theory.pitchfork_eq5(alpha2[i] * norm2, time, schedule=SCHEDULE)
        assert printed.r == pytest.approx(exact.r[i] + 1.0, rel=1e-12)
        # With alpha absorbed the amplitude is m / alpha.
        assert printed.u / alpha2[i] == pytest.approx(exact.u[i], rel=1e-12)
        mu = np.sqrt(alpha2[i] * norm2 / 4) * np.ones(4)
        eigenvalue = theory.spectrum_eq4(mu, time, schedule=SCHEDULE).eigenvalues[0]
        assert -printed.r == pytest.approx(eigenvalue, rel=1e-12)


def test_equilibria_are_zeros_and_the_cubic_one_is_right_at_the_bifurcation():
    t_c = theory.critical_time("drift", Omega=25.0)
    assert theory.projected_equilibrium(25.0, 1.01 * t_c) == 0.0
    assert theory.pitchfork(25.0, 1.01 * t_c).equilibrium == 0.0
    ratios = []
    for t in t_c * np.array([0.99, 0.999, 0.9999]):
        full, cubic = theory.projected_equilibrium(25.0, t), theory.pitchfork(25.0, t)
        assert theory.projected_drift(full, 25.0, t) == pytest.approx(0.0, abs=1e-13)
        assert cubic.rate(cubic.equilibrium) == pytest.approx(0.0, abs=1e-13)
        ratios.append(full / cubic.equilibrium - 1.0)
    # The correction is linear in t_c - t: each decade closer to t_c takes a decade off.
    assert ratios[0] > 0.0
    np.testing.assert_allclose(np.array(ratios[:-1]) / ratios[1:], 10.0, rtol=0.02)
    # Exactly at the bifurcation rounding decides the sign of r; the answer is still near zero.
    assert theory.projected_equilibrium(25.0, t_c) < 1e-6


def test_late_equilibrium_is_the_prototype_itself():
    assert theory.projected_equilibrium(25.0, 1e-3) == pytest.approx(1.0, abs=2e-3)


def test_eq3_gradient_is_the_score_behind_the_drift(mixture):
    (mu, *_), _, x = mixture
    t = 1.3
    schedule = fp.VPSchedule()
    gradient = approx_fprime(x, lambda y: theory.log_density_eq3(y, schedule.alpha(t) * mu, t), 1e-6)
    drift = closed_form_drift(x, [mu, -mu], [0.5, 0.5], t, schedule)
    np.testing.assert_allclose(-0.5 * x - gradient, drift, atol=2e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.log_density_eq3(np.zeros(3), np.zeros(4), 1.0), "x has shape"),
        (lambda: theory.prototype_jacobian(np.zeros(3), np.zeros((2, 4)), 1.0), "prototypes has shape"),
        (lambda: theory.prototype_jacobian(np.zeros(3), np.ones((2, 3)), 1.0, weights=[1.0, 0.0]), "weights is"),
        (lambda: theory.jacobian_eq4(np.ones(3), 0.0), "t is 0.0"),
        (lambda: theory.jacobian_eq4([np.inf], 1.0), "mu holds inf"),
        (lambda: theory.pitchfork(-1.0, 1.0), "squared_norm is -1.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
