"""The local score, its dispersion relations and its coarse-grained description against direct sums."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastpatch as fp
from fastpatch import theory
from fastpatch.errors import DtypeError, InvalidInputError

SCHEDULE = fp.VPSchedule(beta=lambda t: 0.5 + 0.1 * t)
WAVE_VECTORS = np.array([[0.0, 0.0], [1e-9, -1e-7], [0.3, -1.2], [np.pi, 0.0], [2 * np.pi, np.pi], [-2.5, 3.0]])


def patch_drift(x, dictionary, t, schedule):
    """b = beta (-x/2 - s) of the patch model in float64, one loop a site and pattern."""
    alpha, sigma2 = schedule.alpha(t), schedule.sigma2(t)
    R, (L1, L2) = dictionary.radius, x.shape
    drift = np.empty_like(x)
    for i, j in itertools.product(range(L1), range(L2)):
        rows, columns = np.arange(i - R, i + R + 1) % L1, np.arange(j - R, j + R + 1) % L2
        y = x[np.ix_(rows, columns)]
        likelihood = [
            prior * np.exp(-np.sum((y - alpha * p) ** 2) / (2 * sigma2))
            for prior, p in zip(dictionary.prior, dictionary.patterns, strict=True)
        ]
        mean = np.dot(likelihood, dictionary.centers) / np.sum(likelihood)
        drift[i, j] = schedule.rate(t) * (-0.5 * x[i, j] - (alpha * mean - x[i, j]) / sigma2)
    return drift


def unequal_dictionary():
    """Patterns of unequal norm and no symmetry, so that x = 0 is nothing special."""
    rng = np.random.default_rng(5)
    return fp.PatchDictionary(rng.normal(size=(4, 3, 3)), [0.1, 0.2, 0.3, 0.4])


def test_symbol_is_the_direct_sum_even_at_its_removable_singularities():
    for K, d in ((0, 2), (1, 1), (2, 2), (3, 3)):
        k = np.concatenate([np.zeros((1, d)), np.full((1, d), 1e-8), 7 * np.random.default_rng(d).normal(size=(20, d))])
        direct = [sum(np.exp(1j * np.dot(u, q)) for u in itertools.product(range(-K, K + 1), repeat=d)) for q in k]
        np.testing.assert_allclose(theory.hypercube_symbol(k, K), np.real(direct), atol=1e-11)
        assert theory.hypercube_symbol(np.zeros(d), K) == theory.hypercube_volume(K, d) == (2 * K + 1) ** d


def test_symbol_is_the_quotient_of_sines_that_eq16_prints():
    k = WAVE_VECTORS[[2, 5]]
    quotient = np.prod(np.sin(2.5 * k) / np.sin(k / 2), axis=-1)
    np.testing.assert_allclose(theory.hypercube_symbol(k, 2), quotient, rtol=1e-12)


def test_eqs_14_15_and_16_are_one_operator():
    t = 2.7
    by_sum = theory.dispersion_eq15(WAVE_VECTORS, t, theory.hypercube_offsets(2, 2), schedule=SCHEDULE)
    by_kernel = theory.kernel_symbol(theory.kernel_eq14(t, schedule=SCHEDULE), WAVE_VECTORS)
    in_closed_form = theory.dispersion_eq16(WAVE_VECTORS, t, schedule=SCHEDULE)
    np.testing.assert_allclose(by_sum, in_closed_form, atol=1e-12)
    np.testing.assert_allclose(by_kernel, in_closed_form, atol=1e-12)


def test_times_broadcast_against_wave_vectors():
    t = np.array([[0.5], [2.0], [5.0]])
    dictionary = unequal_dictionary()
    for function in (
        theory.dispersion_eq16,
        theory.dispersion,
        lambda k, t: theory.dispersion(k, t, dictionary=dictionary),
        theory.linear_structure_factor,
    ):
        found = function(WAVE_VECTORS, t)
        assert found.shape == (3, len(WAVE_VECTORS))
        for row, time in zip(found, t[:, 0], strict=True):
            np.testing.assert_allclose(row, function(WAVE_VECTORS, time), rtol=1e-12)


def test_printed_dispersion_is_minus_the_exact_one_but_for_the_sign_of_its_half():
    printed, exact = theory.dispersion_eq16(WAVE_VECTORS, 2.0), theory.dispersion(WAVE_VECTORS, 2.0)
    np.testing.assert_allclose(printed, -exact - 1.0, atol=1e-12)


def test_hypercube_is_the_dictionary_of_two_uniform_patterns():
    dictionary = fp.PatchDictionary.random(n_random=0, uniform_mass=1.0, size=3)
    t = np.array([0.2, 1.0, 3.0])[:, None]
    np.testing.assert_allclose(
        theory.dispersion(WAVE_VECTORS, t, dictionary=dictionary, schedule=SCHEDULE),
        theory.dispersion(WAVE_VECTORS, t, K=1, schedule=SCHEDULE),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "dictionary", [fp.PatchDictionary.random(n_random=2, size=3), unequal_dictionary()], ids=["symmetric", "unequal"]
)
def test_drift_kernel_and_dispersion_are_derivatives_of_the_closed_form_drift(dictionary):
    t, L, step = 1.4, 6, 1e-4
    kernel = theory.drift_kernel(t, dictionary, schedule=SCHEDULE)
    site = np.zeros((L, L))
    site[3, 3] = step
    response = (patch_drift(site, dictionary, t, SCHEDULE) - patch_drift(-site, dictionary, t, SCHEDULE)) / (2 * step)
    # The site perturbed is at i + u, so that the response at i is K(u) with u = (3, 3) - i.
    np.testing.assert_allclose(response[2:5, 2:5][::-1, ::-1], kernel, atol=1e-6)
    for n in ((0, 0), (1, 0), (1, 2), (3, 3)):
        q = 2 * np.pi * np.array(n) / L
        mode = np.cos(q[0] * np.arange(L)[:, None] + q[1] * np.arange(L))
        mode /= np.linalg.norm(mode)
        forward, backward = (patch_drift(s * step * mode, dictionary, t, SCHEDULE) for s in (1, -1))
        quotient = np.sum(mode * (forward - backward)) / (2 * step)
        assert theory.dispersion(q, t, dictionary=dictionary, schedule=SCHEDULE) == pytest.approx(quotient, abs=1e-6)
        assert theory.kernel_symbol(kernel, q).real == pytest.approx(quotient, abs=1e-6)


def test_local_score_in_any_dimension():
    t, K = 1.7, 1
    rng = np.random.default_rng(2)
    dictionary = fp.PatchDictionary.random(n_random=0, uniform_mass=1.0, size=3)
    x = rng.normal(size=(5, 4))
    expected = -0.5 * x - patch_drift(x, dictionary, t, fp.VPSchedule())
    np.testing.assert_allclose(theory.score_eq12(x, t, K=K), expected, atol=1e-12)
    line = rng.normal(size=4)
    # A patch that wraps around more than once counts sites as often as it meets them.
    direct = [sum(line[(i + u) % 4] for u in range(-3, 4)) for i in range(4)]
    np.testing.assert_allclose(theory.neighbourhood_sum(line, 3), direct, atol=1e-13)
    assert theory.score_eq12(x.astype(np.float32), t).dtype == np.float32


def test_eq13_is_the_taylor_expansion_of_eq12_to_third_order():
    x = np.random.default_rng(4).normal(size=(6, 6))
    errors = [np.abs(theory.score_eq12(e * x, 2.0) - theory.score_eq13(e * x, 2.0)).max() for e in (0.1, 0.05)]
    assert errors[0] / errors[1] == pytest.approx(2**5, rel=0.1)


@pytest.mark.parametrize(("K", "d"), [(0, 1), (1, 1), (2, 2), (1, 3), (4, 2)])
def test_ginzburg_landau_coefficients_are_numerical_taylor_coefficients(K, d):
    t = 1.9
    exact = theory.ginzburg_landau(t, K=K, d=d, condition="drift")
    printed = theory.ginzburg_landau(t, K=K, d=d, condition="eq17")
    alpha, sigma2 = fp.VPSchedule().alpha(t), fp.VPSchedule().sigma2(t)
    # r and u: the closed drift of a uniform field, fitted by a polynomial.
    nodes = 0.2 * sigma2 / alpha / theory.hypercube_volume(K, d) * np.cos(np.pi * (np.arange(40) + 0.5) / 40)
    rates = [0.5 * x + theory.score_eq12(np.full((3,) * d, x), t, K=K).flat[0] for x in nodes]
    fit = np.polynomial.Polynomial.fit(nodes, rates, 13).convert().coef
    assert -fit[1] == pytest.approx(exact.r, rel=1e-9)
    assert -fit[3] == pytest.approx(exact.u, rel=1e-6)
    # kappa: the printed K (K + 1) / 6 (2K + 1)^d is the true coefficient of -|k|^2, along any direction.
    direction = np.random.default_rng(K).normal(size=d)
    direction /= np.linalg.norm(direction)
    step = 1e-3
    values = theory.dispersion_eq16(np.outer([0.0, step, 2 * step], direction), t, K=K)
    curvature = (-values[2] + 16 * values[1] - 15 * values[0]) / (12 * step**2)
    assert values[0] == pytest.approx(-printed.r, rel=1e-12)
    assert curvature == pytest.approx(-printed.kappa, rel=1e-6, abs=1e-7)
    assert printed.kappa == exact.kappa


def test_c_omega_is_half_the_second_moment_of_the_patch():
    for K, d in itertools.product(range(4), (1, 2, 3)):
        assert theory.c_omega(K, d) == 0.5 * (theory.hypercube_offsets(K, d)[:, 0] ** 2).sum()


def test_three_masses_differ_by_one_half():
    t = np.array([0.5, 3.0])
    score, eq17, drift = (theory.ginzburg_landau(t, condition=c).r for c in ("score", "eq17", "drift"))
    np.testing.assert_allclose(eq17 - score, 0.5, atol=1e-12)
    np.testing.assert_allclose(score - drift, 0.5, atol=1e-12)


def test_equilibrium_length_is_the_curvature_of_the_normalised_dispersion():
    t = 4.5
    length = theory.ginzburg_landau(t, condition="drift").correlation_length
    k = np.array([[1e-3, 0.0], [0.0, 0.0]])
    lam = theory.dispersion(k, t)
    assert np.sqrt((lam[0] / lam[1] - 1.0) / 1e-6) == pytest.approx(length, rel=1e-4)
    assert np.isnan(theory.ginzburg_landau(1.0).correlation_length)
    assert np.isnan(theory.ginzburg_landau(np.array([1.0, 5.0])).correlation_length).tolist() == [True, False]


def test_landau_rate_is_minus_the_gradient_of_the_free_energy():
    x = np.random.default_rng(8).normal(size=(4, 5))
    gl = theory.ginzburg_landau(2.0)
    for site in ((0, 0), (3, 4), (2, 1)):
        bump = np.zeros_like(x)
        bump[site] = 1e-4
        slope = (gl.free_energy(x + bump) - gl.free_energy(x - bump)) / 2e-4
        assert gl.rate(x)[site] == pytest.approx(-slope, rel=1e-6)


def test_landau_rate_describes_the_local_score_at_long_wavelengths():
    """Eq. 19 against eq. 12 for a small, slowly varying field: the error falls with the wavelength's square."""
    t, errors = 3.0, []
    gl = theory.ginzburg_landau(t, condition="drift")
    for L in (64, 128):
        x = 1e-4 * np.cos(2 * np.pi * np.arange(L) / L)[:, None] * np.ones((1, 8))
        local = 0.5 * x + theory.score_eq12(x, t)
        flat = dataclasses.replace(gl, kappa=0.0).rate(x)
        errors.append(np.abs(gl.rate(x) - local).max() / np.abs(flat - local).max())
    assert errors[0] < 0.05
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


def test_structure_factor_solves_the_linearised_moment_equation():
    k = np.array([[0.0, 0.0], [0.5, 0.2], [np.pi, 0.0], [1.3, 1.3]])
    solution = solve_ivp(
        lambda t, S: 2.0 * theory.dispersion(k, t, schedule=SCHEDULE) * S - SCHEDULE.rate(t),
        (30.0, 2.5),
        np.ones(len(k)),
        rtol=1e-10,
        atol=1e-12,
    )
    expected = theory.linear_structure_factor(k, 2.5, schedule=SCHEDULE)
    np.testing.assert_allclose(solution.y[:, -1], expected, rtol=1e-7)


def test_fluctuation_variance_is_the_mean_over_the_lattice():
    t, L, K = 3.0, 7, 1
    modes = itertools.product(range(L), repeat=2)
    direct = [theory.linear_structure_factor(2 * np.pi * np.array(n) / L, t, K=K) for n in modes]
    assert theory.fluctuation_variance(t, K=K, lattice_size=L) == pytest.approx(np.mean(direct), rel=1e-12)
    assert theory.fluctuation_variance(40.0) == pytest.approx(1.0, abs=1e-12)


def test_eq21_adds_three_u_times_the_variance_and_never_vanishes():
    gl = theory.ginzburg_landau(3.0, condition="eq17")
    assert theory.effective_mass_eq21(3.0, variance=0.0) == gl.r
    assert theory.effective_mass_eq21(3.0, variance=0.5) == pytest.approx(gl.r + 1.5 * gl.u, rel=1e-14)
    for K, d in ((0, 1), (1, 1), (2, 2)):
        masses = [theory.effective_mass_eq21(t, K=K, d=d, condition="drift") for t in np.geomspace(0.5, 20.0, 40)]
        assert min(masses) > 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: theory.dispersion_eq16([[0.0, 0.0]], -1.0), InvalidInputError, "t is -1.0"),
        (lambda: theory.dispersion_eq16([0.0], "soon"), DtypeError, "t is 'soon'"),
        (lambda: theory.dispersion_eq16(0.0, 1.0), InvalidInputError, "k has shape"),
        (lambda: theory.dispersion_eq15([0.0], 1.0, [[0], [1]]), InvalidInputError, "offsets lists 2"),
        (
            lambda: theory.dispersion([0.0], 1.0, dictionary=fp.PatchDictionary.random()),
            InvalidInputError,
            r"k has shape \(1,\)",
        ),
        (lambda: theory.ginzburg_landau(1.0, condition="renormalised"), InvalidInputError, "condition is"),
        (lambda: theory.hypercube_volume(-1, 2), InvalidInputError, "K is -1"),
        (lambda: theory.score_eq12(np.zeros((2, 2), dtype=int), 1.0), DtypeError, "int64"),
        (lambda: theory.kernel_symbol(np.zeros((2, 3)), [0.0, 0.0]), InvalidInputError, "odd sides"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
