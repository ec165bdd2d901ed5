"""Means of paired differences: coverage of their intervals, exact permutation tests, Holm's correction."""

from itertools import product

import numpy as np
import pytest

from fastpatch.analysis.paired import bootstrap_mean, holm, nested_bootstrap_means, percentile_interval, sign_flip_test
from fastpatch.errors import DtypeError, InvalidInputError


def test_interval_of_a_mean_covers_as_often_as_it_says():
    values = 0.3 + np.random.default_rng(0).exponential(size=(800, 40))
    mean, low, high = bootstrap_mean(values, n_resamples=300)
    np.testing.assert_allclose(mean, values.mean(axis=-1))
    covered = np.mean((low <= 1.3) & (high >= 1.3))
    # Nominally 0.95; narrower by 4 per cent, and skewed, which makes some 0.93. Binomial error 0.008.
    assert 0.90 < covered < 0.955


def test_interval_of_two_values_follows_from_their_four_resamples():
    # The mean of a resample is a, b or, half of the time, their mean.
    _, low, high = bootstrap_mean(np.array([[0.0, 1.0], [3.0, 3.0]]), confidence=0.4)
    np.testing.assert_array_equal(low, [0.5, 3.0])
    np.testing.assert_array_equal(high, [0.5, 3.0])


def test_one_value_has_no_interval():
    mean, low, high = bootstrap_mean([[2.0]])
    assert mean[0] == 2.0
    assert np.isnan([low[0], high[0]]).all()


class TestNested:
    def test_spread_is_that_of_groups_and_members(self):
        rng = np.random.default_rng(1)
        values = 2.0 * rng.standard_normal((200, 1)) + rng.standard_normal((200, 5))
        means = nested_bootstrap_means(values, n_resamples=4000)
        # The sample's own variances: between groups, and within them, which counts once more.
        between, within = values.mean(axis=1).var(), values.var(axis=1).mean()
        assert means.mean() == pytest.approx(values.mean(), abs=0.01)
        assert means.var() == pytest.approx(between / 200 + within / 1000, rel=0.1)

    def test_covers_the_mean_of_other_groups(self):
        rng = np.random.default_rng(2)
        covered = []
        for _ in range(300):
            values = 1.0 + rng.standard_normal((10, 1)) + rng.standard_normal((10, 20))
            low, high = percentile_interval(nested_bootstrap_means(values, n_resamples=400))
            covered.append(low <= 1.0 <= high)
        # Too narrow by sqrt(9/10) and for want of Student's t: some 0.91 of nominal 0.95.
        assert 0.86 < np.mean(covered) < 0.96

    def test_differences_of_leading_axes_are_paired(self):
        values = np.random.default_rng(3).standard_normal((2, 4, 6))
        values[1] = values[0] + 0.25
        means = nested_bootstrap_means(values, n_resamples=300)
        assert means.shape == (300, 2)
        np.testing.assert_allclose(means[:, 1] - means[:, 0], 0.25)
        assert means[:, 0].std() > 0.05

    def test_does_not_depend_on_how_much_is_drawn_at_once(self, monkeypatch):
        from fastpatch.analysis import paired

        values = np.random.default_rng(4).standard_normal((3, 5))
        expected = nested_bootstrap_means(values, n_resamples=50).std()
        monkeypatch.setattr(paired, "_DRAWN", 40)
        found = nested_bootstrap_means(values, n_resamples=50)
        assert found.shape == (50,)
        assert found.std() == pytest.approx(expected, rel=0.5)


class TestSignFlips:
    def test_is_the_share_of_sign_patterns_as_far_from_zero(self):
        values = np.array([0.8, -0.1, 1.7, 0.4, 0.9])
        means = [np.mean(np.array(signs) * values) for signs in product((-1.0, 1.0), repeat=5)]
        expected = np.mean(np.abs(means) >= values.mean() - 1e-12)
        assert sign_flip_test(values) == pytest.approx(expected)

    def test_of_no_effect_is_uniform(self):
        values = np.random.default_rng(5).standard_normal((600, 12))
        p = sign_flip_test(values, n_resamples=4100)
        for level in (0.05, 0.3, 0.7):
            assert np.mean(p <= level) == pytest.approx(level, abs=0.05)

    def test_finds_an_effect_that_is_there(self):
        values = np.random.default_rng(6).standard_normal(40) + 1.0
        assert sign_flip_test(values) < 1e-3

    def test_of_equal_conditions_is_one(self):
        np.testing.assert_array_equal(sign_flip_test(np.zeros((2, 8))), [1.0, 1.0])
        assert sign_flip_test([0.7]) == 1.0


class TestHolm:
    def test_steps_down(self):
        # 4 x 0.01, 3 x 0.02, 2 x 0.03, 1 x 0.04 in order, and never less than the one before.
        np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
        np.testing.assert_array_equal(holm([[0.9, 0.8], [0.04, 0.01]]), [[1.0, 1.0], [0.04, 0.02]])

    def test_rejects_one_true_hypothesis_among_ten_no_more_often_than_it_says(self):
        p = np.random.default_rng(7).uniform(size=(4000, 10))
        assert np.mean((holm(p) < 0.05).any(axis=1)) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bootstrap_mean([]), InvalidInputError, r"values have shape \(0,\); expected finite numbers"),
        (lambda: bootstrap_mean([1.0, np.nan]), InvalidInputError, "values hold NaN; expected finite numbers"),
        (lambda: bootstrap_mean(["a"]), DtypeError, "expected real numbers"),
        (
            lambda: nested_bootstrap_means([1.0]),
            InvalidInputError,
            "number of axes of values is 1; expected at least 2",
        ),
        (lambda: sign_flip_test([1.0, 2.0], n_resamples=0), InvalidInputError, "n_resamples is 0; expected at least 1"),
        (lambda: holm([0.1, 1.2]), InvalidInputError, r"p_values reach outside \[0, 1\]; expected probabilities"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_number_has_no_spread():
    assert np.isnan(nested_bootstrap_means(np.ones((3, 1, 1)), n_resamples=5)).all()
    assert nested_bootstrap_means(np.ones((3, 1, 2)), n_resamples=5).shape == (5, 3)
