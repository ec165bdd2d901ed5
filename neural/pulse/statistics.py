"""Differences between conditions over shared noise, class by class and over all classes (paper App. F.7)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.paired import bootstrap_mean, holm, nested_bootstrap_means, percentile_interval, sign_flip_test

__all__ = ["Curve", "Difference", "difference", "per_unit", "response"]

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Difference:
    """A paired difference a - b of scores (metric, class, trial).

    Attributes
    ----------
    mean, low, high : (metric, class)
        Mean over trials and its bootstrap interval, 95 %.
    p_value, p_holm : (metric, class)
        Of the paired sign-flip test, and adjusted for the number of classes.
    overall, overall_low, overall_high : (metric,)
        Mean over classes and trials; its interval resamples classes, and trials in each.
    overall_p : (metric,)
        Of the sign-flip test on the means of the classes. With C classes it is at least 2 / 2^C.
    """

    mean: Values
    low: Values
    high: Values
    p_value: Values
    p_holm: Values
    overall: Values
    overall_low: Values
    overall_high: Values
    overall_p: Values


@dataclass(frozen=True, eq=False)
class Curve:
    """A dose-response curve: gains over the unguided runs by position of the pulse.

    Attributes
    ----------
    gain, low, high : (metric, position)
        Mean over classes and trials, and its interval at each position, which resamples classes and trials.
    by_class : (metric, position, class)
        Mean over trials.
    best : (metric,)
        Position of the largest gain.
    resampled_best : (n_resamples, metric)
        The same in every resample.
    """

    gain: Values
    low: Values
    high: Values
    by_class: Values
    best: NDArray[np.int64]
    resampled_best: NDArray[np.int64]


def difference(a: Values, b: Values, seed: int = 0) -> Difference:
    """The paired difference of finite scores (metric, class, trial), trial by trial."""
    d = a - b
    mean, low, high = bootstrap_mean(d, seed=seed)
    p_value = np.asarray(sign_flip_test(d, seed=seed))
    overall_low, overall_high = percentile_interval(nested_bootstrap_means(d, seed=seed))
    return Difference(
        mean, low, high, p_value, holm(p_value), d.mean(axis=(-2, -1)), overall_low, overall_high,
        np.asarray(sign_flip_test(mean, seed=seed)),
    )  # fmt: skip


def response(scan: Values, unguided: Values, seed: int = 0) -> Curve:
    """The curve of scores (metric, position, class, trial) over unguided ones (metric, class, trial)."""
    d = scan - unguided[:, None]
    resampled: Any = nested_bootstrap_means(d, seed=seed)
    low, high = percentile_interval(resampled)
    gain = d.mean(axis=(-2, -1))
    return Curve(gain, low, high, d.mean(axis=-1), gain.argmax(axis=-1), resampled.argmax(axis=-1))


def per_unit(gain: Values, size: Values, seed: int = 0) -> tuple[Values, Values, Values]:
    """Mean gain over mean size, with the interval of that ratio, (metric, …) each; NaN where nothing was moved.

    ``gain`` (metric, …, class, trial) and ``size`` (…, class, trial) are resampled together, classes and trials.
    """
    both = np.concatenate([gain, size[None]])
    resampled: Any = nested_bootstrap_means(both, seed=seed)
    low, high = percentile_interval(_ratio(resampled[:, :-1], resampled[:, -1:]))
    mean = both.mean(axis=(-2, -1))
    return _ratio(mean[:-1], mean[-1:]), low, high


def _ratio(gain: Values, size: Values) -> Values:
    some = np.broadcast_to(size > 0.0, gain.shape)
    return np.divide(gain, size, out=np.full_like(gain, np.nan), where=some)
