"""Studentised bootstrap intervals of means, and of places at which mean curves reach a share of their end."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "resampled_moments", "student_interval", "student_ratio_quantiles"]

# Numbers of draws held at once.
_BLOCK_ENTRIES = 2**21
# A resample of nearly equal runs, whose own error is below this share of the sample's, says nothing of a deviation
# in units of that error.
_LEAST_SHARE = 1e-6


class Moments(NamedTuple):
    """Means of values, and of the squares of their deviations from the sample's mean, in bootstrap resamples of runs.

    Both are (n_resamples, n).
    """

    mean: NDArray[np.float64]
    square: NDArray[np.float64]


def resampled_moments(values: NDArray[np.float64], n_resamples: int, seed: int) -> Moments:
    """Of values (R, n) of independent runs; the same ``seed`` draws the same runs for any n."""
    rng, count = np.random.default_rng(seed), len(values)
    even, squares = np.full(count, 1.0 / count), np.square(values - values.mean(axis=0))
    block = max(1, _BLOCK_ENTRIES // count)
    parts = []
    for first in range(0, n_resamples, block):
        shares = rng.multinomial(count, even, min(block, n_resamples - first)) / count
        parts.append((shares @ values, shares @ squares))
    return Moments(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def student_interval(
    values: NDArray[np.float64], moments: Moments, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Bounds (n,) of the means of values (R, n), R >= 2, by the bootstrap's own distribution of Student's t.

    With t* = (m* - m)/s* of a resample, [m - t*_{97.5 %} s, m - t*_{2.5 %} s] for 95 per cent, s the standard error.
    """
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    deviation = moments.mean - mean
    own = np.sqrt(np.maximum(moments.square - deviation**2, 0.0) / (len(values) - 1))
    low, high = _quantiles(deviation, own, error, confidence)
    return mean - high * error, mean - low * error


def student_ratio_quantiles(
    part: NDArray[np.float64], whole: NDArray[np.float64], n_resamples: int, seed: int, confidence: float
) -> tuple[float, float]:
    """Low and high quantile of the estimated minus the true share mean(part)/mean(whole) of runs (R,), R >= 2.

    By the studentised bootstrap with the ratio's linearised error. A share q is reached where the mean curve holds
    between q plus the one and q plus the other.
    """
    count = len(part)
    share = part.mean() / whole.mean()
    both = np.stack([part, whole, part**2, part * whole, whole**2], axis=1)
    p, w, pp, pw, ww = resampled_moments(both, n_resamples, seed).mean.T
    valid = w > 0.0
    found = np.where(valid, p / np.where(valid, w, 1.0), share)
    spread = np.maximum(pp - 2.0 * found * pw + found**2 * ww, 0.0)
    own = np.where(valid, np.sqrt(spread / (count - 1)) / np.where(valid, w, 1.0), 0.0)
    error = float(np.sqrt(np.square(part - share * whole).sum() / count / (count - 1)) / whole.mean())
    low, high = _quantiles((found - share)[:, None], own[:, None], np.array([error]), confidence)
    return float(low[0] * error), float(high[0] * error)


def _quantiles(
    deviation: NDArray[np.float64], own: NDArray[np.float64], error: NDArray[np.float64], confidence: float
) -> tuple[Any, Any]:
    """Of the deviations (n_resamples, n) in units of each resample's own error; 0 where the sample has no spread."""
    told = own > _LEAST_SHARE * error
    t = np.where(told, deviation / np.where(told, own, 1.0), np.nan)
    t[:, ~told.any(axis=0)] = 0.0
    tail = 0.5 * (1.0 - confidence)
    low, high = np.nanquantile(t, (tail, 1.0 - tail), axis=0)
    return low, high
