"""The Gaussian closure against exact laws, an independent solution, Gaussian fields and simulations."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import fastpatch as fp
from fastpatch import theory
from fastpatch.errors import DtypeError, InvalidInputError
from fastpatch.studies.closure import _crossing
from fastpatch.theory import _gaussian_response

UNIFORM = fp.PatchDictionary.random(0, uniform_mass=1.0)


def gaussian_fields(spectrum, shape, n, seed=0):
    white = np.random.default_rng(seed).normal(size=(n, *shape))
    return np.fft.irfft2(np.sqrt(spectrum) * np.fft.rfft2(white), s=shape)


def test_a_gaussian_model_s_own_laws_come_out():
    spectrum = 0.3 + 25.7 * np.exp(-(np.fft.fftfreq(12)[:, None] ** 2 + np.fft.rfftfreq(9) ** 2) / 0.02)
    model = fp.GaussianModel(spectrum, fp.VPSchedule(1.7))
    found = theory.gaussian_closure(model, (12, 9), fp.log_time_grid(20.0, 1e-3, 40))
    for t, S, lam in zip(
        found["time"].values, found["structure_factor"].values, found["dispersion"].values, strict=True
    ):
        np.testing.assert_allclose(S, model.structure_factor(t), rtol=2e-3)
        exact = model.spectrum(np.zeros((12, 9)), t)
        np.testing.assert_allclose(lam, exact, rtol=1e-9, atol=1e-9 * np.abs(exact).max())
    assert found.attrs["critical_time"] == pytest.approx(math.log(25.0) / 1.7, abs=1e-5)
    # The error that it reports of its steps is one.
    relative = np.abs(found["structure_factor"] / [model.structure_factor(t) for t in found["time"].values] - 1.0)
    reported = found["structure_factor_error"] / found["structure_factor"]
    assert float(relative.max()) < 2.0 * float(reported.max()) < 0.02
    assert theory.closure_critical_time(model, shape=(12, 9)).value == pytest.approx(math.log(25.0) / 1.7, abs=1e-5)


def test_two_uniform_patterns_need_one_dimension_only():
    """An independent solution: in t itself, with a quadrature over the patch sum, its variance by direct double sum."""
    shape, reach = (10, 12), np.arange(-2, 3)
    ky, kx = 2 * np.pi * np.fft.fftfreq(10), 2 * np.pi * np.fft.fftfreq(12)
    box = np.cos(np.multiply.outer(ky, reach)).sum(-1)[:, None] * np.cos(np.multiply.outer(kx, reach)).sum(-1)

    def dispersion(t, S):
        alpha, sigma2 = math.exp(-t / 2), -math.expm1(-t)
        width = alpha / sigma2 * math.sqrt((box**2 * S).mean())
        sech2 = quad(lambda x: math.exp(-(x**2) / 2) / math.cosh(min(width * abs(x), 300)) ** 2, -9, 9, epsabs=1e-11)[0]
        return -0.5 + 1 / sigma2 - (alpha / sigma2) ** 2 * box * sech2 / math.sqrt(2 * math.pi)

    def slope(t, S):
        S = S.reshape(shape)
        return (2 * dispersion(t, S) * S - 1).ravel()

    times = np.array([25.0, 6.0, 4.0, 3.2, 2.5, 1.0, 0.2])
    expected = solve_ivp(slope, (25.0, 0.2), np.ones(120), t_eval=times, rtol=1e-7, atol=1e-8).y.T.reshape(-1, *shape)
    found = theory.gaussian_closure(UNIFORM, shape, times, tolerance=1e-5)
    np.testing.assert_allclose(found["structure_factor"], expected[..., :7], rtol=2e-3)
    for at, (t, S) in enumerate(zip(times, expected, strict=True)):
        deviation = np.abs(found["dispersion"].values[at] - dispersion(t, S)[:, :7])
        assert (deviation < 5.0 * found["dispersion_error"].values[at] + 2e-3).all()
    assert float(found["dispersion_error"].max()) < 0.05
    assert float(found["mean"].max()) == float(found["mean"].min()) == 0.0


@pytest.mark.parametrize("sign_flips", [True, False])
def test_its_dispersion_is_that_of_the_machine_on_gaussian_fields_of_its_spectrum(sign_flips):
    dictionary = fp.PatchDictionary.random(n_random=3, sign_flips=sign_flips, uniform_mass=0.3, size=3, seed=1)
    shape, times = (9, 10), [20.0, 2.5, 1.2, 0.4]
    model = fp.PatchModel(dictionary)
    closure = theory.gaussian_closure(dictionary, shape, times, log2_points=11)
    assert (float(abs(closure["mean"]).max()) > 0.02) is not sign_flips
    for at, t in enumerate(times):
        S, mu = closure["structure_factor"].values[at], float(closure["mean"][at])
        each = model.spectrum(mu + gaussian_fields(S, shape, 400, seed=at), t)
        error = each.std(axis=0) / 20.0 + closure["dispersion_error"].values[at]
        deviation = np.abs(each.mean(axis=0) - closure["dispersion"].values[at])
        assert (deviation < 5.0 * error + 1e-12).all()
        # The coupling itself is far larger than the error that is allowed for.
        bare = -0.5 - 1.0 / np.expm1(-t)
        assert t > 10.0 or np.abs(closure["dispersion"].values[at] - bare).max() > 20.0 * error.max()


def test_it_describes_a_run_before_domains_form():
    dictionary, shape, trajectories = fp.PatchDictionary.random(uniform_mass=0.5, seed=2), (20, 20), 200
    times = fp.log_time_grid(20.0, 2.5, 300)
    *_, end = fp.states(fp.PatchModel(dictionary), shape, trajectories, times, seed=1, every=300)
    closure = theory.gaussian_closure(dictionary, shape, [20.0, 2.5])
    power = np.abs(np.fft.rfft2(end.x.astype(np.float64))) ** 2 / 400
    expected = closure["structure_factor"].values[-1]
    error = power.std(axis=0) / math.sqrt(trajectories)
    assert (np.abs(power.mean(axis=0) - expected) < 5.0 * error + 0.01 * expected).all()
    assert expected.max() > 1.7
    xi = fp.analysis.correlation_length(end.x)
    assert abs(xi.mean() - float(closure["xi_x"][-1])) < 5.0 * xi.std() / math.sqrt(trajectories) + 0.05


def test_mean_of_a_dictionary_that_is_not_symmetric():
    patterns = np.stack([np.ones((3, 3)), -np.ones((3, 3))])
    dictionary = fp.PatchDictionary(patterns, [0.8, 0.2])
    times = fp.log_time_grid(20.0, 1.0, 400)
    *_, end = fp.states(fp.PatchModel(dictionary), (16, 16), 100, times, seed=1, every=400)
    closure = theory.gaussian_closure(dictionary, (16, 16), times[::20])
    means = end.x.mean(axis=(1, 2), dtype=np.float64)
    assert abs(means.mean() - float(closure["mean"][-1])) < 0.02
    assert float(closure["mean"][-1]) > 0.3
    # At large t m = E[c] = 0.6, and mu = alpha 0.6.
    t = float(closure["time"][5])
    assert float(closure["mean"][5]) == pytest.approx(0.6 * math.exp(-t / 2), rel=0.1)


def test_length_of_a_gaussian_field_with_a_mean():
    from fastpatch.theory.closure import sign_correlation_length

    shape = (24, 24)
    spectrum = 1.0 + 60.0 * np.exp(-(np.fft.fftfreq(24)[:, None] ** 2 + np.fft.rfftfreq(24) ** 2) / 0.006)
    fields = gaussian_fields(spectrum, shape, 3000)
    for mean in (0.0, 1.0):
        correlation = fp.analysis.radial_correlation(fields + mean).mean(axis=0)
        expected = float(fp.analysis.length_from_correlation(correlation))
        found = float(sign_correlation_length(spectrum[None], np.array([mean]), shape)[0])
        assert found == pytest.approx(expected, rel=0.02)


def test_critical_time_by_the_closure():
    dictionary = fp.PatchDictionary.random()
    estimate = theory.closure_critical_time(dictionary)
    assert theory.critical_time("closure", dictionary=dictionary) == estimate.value
    assert 0.0 < estimate.standard_error < 2e-3
    dataset = theory.gaussian_closure(dictionary, (30, 30), [30.0, 3.0])
    assert dataset.attrs["critical_time"] == pytest.approx(estimate.value, abs=4e-3)
    twice = theory.critical_time("closure", dictionary=dictionary, schedule=fp.VPSchedule(2.0))
    assert twice == pytest.approx(estimate.value / 2.0)
    uniform = theory.critical_time("closure")
    assert uniform == pytest.approx(theory.critical_time("closure", dictionary=UNIFORM))
    # Its own correlations soften the field beyond what white patches do, towards the condition at x = 0.
    assert uniform < theory.critical_time("renormalised") < theory.critical_time("drift")
    found = theory.critical_times(conditions=("score", "closure"))
    assert list(found) == ["score", "closure"]
    assert math.isnan(theory.critical_times(Omega=25.0)["closure"])
    assert math.isnan(theory.critical_times(K=1, d=3)["closure"])
    one = fp.PatchDictionary(np.ones((1, 3, 3)))
    assert math.isnan(theory.closure_critical_time(one).value)
    assert math.isnan(theory.gaussian_closure(one, (6, 6), [20.0, 1.0]).attrs["critical_time"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dictionary", "allowed"),
    [
        (fp.PatchDictionary.random(), 0.01),
        (fp.PatchDictionary.random(uniform_mass=0.7, seed=1), 0.01),
        (fp.PatchDictionary.random(uniform_mass=0.5), 0.01),
        (fp.PatchDictionary.random(uniform_mass=0.3, seed=1), 0.03),
        (fp.PatchDictionary.random(0, uniform_mass=1.0, size=3), 0.045),
        (fp.PatchDictionary.random(0, uniform_mass=1.0, size=9), 0.01),
    ],
)
def test_the_zero_of_lambda_0_in_a_simulation(dictionary, allowed):
    from fastpatch.studies import compare_closure

    found = compare_closure(dictionary, trajectories=16)
    predicted, measured = found.attrs["critical_time_closure"], found.attrs["critical_time"]
    margin = 3.0 * math.hypot(found.attrs["critical_time_error"], found.attrs["critical_time_closure_error"])
    assert abs(predicted / measured - 1.0) < allowed + margin / measured
    assert margin < 0.03 * measured


@pytest.mark.parametrize("size", [5, 33, 51])
def test_the_white_condition_of_patches_of_any_size(size):
    uniform = fp.PatchDictionary(np.stack([np.ones((size, size)), -np.ones((size, size))]))
    found = theory.white_critical_time(uniform, shape=(52, 52), log2_points=8)
    expected = theory.critical_time("renormalised", K=size // 2)
    assert found.value == pytest.approx(expected, abs=5.0 * found.standard_error + 1e-3)


def test_the_error_of_a_crossing_is_that_of_the_resamples_that_have_one():
    times, n = fp.log_time_grid(10.0, 1.8, 200), 8
    zeros = 3.0 * np.exp(0.1 * np.random.default_rng(0).standard_normal(n))
    lambda_0 = np.log(times / zeros[:, None])
    value, error = _crossing(times, lambda_0, 0)
    assert value == pytest.approx(np.exp(np.log(zeros).mean()), rel=1e-4)
    assert error == pytest.approx(value * np.log(zeros).std(ddof=1) / math.sqrt(n), rel=0.15)
    # One of them never softens, and resamples that hold it three times have no zero on the grid.
    lambda_0[0] = 1.0
    value, error = _crossing(times, lambda_0, 0)
    assert 2.0 < value < 3.0
    assert 0.1 < error < 1.0
    assert all(map(math.isnan, _crossing(times, np.ones_like(lambda_0), 0)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: theory.gaussian_closure("x"), DtypeError, "expected a PatchDictionary"),
        (lambda: theory.gaussian_closure(UNIFORM, (4, 9)), InvalidInputError, "the lattice is 4x9"),
        (lambda: theory.gaussian_closure(UNIFORM, (9, 9), [1.0, 2.0]), InvalidInputError, "strictly decreasing"),
        (lambda: theory.gaussian_closure(UNIFORM, (9, 9), [800.0, 2.0]), InvalidInputError, "no signal is left"),
        (lambda: theory.gaussian_closure(UNIFORM, (9, 9), replicates=1), InvalidInputError, "replicates is 1"),
        (lambda: theory.gaussian_closure(UNIFORM, (9, 9), tolerance=1.0), InvalidInputError, "tolerance is 1.0"),
        (lambda: theory.gaussian_closure(UNIFORM, (9, 9), schedule=1.0), DtypeError, "expected a VPSchedule"),
        (
            lambda: theory.gaussian_closure(fp.GaussianModel(np.ones((8, 5)), mean=1.0), (8, 8)),
            InvalidInputError,
            "expected one of mean zero",
        ),
        (lambda: theory.critical_time("closure", Omega=25.0), InvalidInputError, "is given no dictionary"),
        (lambda: theory.critical_times(conditions=("x",)), InvalidInputError, "condition is 'x'"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def coded_dictionary():
    from image_cases import blobs

    return fp.PatchDictionary.from_images(blobs(20, side=12), 3)


def test_averages_by_a_tree_are_sums_over_all_patterns():
    from fastpatch.theory._tree_response import TreeResponse

    dictionary, shape = coded_dictionary(), (7, 8)
    response = replace(TreeResponse.of(dictionary, shape, 3, 2, 1), dtype=np.float64)
    rng = np.random.default_rng(0)
    S, mean, z = rng.uniform(0.2, 4.0, (2, 7 * 5)), np.array([0.2, -0.4]), 0.3
    # Spectra of real fields are alike at k and -k.
    half = S.reshape(2, 7, 5)
    half[:, 4:, [0, 4]] = half[:, 3:0:-1, [0, 4]]
    gains, means = response(S, mean, z)
    patterns, offsets = dictionary.patterns.reshape(len(dictionary), -1), np.arange(-1, 2)
    for row in range(2):
        covariance = np.fft.irfft2(half[row], s=shape)
        sites = [(i, j) for i in offsets for j in offsets]
        patch = np.array([[covariance[i - a, j - b] for a, b in sites] for i, j in sites])
        y = response.normals[row] @ np.linalg.cholesky(patch).T + mean[row]
        weights = dictionary.prior * np.exp(np.sqrt(z * (1 + z)) * y @ patterns.T)
        weights /= weights.sum(axis=1, keepdims=True)
        posterior = weights @ dictionary.centers
        pixels = ((weights * (dictionary.centers - posterior[:, None])) @ patterns).mean(axis=0)
        ky, kx = 2 * np.pi * np.fft.fftfreq(7), 2 * np.pi * np.fft.rfftfreq(8)
        expected = sum(g * np.cos(ky[:, None] * i + kx * j) for g, (i, j) in zip(pixels, sites, strict=True))
        np.testing.assert_allclose(gains[row], expected.ravel(), rtol=1e-10, atol=1e-10)
        assert means[row] == pytest.approx(posterior.mean(), rel=1e-10)


def test_the_closure_of_a_tree_is_that_of_its_patterns(monkeypatch):
    dictionary, options = coded_dictionary(), {"shape": (10, 10), "log2_points": 7}
    by_patterns = theory.closure_critical_time(dictionary, **options)
    white = theory.white_critical_time(dictionary, **options)
    renormalised = theory.renormalised_critical_time(theory.GaussianPatches(dictionary, 7, 4))
    monkeypatch.setattr(_gaussian_response, "TREE_PATTERNS", 10)
    monkeypatch.setattr(_gaussian_response, "MOST_PATTERNS", 10)
    by_tree, white_by_tree = (
        f(dictionary, **options) for f in (theory.closure_critical_time, theory.white_critical_time)
    )
    for one, other in ((by_tree, by_patterns), (white_by_tree, white), (white, renormalised)):
        error = math.hypot(one.standard_error, other.standard_error)
        assert one.value == pytest.approx(other.value, abs=5 * error + 1e-3)
        assert error < 0.1
    with pytest.raises(InvalidInputError, match="not \\+-1"):
        theory.closure_critical_time(fp.PatchDictionary(np.random.default_rng(0).normal(size=(20, 3, 3))))
