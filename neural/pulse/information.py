r"""The class information that is decided at each noise level, from D - D_u, and whether it predicts what pulses do.

By the I-MMSE relation :math:`-dI(c; x)/d\log\sigma = E|D_c - D_u|^2/\sigma^2`, in nats, with the square summed over the
pixels; an octave is log 2 of it. Here D - D_u is that of the unguided states at which kicks act.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.paired import nested_bootstrap_means, percentile_interval

__all__ = ["ClassInformation", "class_information"]

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassInformation:
    """Nats an octave at each level, and Pearson's correlation with the gain by a pulse there.

    Attributes
    ----------
    rate, low, high : (level,)
        Mean over classes and trials and its interval, 95 %, which resamples both.
    largest, largest_low, largest_high : float
        Noise level of the largest rate.
    total, total_low, total_high : float
        Nats between the first level and the last, by the trapezoidal rule: I(c; x_0) is at most the label's entropy,
        log C of C equal classes, which calibrates network and guide.
    correlation, correlation_low, correlation_high : (metric,)
        Between the rate and the gain, interpolated in log sigma, over the levels that the scan covers. NaN with fewer
        than three such levels. A gain that is noise at most levels lowers it.
    """

    rate: Values
    low: Values
    high: Values
    largest: float
    largest_low: float
    largest_high: float
    total: float
    total_low: float
    total_high: float
    correlation: Values
    correlation_low: Values
    correlation_high: Values


def class_information(
    difference: Values, pixels: int, sigma: Values, gain: Values, gain_sigma: Values, seed: int = 0
) -> ClassInformation:
    """From the RMS of D - D_u (level, class, trial) at ``sigma`` (level,), decreasing, of images of ``pixels`` values.

    ``gain`` (metric, position, class, trial) is that of pulses at ``gain_sigma`` (position,), decreasing; classes and
    trials are resampled together.
    """
    rates = np.log(2.0) * pixels * (difference / sigma[:, None, None]) ** 2
    metrics, positions = gain.shape[:2]
    both = np.concatenate([rates, gain.reshape(metrics * positions, *gain.shape[2:])])
    resampled: Any = nested_bootstrap_means(both, seed=seed)
    every = np.concatenate([both.mean(axis=(-2, -1))[None], resampled])
    rate, gains = every[:, : len(sigma)], every[:, len(sigma) :].reshape(-1, metrics, positions)
    covered = (sigma <= gain_sigma.max()) & (sigma >= gain_sigma.min())
    correlation = _correlation(rate[:, None, covered], _at(gains, gain_sigma, sigma[covered]))
    low, high = percentile_interval(rate[1:])
    peaks = sigma[rate.argmax(axis=1)]
    first, last = percentile_interval(peaks[1:])
    # Decreasing levels: octaves from one to the next.
    total = 0.5 * (rate[:, 1:] + rate[:, :-1]) @ -np.diff(np.log2(sigma))
    least, most = percentile_interval(total[1:])
    r_low, r_high = percentile_interval(correlation[1:])
    return ClassInformation(
        rate[0], low, high, float(peaks[0]), float(first), float(last), float(total[0]), float(least), float(most),
        correlation[0], r_low, r_high,
    )  # fmt: skip


def _at(values: Values, sigma: Values, wanted: Values) -> Values:
    """``values`` (..., position), linear in log sigma, at the levels ``wanted``."""
    x, at = -np.log(sigma), -np.log(wanted)
    if len(x) < 2:
        return np.repeat(values, len(at), axis=-1)
    right = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return np.asarray(values[..., right - 1] * (1.0 - share) + values[..., right] * share)


def _correlation(a: Values, b: Values) -> Values:
    """Pearson's along the last axis; NaN with fewer than three values, or without spread."""
    if a.shape[-1] < 3:
        return np.full(np.broadcast_shapes(a.shape, b.shape)[:-1], np.nan)
    a, b = (one - one.mean(axis=-1, keepdims=True) for one in (a, b))
    scale = np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1))
    product = (a * b).sum(axis=-1)
    return np.asarray(np.divide(product, scale, out=np.full_like(product, np.nan), where=scale > 0.0))
