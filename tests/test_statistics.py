"""Bootstrap intervals of the median: exact small cases, coverage, gaps."""

import numpy as np
import pytest

from fastpatch.analysis import bootstrap_median
from fastpatch.errors import DtypeError, InvalidInputError


def test_median_is_that_of_the_values_present():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((7, 300))
    values[rng.random(values.shape) < 0.4] = np.nan
    values[0, np.isnan(values).all(0)] = 1.0
    median, low, high = bootstrap_median(values, n_resamples=200)
    np.testing.assert_array_equal(median, np.nanmedian(values, axis=0))
    several = np.count_nonzero(~np.isnan(values), axis=0) > 1
    assert several.any()
    assert not several.all()
    assert (low[several] <= median[several]).all()
    assert (median[several] <= high[several]).all()
    assert np.isnan(low[~several]).all()
    assert np.isnan(high[~several]).all()


def test_interval_of_three_values_follows_from_their_27_resamples():
    values = np.array([[1.0], [2.0], [4.0]])
    # The median of a resample is the smallest value with probability 7/27 = 0.26, the middle one 13/27.
    for confidence, expected in ((0.95, (1.0, 4.0)), (0.6, (1.0, 4.0)), (0.4, (2.0, 2.0))):
        _, low, high = bootstrap_median(values, confidence=confidence, n_resamples=4000)
        assert (low[0], high[0]) == expected


def test_interval_of_an_even_number_averages_the_two_middle_values():
    # Two values: the median of a resample is a, b or, half of the time, their mean.
    _, low, high = bootstrap_median(np.array([[0.0], [1.0]]), confidence=0.4, n_resamples=4000)
    assert (low[0], high[0]) == (0.5, 0.5)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_coverage(confidence):
    values = np.random.default_rng(1).exponential(size=(25, 3000))
    _, low, high = bootstrap_median(values, confidence=confidence, n_resamples=1000)
    covered = np.mean((low <= np.log(2.0)) & (np.log(2.0) <= high))
    # Binomial error 0.007; the percentile interval itself is off by a few per cent for 25 values.
    assert covered == pytest.approx(confidence, abs=0.05)


def test_four_values_cannot_cover_more_than_seven_eighths():
    values = np.random.default_rng(2).standard_normal((4, 4000))
    _, low, high = bootstrap_median(values, confidence=0.999)
    np.testing.assert_array_equal(low, values.min(0))
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(7 / 8, abs=0.02)


def test_a_gap_equals_leaving_the_trajectory_out():
    values = np.random.default_rng(3).standard_normal((6, 40))
    with_gap = values.copy()
    with_gap[2, :20] = np.nan
    left_out = np.delete(values, 2, axis=0)
    for found, without, with_all in zip(
        bootstrap_median(with_gap, seed=5),
        bootstrap_median(left_out, seed=5),
        bootstrap_median(values, seed=5),
        strict=True,
    ):
        np.testing.assert_array_equal(found[:20], without[:20])
        np.testing.assert_array_equal(found[20:], with_all[20:])


def test_order_of_trajectories_axis_and_blocks_do_not_matter(monkeypatch):
    from fastpatch.analysis import statistics

    values = np.random.default_rng(4).standard_normal((5, 6, 7))
    expected = bootstrap_median(values, axis=1, seed=1)
    assert [found.shape for found in expected] == [(5, 7)] * 3
    monkeypatch.setattr(statistics, "_BLOCK", 4)
    for moved in (
        bootstrap_median(np.moveaxis(values, 1, 2), axis=-1, seed=1),
        bootstrap_median(values[:, ::-1], axis=1, seed=1),
    ):
        for a, b in zip(moved, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_seed():
    values = np.random.default_rng(5).standard_normal((12, 50))
    first, again, other = (bootstrap_median(values, n_resamples=50, seed=seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_scalars_and_nothing_at_all():
    median, low, high = bootstrap_median(np.array([1.0, 2.0, 3.0, 4.0, 10.0]))
    assert (median, low, high) == (3.0, 1.0, 10.0)
    for found in bootstrap_median(np.full((4, 2), np.nan)):
        assert np.isnan(found).all()
    median, low, _ = bootstrap_median(np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(median, [1.0, 2.0])
    assert np.isnan(low).all()
    assert bootstrap_median(np.empty((3, 0)))[0].shape == (0,)


def test_what_is_refused():
    values = np.zeros((4, 5))
    for options in ({"confidence": 1.0}, {"confidence": 0.0}, {"n_resamples": 0}, {"seed": -1}, {"axis": 2}):
        with pytest.raises(InvalidInputError):
            bootstrap_median(values, **options)
    with pytest.raises(InvalidInputError, match="at least one trajectory"):
        bootstrap_median(np.empty((0, 5)))
    with pytest.raises(InvalidInputError, match="infinite"):
        bootstrap_median(np.array([1.0, np.inf]))
    with pytest.raises(DtypeError, match="complex"):
        bootstrap_median(values + 0j)
    with pytest.raises(InvalidInputError, match="single number"):
        bootstrap_median(1.0)
