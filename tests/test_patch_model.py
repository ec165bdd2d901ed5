"""Posterior mean, score and drift of the patch model against explicit sums, and their symmetries."""

import numpy as np
import oracle
import pytest
from cases import DICTIONARIES, MODELS_AND_SHAPES, SHAPES, forward_field, white_field
from hypothesis import given
from hypothesis import strategies as st

import fastpatch as fp

TIMES = (1e-3, 0.05, 0.7, 3.2, 50.0)
EPS = np.finfo(np.float64).eps


def times_for(dictionary):
    """All of them, or fewer where the explicit sums are long."""
    return TIMES if dictionary.patterns.size < 2000 else TIMES[::2] if dictionary.size < 9 else TIMES[::3]


def assert_is_the_oracle(model, x, t, tolerance, eps):
    """Posterior mean, score and drift within ``tolerance`` of the oracle, plus what rounding to ``eps`` explains.

    The tolerance is absolute for the posterior mean in units of the largest centre pixel, and for score and drift in
    units of their own largest value, which reaches 1/sigma^2.
    """
    field, parts = x.astype(np.float64), (model.dictionary.patterns, model.dictionary.prior)
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    unavoidable = 4 * eps * oracle.condition(field, t, *parts)
    found, expected = model.posterior_mean(x, t), oracle.posterior_mean(field, t, *parts)
    assert found.dtype == x.dtype
    largest = np.abs(model.dictionary.centers).max()
    assert (np.abs(found - expected) <= tolerance * largest + unavoidable).all(), t
    for method, expected in (
        (model.score, oracle.score(field, t, *parts)),
        (model.drift, oracle.drift(field, t, *parts)),
    ):
        found = method(x, t)
        assert found.dtype == x.dtype
        limit = tolerance * np.abs(expected).max() + alpha / sigma2 * unavoidable
        assert (np.abs(found - expected) <= limit).all(), (method.__name__, t)


@pytest.mark.parametrize(("dictionary", "shape"), MODELS_AND_SHAPES)
@pytest.mark.parametrize("kind", ["forward", "white"])
def test_float64_is_the_oracle_to_1e_12(dictionary, shape, kind):
    # On fields of the forward process, as in a run, one pattern holds all the weight almost wherever logits are large;
    # on white noise at small t patterns compete at large logits, and the conditioning takes over from the 1e-12.
    for t in times_for(dictionary):
        x = forward_field(dictionary, shape, t, batch=(2,)) if kind == "forward" else white_field(shape, batch=(2,))
        assert_is_the_oracle(fp.PatchModel(dictionary), x, t, 1e-12, EPS)


@pytest.mark.parametrize(("dictionary", "shape"), MODELS_AND_SHAPES)
def test_float32_is_the_oracle_to_2e_6(dictionary, shape):
    # Given a float32 field, the results are those of float64 arithmetic, rounded: nothing is lost in the logits.
    for t in times_for(dictionary):
        x = forward_field(dictionary, shape, t).astype(np.float32)
        assert_is_the_oracle(fp.PatchModel(dictionary), x, t, 2e-6, EPS)


def test_conditioning_excuses_only_what_is_ill_conditioned():
    # At the times and fields of a run nearly every site is held to 1e-12 alone.
    dictionary = DICTIONARIES["18 patterns"]
    for t in TIMES:
        x = forward_field(dictionary, SHAPES["even"], t)
        excused = 4 * EPS * oracle.condition(x, t, dictionary.patterns, dictionary.prior) > 1e-12
        assert excused.mean() < 0.05, t


@pytest.mark.parametrize("rate", [0.3, 2.5, lambda t: 0.5 + 0.1 * t], ids=["0.3", "2.5", "0.5 + 0.1 t"])
def test_other_noise_rates_change_time_and_scale_the_drift(rate):
    dictionary, t = DICTIONARIES["real-valued"], 1.7
    beta, integral = (rate(t), 0.5 * t + 0.05 * t**2) if callable(rate) else (rate, rate * t)
    model = fp.PatchModel(dictionary, schedule=fp.VPSchedule(rate))
    x = forward_field(dictionary, SHAPES["odd"], integral)
    parts = (dictionary.patterns, dictionary.prior)
    np.testing.assert_allclose(model.score(x, t), oracle.score(x, integral, *parts), rtol=1e-9)
    np.testing.assert_allclose(model.drift(x, t), beta * oracle.drift(x, integral, *parts), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3), (2, 1, 2)])
def test_leading_axes_are_a_batch_and_the_dtype_stays(batch, dtype):
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    x = white_field((8, 11), batch=batch).astype(dtype)
    for method in (model.posterior_mean, model.score, model.drift, model.mode_derivatives, model.spectrum):
        found = method(x, 1.3)
        tail = {model.mode_derivatives: (7, 2), model.spectrum: (8, 6)}.get(method, (8, 11))
        assert found.shape == (*batch, *tail)
        assert found.dtype == dtype
        one_by_one = [method(field, 1.3) for field in x.reshape(-1, 8, 11)]
        np.testing.assert_array_equal(found.reshape(-1, *tail), one_by_one)


def test_no_batch_gives_no_result_and_arguments_stay_untouched():
    model = fp.PatchModel(DICTIONARIES["18 patterns"])
    assert model.score(np.zeros((0, 8, 8)), 1.0).shape == (0, 8, 8)
    strided = white_field((16, 24))[::2, ::3]
    kept = strided.copy()
    np.testing.assert_array_equal(model.drift(strided, 1.0), model.drift(kept, 1.0))
    np.testing.assert_array_equal(strided, kept)


@pytest.mark.parametrize("name", ["18 patterns", "10 with flips", "uniform only", "3x3"])
@pytest.mark.parametrize("t", [1e-3, 1.0, 3.2, 50.0])
def test_drift_is_odd_where_the_dictionary_is_symmetric(name, t):
    model = fp.PatchModel(DICTIONARIES[name])
    assert model.dictionary.is_z2_symmetric
    x = white_field((10, 12), batch=(2,))
    np.testing.assert_allclose(model.drift(-x, t), -model.drift(x, t), rtol=1e-11, atol=1e-11)


def test_drift_is_not_odd_without_the_flips():
    model = fp.PatchModel(DICTIONARIES["10 without flips"])
    x = white_field((10, 12))
    assert np.abs(model.drift(-x, 1.0) + model.drift(x, 1.0)).max() > 0.1


@pytest.mark.parametrize("name", ["18 patterns", "unbalanced flips", "7x7"])
def test_translations_commute_with_the_drift_and_leave_the_derivatives(name):
    model = fp.PatchModel(DICTIONARIES[name])
    x = white_field(SHAPES["tall"])
    for shift in ((1, 0), (0, 1), (-3, 5), (17, 4)):
        moved = np.roll(x, shift, axis=(0, 1))
        # Which rows and columns share a band or tile changes with the shift, and with them the last bits.
        expected = np.roll(model.drift(x, 0.4), shift, axis=(0, 1))
        np.testing.assert_allclose(model.drift(moved, 0.4), expected, rtol=1e-12, atol=1e-12)
        # The constant mode is the only one that a translation leaves alone.
        np.testing.assert_allclose(model.spectrum(moved, 0.4)[0, 0], model.spectrum(x, 0.4)[0, 0], rtol=1e-11)


@pytest.mark.parametrize("name", ["18 patterns", "real-valued", "3x3"])
def test_transposing_field_and_patterns_transposes_everything(name):
    dictionary = DICTIONARIES[name]
    model = fp.PatchModel(dictionary)
    turned = fp.PatchModel(fp.PatchDictionary(dictionary.patterns.transpose(0, 2, 1), dictionary.prior))
    x, t = forward_field(dictionary, (14, 20), 1.1), 1.1
    np.testing.assert_allclose(turned.drift(x.T, t), model.drift(x, t).T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        turned.mode_derivatives(x.T, t), model.mode_derivatives(x, t)[:, ::-1], rtol=1e-11, atol=1e-11
    )
    here, there = model.spectrum(x, t), turned.spectrum(x.T, t)
    np.testing.assert_allclose(there[:8, :8], here[:8, :8].T, rtol=1e-11, atol=1e-11)


def test_point_reflection_of_field_and_patterns():
    dictionary = DICTIONARIES["real-valued"]
    reflected = fp.PatchDictionary(dictionary.patterns[:, ::-1, ::-1], dictionary.prior)
    x = forward_field(dictionary, (11, 16), 0.6)
    found = fp.PatchModel(reflected).drift(x[::-1, ::-1], 0.6)
    expected = fp.PatchModel(dictionary).drift(x, 0.6)[::-1, ::-1]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_equal_patterns_add_their_priors_and_the_order_does_not_matter():
    dictionary = DICTIONARIES["unbalanced flips"]
    merged = np.delete(dictionary.patterns, 4, axis=0), np.array([0.3, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1])
    shuffled = np.random.default_rng(0).permutation(7)
    x = white_field((9, 9))
    expected = fp.PatchModel(dictionary).drift(x, 1.5)
    for order in (np.arange(7), shuffled):
        model = fp.PatchModel(fp.PatchDictionary(merged[0][order], merged[1][order]))
        np.testing.assert_allclose(model.drift(x, 1.5), expected, rtol=1e-12, atol=1e-12)


def test_at_large_times_the_posterior_is_the_prior():
    dictionary = DICTIONARIES["real-valued"]
    x = white_field((9, 12))
    np.testing.assert_allclose(
        fp.PatchModel(dictionary).posterior_mean(x, 50.0), dictionary.prior @ dictionary.centers, rtol=1e-8
    )


def test_at_small_times_the_nearest_pattern_takes_all_the_weight():
    dictionary = DICTIONARIES["18 patterns"]
    model = fp.PatchModel(dictionary)
    for pattern in dictionary.patterns:
        x = np.tile(pattern, (2, 3))
        mean = model.posterior_mean(np.exp(-5e-4) * x, 1e-3)
        # Neighbourhoods centred on a tile are the pattern itself.
        np.testing.assert_array_equal(mean[2::5, 2::5], pattern[2, 2])


@given(
    t=st.floats(1e-3, 50.0),
    magnitude=st.floats(-30.0, 30.0),
    name=st.sampled_from(sorted(DICTIONARIES)),
    seed=st.integers(0, 2**32 - 1),
)
def test_posterior_mean_of_any_field_lies_between_the_centres(t, magnitude, name, seed):
    model = fp.PatchModel(DICTIONARIES[name])
    mean = model.posterior_mean(10.0**magnitude * white_field((7, 8), seed=seed), t)
    slack = 1e-14 * np.abs(model.dictionary.centers).max()
    assert (mean >= model.dictionary.centers.min() - slack).all()
    assert (mean <= model.dictionary.centers.max() + slack).all()
