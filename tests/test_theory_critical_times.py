"""The four critical times, and the averages over Gaussian patches behind the fourth."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import brentq

import fastpatch as fp
from fastpatch import theory
from fastpatch.errors import InvalidInputError

UNIFORM = fp.PatchDictionary.random(n_random=0, uniform_mass=1.0)
DEFAULT = fp.PatchDictionary.random()
VARYING = fp.VPSchedule(beta=lambda t: 0.2 + 0.1 * t)


def printed_condition(condition, Omega, t, schedule):
    alpha, sigma2 = schedule.alpha(t), schedule.sigma2(t)
    onsite = {"score": 0.0, "eq17": 0.5, "drift": -0.5}[condition]
    return onsite + 1 / sigma2 - alpha**2 / sigma2**2 * Omega


@pytest.mark.parametrize(("condition", "value"), [("score", math.log(26)), ("eq17", 2.889), ("drift", 3.912)])
def test_values_of_the_five_by_five_patch(condition, value):
    assert theory.critical_time(condition) == pytest.approx(value, abs=5e-4)
    assert theory.critical_time(condition, dictionary=UNIFORM) == pytest.approx(theory.critical_time(condition))


@pytest.mark.parametrize("condition", ["score", "eq17", "drift"])
@pytest.mark.parametrize("schedule", [fp.VPSchedule(beta=0.3), VARYING], ids=["constant", "callable"])
@pytest.mark.parametrize("Omega", [1e-6, 3.0, 125.0, 1e8])
def test_closed_forms_solve_their_conditions(condition, schedule, Omega):
    t = theory.critical_time(condition, Omega=Omega, schedule=schedule)
    scale = 1 / schedule.sigma2(t) + 1.0
    assert printed_condition(condition, Omega, t, schedule) == pytest.approx(0.0, abs=1e-7 * scale)
    # Stable before, that is at larger t.
    assert printed_condition(condition, Omega, 1.01 * t, schedule) > 0.0


def test_tree_level_times_are_zeros_of_the_other_formulas():
    t = {c: theory.critical_time(c, K=1, d=3) for c in ("score", "eq17", "drift")}
    origin = np.zeros(3)
    assert theory.dispersion_eq16(origin, t["eq17"], K=1) == pytest.approx(0.0, abs=1e-12)
    assert theory.dispersion(origin, t["drift"], K=1) == pytest.approx(0.0, abs=1e-12)
    for condition, time in t.items():
        assert theory.ginzburg_landau(time, K=1, d=3, condition=condition).r == pytest.approx(0.0, abs=1e-12)
    assert t["eq17"] < t["score"] < t["drift"]


def test_dictionary_critical_time_is_where_its_dispersion_vanishes():
    for dictionary in (DEFAULT, fp.PatchDictionary.random(sign_flips=False, seed=4)):
        t = theory.critical_time("drift", dictionary=dictionary, schedule=VARYING)
        growth = theory.dispersion((0.0, 0.0), t, dictionary=dictionary, schedule=VARYING)
        assert growth == pytest.approx(0.0, abs=1e-11)


def test_random_patterns_of_the_default_dictionary_weaken_the_uniform_mode():
    """Omega becomes sum_n pi_n c_n S_n < 25, so that the dashed line of the figures is not this dictionary's own."""
    omega = sum(
        prior * pattern[2, 2] * pattern.sum() for prior, pattern in zip(DEFAULT.prior, DEFAULT.patterns, strict=True)
    )
    assert omega < 25.0
    assert theory.critical_time("score", dictionary=DEFAULT) == pytest.approx(math.log(1 + omega), rel=1e-12)


def test_unequal_norms_change_the_weights_with_time():
    patterns = np.stack([np.ones((3, 3)), -np.ones((3, 3)), 0.5 * np.ones((3, 3)), -0.5 * np.ones((3, 3))])
    dictionary = fp.PatchDictionary(patterns)

    def mass(t):
        alpha2, sigma2 = math.exp(-t), -math.expm1(-t)
        small, large = np.exp(-0.5 * alpha2 / sigma2 * np.array([9 / 4, 9.0]))
        omega = (9.0 * large + 9 / 4 * small) / (large + small)
        return 1 / sigma2 - alpha2 / sigma2**2 * omega

    expected = brentq(mass, 1.0, 10.0, xtol=1e-14)
    assert theory.critical_time("score", dictionary=dictionary) == pytest.approx(expected, rel=1e-12)


def test_schedules_share_the_integral_of_beta():
    for condition, t in theory.critical_times().items():
        varying = theory.critical_time(condition, schedule=VARYING)
        assert VARYING.integrated_rate(varying) == pytest.approx(t, rel=1e-10)


def test_renormalised_time_of_uniform_patterns_by_quadrature_and_by_sampling():
    exact = theory.critical_time("renormalised")
    value, error = theory.renormalised_critical_time(theory.GaussianPatches(UNIFORM))
    assert 0.0 < error < 1e-3
    assert abs(value - exact) < 5 * error
    # Against Gauss-Hermite quadrature of the same average.
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    alpha, sigma2 = fp.VPSchedule().alpha(exact), fp.VPSchedule().sigma2(exact)
    average = weights @ np.cosh(5 * alpha / sigma2 * nodes) ** -2.0 / weights.sum()
    assert printed_condition("drift", 25 * average, exact, fp.VPSchedule()) == pytest.approx(0.0, abs=1e-9)


def test_renormalised_time_of_the_default_dictionary():
    value, error = theory.renormalised_critical_time(theory.GaussianPatches(DEFAULT))
    assert error < 1e-3
    assert value == pytest.approx(3.357, abs=5e-3)
    assert theory.critical_time("renormalised", dictionary=DEFAULT) == pytest.approx(value, abs=1e-12)
    # Fluctuations raise the mass: later in the generation than the bare drift.
    assert value < theory.critical_time("drift", dictionary=DEFAULT)


def test_renormalised_error_is_honest():
    patches = [theory.GaussianPatches(DEFAULT, log2_points=8, seed=seed) for seed in range(12)]
    found = [theory.renormalised_critical_time(p) for p in patches]
    scatter = np.std([e.value for e in found], ddof=1)
    assert 0.4 < scatter / np.mean([e.standard_error for e in found]) < 2.0


@pytest.mark.parametrize("symmetric", [True, False])
def test_gaussian_average_obeys_steins_identity(symmetric):
    """E[dm/dy_u] = E[m y_u] for y ~ N(0, 1): plain Monte Carlo of the posterior mean, no derivative taken."""
    t, schedule = 1.5, fp.VPSchedule(beta=2.0)
    rng = np.random.default_rng(0)
    dictionary = (
        fp.PatchDictionary.random(n_random=3, size=3)
        if symmetric
        else fp.PatchDictionary(rng.normal(size=(3, 3, 3)), [0.2, 0.3, 0.5])
    )
    alpha, sigma2 = schedule.alpha(t), schedule.sigma2(t)
    y = rng.normal(size=(400_000, 9))
    distances = ((y[:, None] - alpha * dictionary.patterns.reshape(-1, 9)) ** 2).sum(axis=-1)
    likelihood = dictionary.prior * np.exp(-0.5 * (distances - distances.min(axis=1, keepdims=True)) / sigma2)
    mean = likelihood @ dictionary.centers / likelihood.sum(axis=1)
    offsets = theory.hypercube_offsets(1, 2)
    k = np.array([[0.0, 0.0], [0.4, -1.0]])
    estimate = theory.renormalised_dispersion(k, t, patches=theory.GaussianPatches(dictionary), schedule=schedule)
    for q, value, error in zip(k, estimate.value, estimate.standard_error, strict=True):
        samples = mean * (y @ np.cos(offsets @ q))
        bare = schedule.rate(t) * (-0.5 + 1 / sigma2)
        expected = bare - schedule.rate(t) * alpha / sigma2 * samples.mean()
        spread = schedule.rate(t) * alpha / sigma2 * samples.std() / np.sqrt(len(samples))
        assert abs(value - expected) < 4 * math.hypot(spread, error)


def test_averages_tend_to_the_mean_field_at_large_t():
    k, t = np.array([[0.0, 0.0], [0.5, 1.0]]), 14.0
    bare = theory.dispersion(k, t, dictionary=DEFAULT)
    averaged = theory.renormalised_dispersion(k, t, patches=theory.GaussianPatches(DEFAULT))
    np.testing.assert_allclose(averaged.value, bare, atol=1e-7)
    quadrature = theory.renormalised_dispersion(k, t)
    np.testing.assert_allclose(quadrature.value, theory.dispersion(k, t), atol=1e-7)
    assert not quadrature.standard_error.any()


def test_conditions_met_at_no_time():
    # A single site under N(0, 1) fluctuations never turns unstable, though it does at tree level.
    found = theory.critical_times(K=0, d=1)
    assert math.isnan(found["renormalised"])
    assert found["drift"] == pytest.approx(math.asinh(1.0))
    with pytest.raises(InvalidInputError, match="condition 'renormalised' is met at no time"):
        theory.critical_time("renormalised", K=0, d=1)
    opposed = np.ones((2, 3, 3)) * np.array([1.0, -1.0])[:, None, None]
    opposed[:, 1, 1] *= -1.0
    single = fp.PatchDictionary(np.ones((1, 3, 3)))
    for dictionary in (fp.PatchDictionary(opposed), single):
        assert all(math.isnan(t) for t in theory.critical_times(dictionary=dictionary).values())
        with pytest.raises(InvalidInputError, match="never vanishes"):
            theory.renormalised_critical_time(theory.GaussianPatches(dictionary, log2_points=4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.critical_time("eq18"), "condition is 'eq18'; expected one of 'score', 'eq17'"),
        (lambda: theory.critical_time("score", Omega=3.0, dictionary=UNIFORM), "both given"),
        (lambda: theory.critical_time("score", Omega=0.0), "Omega is 0.0"),
        (lambda: theory.critical_times(K=-1), "K is -1"),
        (lambda: theory.GaussianPatches(UNIFORM, replicates=1), "replicates is 1"),
        (
            lambda: theory.renormalised_dispersion([0.0], 1.0, patches=theory.GaussianPatches(UNIFORM, log2_points=1)),
            r"k has shape \(1,\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_public_names_resolve_and_import_nothing_heavy():
    assert all(hasattr(theory, name) for name in theory.__all__)
    heavy = {"numba", "torch", "xarray", "matplotlib", "dask", "scipy.stats"}
    code = f"from fastpatch import theory; import sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_s_critical_time_is_its_dictionary_s():
    uniform = fp.PatchDictionary.random(0, uniform_mass=1.0)
    assert fp.PatchModel(uniform).critical_time == pytest.approx(math.log(26.0), abs=1e-12)
    model = fp.PatchModel(DEFAULT, fp.VPSchedule(2.0))
    expected = theory.critical_time("score", dictionary=DEFAULT, schedule=fp.VPSchedule(2.0))
    assert model.critical_time == pytest.approx(expected, abs=1e-9)
    # Unequal norms: the weights themselves depend on t.
    unequal = fp.PatchDictionary(DEFAULT.patterns * np.linspace(0.6, 1.2, 9).repeat(2)[:, None, None], DEFAULT.prior)
    assert unequal.is_z2_symmetric is False
    t = fp.PatchModel(unequal).critical_time
    k = np.stack(np.meshgrid(*[np.linspace(-np.pi, np.pi, 201)] * 2, indexing="ij"), axis=-1)
    alpha, sigma2 = math.exp(-t / 2), -math.expm1(-t)
    score = theory.dispersion(k, t, dictionary=unequal) + 0.5
    assert abs(score.min()) < 2e-3 * alpha**2 / sigma2**2
    assert theory.dispersion(k, 1.02 * t, dictionary=unequal).min() > -0.5


def test_a_dictionary_of_stripes_softens_at_their_wave_vector():
    columns = np.arange(7)
    stripes = np.stack([np.sign(np.cos(2 * np.pi * (columns + s + 0.5) / 6)) * np.ones((7, 1)) for s in range(6)])
    model = fp.PatchModel(fp.PatchDictionary(stripes))
    k = np.stack([np.zeros(2001), np.linspace(0.0, np.pi, 2001)], axis=-1)
    t = model.critical_time
    score = theory.dispersion(k, t, dictionary=model.dictionary) + 0.5
    assert abs(score.min()) < 1e-5
    assert k[np.argmin(score), 1] == pytest.approx(2 * np.pi / 6, abs=0.15)
    assert t < math.log(50.0) - 0.5
    assert math.isnan(fp.PatchModel(fp.PatchDictionary(np.ones((1, 3, 3)))).critical_time)
