"""Medians over trajectories and their bootstrap intervals (paper App. C.11), and errors of means."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError, InvalidInputError
from ..validation import finite_float, integer, plain_array

__all__ = ["bootstrap_median", "standard_error"]

# Columns handled at once, so that a long record does not hold all its resampled medians in memory together.
_BLOCK = 4096


def standard_error(values: NDArray[Any], axis: int = 0) -> NDArray[np.float64]:
    """Of the mean of independent finite values along ``axis``, which is removed; NaN of a single one."""
    count = values.shape[axis]
    if count < 2:
        return np.full_like(values.mean(axis=axis, dtype=np.float64), np.nan)
    return np.asarray(values.std(axis=axis, ddof=1, dtype=np.float64) / np.sqrt(count))


def bootstrap_median(
    values: ArrayLike,
    axis: int = 0,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[Any, Any, Any]:
    """Median over trajectories with a percentile bootstrap interval, at every time at once.

    Parameters
    ----------
    values
        Array of real numbers. NaN marks a trajectory without a value at that time (xi_eq has such gaps): it is left
        out there, from the median and from the resampling alike.
    axis
        The axis of the trajectories, which are resampled; it is removed from the result.
    confidence
        Nominal coverage in (0, 1).
    n_resamples, seed
        Number of bootstrap resamples and seed of their generator; equal seeds give equal intervals.

    Returns
    -------
    median, low, high : float64, the shape of ``values`` without ``axis``
        The interval is that of each time on its own, not a band for the whole curve. It is NaN with fewer than two
        values, and all three are NaN with none, without a warning.

    Notes
    -----
    `scipy.stats.bootstrap` with the percentile method. Its default BCa corrects with a jackknife, which for the
    median of a few values is degenerate. No method can make up for too few trajectories: the interval stays within
    the observed range, which misses the true median with probability 2^(1-n) (an eighth for n = 4), so that 95 per
    cent needs n >= 6.

    Raises
    ------
    DtypeError, InvalidInputError
        For values that are not real numbers, infinite values, no such axis or none along it, a confidence outside
        (0, 1), ``n_resamples < 1`` or a negative seed. That trajectories are independent is not checked.
    """
    data = real_values(values, "values")
    along = integer(axis, "axis", minimum=-data.ndim, maximum=data.ndim - 1)
    if data.shape[along] == 0:
        raise InvalidInputError(f"values has shape {data.shape}; expected at least one trajectory along axis {along}")
    level, resamples, seed = resampling_options(confidence, n_resamples, seed)

    ordered = np.sort(np.moveaxis(data, along, 0), axis=0)  # NaN last
    shape = ordered.shape[1:]
    ordered = ordered.reshape(len(ordered), -1)
    low, high = np.full((2, ordered.shape[1]), np.nan)
    present = np.count_nonzero(~np.isnan(ordered), axis=0)
    for count in np.unique(present[present > 1]):
        columns = np.flatnonzero(present == count)
        for block in np.array_split(columns, -(-len(columns) // _BLOCK)):
            low[block], high[block] = _percentile_interval(ordered[:count, block], level, resamples, seed)
    return nan_median(data, along), low.reshape(shape)[()], high.reshape(shape)[()]


def nan_median(values: NDArray[np.float64], axis: int) -> Any:
    """Median of the values that are not NaN, NaN where there is none; unlike `numpy.nanmedian` without a warning."""
    ordered = np.sort(values, axis=axis)  # NaN last
    present = np.count_nonzero(~np.isnan(ordered), axis=axis, keepdims=True)
    middle = [np.take_along_axis(ordered, np.maximum(at, 0), axis=axis) for at in ((present - 1) // 2, present // 2)]
    # With none present both entries are NaN; present // 2 stays inside the axis since it holds at least one value.
    return np.squeeze(0.5 * (middle[0] + middle[1]), axis=axis)[()]


def nan_quantile(values: NDArray[np.float64], share: float, axis: int) -> Any:
    """Quantile of the values that are not NaN, NaN where there is none; interpolated as by `numpy.quantile`."""
    ordered = np.sort(values, axis=axis)  # NaN last
    last = np.count_nonzero(~np.isnan(ordered), axis=axis, keepdims=True) - 1
    place = share * np.maximum(last, 0)
    below = np.floor(place).astype(np.intp)
    low, high = (
        np.take_along_axis(ordered, at, axis=axis) for at in (below, np.minimum(below + 1, np.maximum(last, 0)))
    )
    return np.squeeze(low + (place - below) * (high - low), axis=axis)[()]


def real_values(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """``values`` as float64 with at least one axis; NaN and masked entries are missing values, infinities refused."""
    found = plain_array(values, name, missing="nan")
    if found.dtype.kind not in "iuf":
        raise DtypeError(f"{name} has dtype {found.dtype.name}; expected real numbers")
    if found.ndim < 1:
        raise InvalidInputError(f"{name} is a single number; expected an array")
    if np.isinf(found).any():
        raise InvalidInputError(f"{name} holds infinite values; expected numbers, or NaN where a value is missing")
    return found.astype(np.float64, copy=False)


def resampling_options(confidence: Any, n_resamples: Any, seed: Any) -> tuple[float, int, int]:
    """The checked options of a bootstrap."""
    level = finite_float(confidence, "confidence")
    if not 0.0 < level < 1.0:
        raise InvalidInputError(f"confidence is {level}; expected a number in (0, 1)")
    return level, integer(n_resamples, "n_resamples", minimum=1), integer(seed, "seed", minimum=0)


def _percentile_interval(
    ordered: NDArray[np.float64], confidence: float, n_resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Imported here: scipy.stats takes longer to load than all the rest of the package.
    from scipy.stats import bootstrap

    count = len(ordered)

    # The values being sorted, the median of a resample is read off at its middle ranks: the resampling is of ranks,
    # the same for every column, and no column is sorted again.
    def medians(ranks: NDArray[np.intp], axis: int) -> NDArray[np.float64]:
        drawn = np.sort(ranks, axis=axis)
        lower, upper = drawn[..., (count - 1) // 2], drawn[..., count // 2]
        return np.asarray(0.5 * (ordered[lower] + ordered[upper]).T)

    result = bootstrap(
        (np.arange(count),),
        medians,
        n_resamples=n_resamples,
        vectorized=True,
        axis=-1,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return result.confidence_interval.low, result.confidence_interval.high
