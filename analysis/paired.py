"""Means of paired differences: bootstrap intervals, permutation tests, and their correction for many tests."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import integer
from .statistics import real_values, resampling_options

__all__ = ["bootstrap_mean", "holm", "nested_bootstrap_means", "percentile_interval", "sign_flip_test"]

# Numbers drawn at once, which bounds the memory.
_DRAWN = 2**21


def bootstrap_mean(
    values: ArrayLike, confidence: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[Any, Any, Any]:
    """Mean over the last axis with its percentile bootstrap interval; float64, ``values``' shape without that axis.

    Of n values, the interval of 95 per cent is narrower than Student's by a factor 1.96 sqrt(1 - 1/n) / t: 4 per cent
    for n = 40. It is NaN with fewer than two values.

    Raises `DtypeError` or `InvalidInputError` for values that are not finite real numbers, an empty axis, or options
    that `bootstrap_median` refuses. That the values are independent is not checked.
    """
    data = _finite(values, minimum_ndim=1)
    level, resamples, seed = resampling_options(confidence, n_resamples, seed)
    mean, count = data.mean(axis=-1), data.shape[-1]
    if count < 2:
        return mean, np.full_like(mean, np.nan)[()], np.full_like(mean, np.nan)[()]
    # Imported here: scipy.stats takes longer to load than all the rest of the package.
    from scipy.stats import bootstrap

    found = bootstrap(
        (data,), np.mean, axis=-1, vectorized=True, n_resamples=resamples, batch=max(1, _DRAWN // data.size),
        confidence_level=level, method="percentile", rng=np.random.default_rng(seed),
    )  # fmt: skip
    return mean, found.confidence_interval.low, found.confidence_interval.high


def nested_bootstrap_means(values: ArrayLike, n_resamples: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """Means of (..., groups, members) in resamples of the groups and, in each, of its members: (n_resamples, ...).

    Groups are drawn with replacement, and every drawn one has its members drawn anew, so that the spread is that of
    other groups as well as of other members. All leading axes see the same resamples: differences of their means are
    paired.

    Of G groups of M members, whose means vary by s_G^2 beyond what members varying by s_M^2 explain, the variance is
    (1 - 1/G) [s_G^2 + s_M^2 / M] / G + (1 - 1/M) s_M^2 / (G M): drawing members anew counts theirs twice. So intervals
    are too wide, by up to sqrt(2), where members vary more than groups, and too narrow, by sqrt(1 - 1/G), where they
    hardly vary.

    A single member of a single group has no spread to resample: NaN. Raises as `bootstrap_mean` does.
    """
    data = _finite(values, minimum_ndim=2)
    _, resamples, seed = resampling_options(0.95, n_resamples, seed)
    groups, members = data.shape[-2:]
    if groups * members < 2:
        return np.full((resamples, *data.shape[:-2]), np.nan)
    rng = np.random.default_rng(seed)
    flat = data.reshape(-1, groups * members)
    means = np.empty((resamples, len(flat)))
    for start in range(0, resamples, max(1, _DRAWN // (groups * members))):
        part = means[start : start + max(1, _DRAWN // (groups * members))]
        drawn = rng.integers(groups, size=(len(part), groups, 1)) * members
        drawn = drawn + rng.integers(members, size=(len(part), groups, members))
        # How often each value was drawn: one matrix product then serves all leading axes.
        offset = np.arange(len(part))[:, None, None] * (groups * members)
        counts = np.bincount((drawn + offset).ravel(), minlength=len(part) * groups * members)
        part[:] = counts.reshape(len(part), -1) @ flat.T / (groups * members)
    return means.reshape(resamples, *data.shape[:-2])


def percentile_interval(resampled: NDArray[np.float64], confidence: float = 0.95) -> tuple[Any, Any]:
    """The central interval over the first axis that holds the share ``confidence`` of it."""
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(resampled, [tail, 100.0 - tail], axis=0)
    return low, high


def sign_flip_test(values: ArrayLike, n_resamples: int = 9999, seed: int = 0) -> Any:
    """Two-sided p-value, along the last axis, of the paired permutation test that differences have mean zero.

    Under the null hypothesis, that of exchangeable conditions, every difference has either sign with equal
    probability; the p-value is the share of sign patterns whose mean is as far from zero as the one found. All
    2^n patterns are tried where they are no more than ``n_resamples``, and as many random ones otherwise, whose
    smallest p-value is 2 / (n_resamples + 1).

    Raises as `bootstrap_mean` does.
    """
    from scipy.stats import permutation_test

    data = _finite(values, minimum_ndim=1)
    _, resamples, seed = resampling_options(0.95, n_resamples, seed)
    if data.shape[-1] < 2:
        return np.ones(data.shape[:-1])[()]  # either sign is as likely
    found = permutation_test(
        (data,), np.mean, permutation_type="samples", axis=-1, vectorized=True, n_resamples=resamples,
        batch=max(1, _DRAWN // data.size), rng=np.random.default_rng(seed),
    )  # fmt: skip
    return found.pvalue


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values (..., n) of n tests made together, adjusted by Holm's step-down method.

    Rejecting where the adjusted value is below a level keeps the probability of any false rejection among the n
    below it, whatever the dependence of the tests. Raises `InvalidInputError` outside [0, 1].
    """
    p = _finite(p_values, minimum_ndim=1)
    if ((p < 0.0) | (p > 1.0)).any():
        raise InvalidInputError("p_values reach outside [0, 1]; expected probabilities")
    count = p.shape[-1]
    order = np.argsort(p, axis=-1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, axis=-1) * np.arange(count, 0, -1), axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), axis=-1)
    return adjusted


def _finite(values: ArrayLike, minimum_ndim: int) -> NDArray[np.float64]:
    data = real_values(values, "values")
    integer(data.ndim, "the number of axes of values", minimum=minimum_ndim)
    if data.size == 0 or np.isnan(data).any():
        found = f"have shape {data.shape}" if 0 in data.shape else "hold NaN"
        raise InvalidInputError(f"values {found}; expected finite numbers, at least one along each axis")
    return data
