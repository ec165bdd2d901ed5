"""Critical points read off measured curves, with bootstrap intervals over trajectories (paper App. C.12 and E.7).

Four definitions, which in a finite system need not agree: where xi_eq peaks (the paper's empirical sigma_c), where
lambda_0 changes sign, where |lambda_0| is smallest, and where xi_x grows fastest. Each is read off a median over
trajectories and searched in the order of the reverse run, from large t to small.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import time_grid
from .growth import log_time_derivative
from .statistics import nan_median, real_values, resampling_options

__all__ = [
    "CriticalPoint",
    "critical_points",
    "equilibrium_length_peak",
    "fastest_growth",
    "softest_zero_mode",
    "zero_mode_crossing",
]

Curve = NDArray[np.float64]
Peak = Literal["highest", "first"]

# Least height of a first peak above the higher of its two feet, relative to the highest point of the curve.
_PROMINENCE = 0.05


@dataclass(frozen=True)
class CriticalPoint:
    """A critical time (or noise level, in the units of the grid) with its bootstrap interval over trajectories.

    ``time`` is NaN where the curves have no such point. ``low`` and ``high`` bound the percentile interval over the
    resamples that have one; ``found`` is the fraction of those. With a single trajectory they are NaN.
    """

    time: float
    low: float
    high: float
    found: float


def critical_points(
    times: ArrayLike,
    xi_x: ArrayLike,
    xi_eq: ArrayLike,
    lambda_0: ArrayLike,
    *,
    width: float = 0.2,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, CriticalPoint]:
    """All four critical points, by the names of the functions of this module that give them one by one.

    The arrays are (n_trajectories, n_times) on the strictly decreasing grid ``times``; ``lambda_0`` is the
    shell-averaged derivative of the constant mode. ``width`` is that of `log_time_derivative`.
    Raises `DtypeError` or `InvalidInputError` as `bootstrap_median` and `log_time_derivative` do.
    """
    options: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "seed": seed}
    return {
        "equilibrium_length_peak": equilibrium_length_peak(times, xi_eq, lambda_0, **options),
        "zero_mode_crossing": zero_mode_crossing(times, lambda_0, **options),
        "softest_zero_mode": softest_zero_mode(times, lambda_0, **options),
        "fastest_growth": fastest_growth(times, xi_x, width=width, **options),
    }


def equilibrium_length_peak(
    times: ArrayLike,
    xi_eq: ArrayLike,
    lambda_0: ArrayLike,
    *,
    peak: Peak = "highest",
    confidence: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> CriticalPoint:
    """Time of the maximum of the median xi_eq, sigma_c = argmax xi_eq (App. E.7).

    Arguments as in `critical_points`; NaN in ``xi_eq`` marks gaps. xi_eq diverges a second time where the pattern
    locks and lambda_0 becomes positive again, so the search ends at the first sign change of the median
    lambda_0. A median counts only where at least half of the trajectories have a value: the last survivor
    beyond its own crossing would otherwise win. NaN if xi_eq is nowhere positive.

    A trained network's lambda_0 may keep its sign while xi_eq rises again, long after the pattern has formed.
    ``peak="first"`` therefore takes the first interior maximum of the median that the run comes to, of those that
    stand out by at least 5 % of the highest value; NaN if there is none. `InvalidInputError` for another ``peak``.
    """
    if peak not in get_args(Peak):
        raise InvalidInputError(f"peak is {peak!r}; expected one of {', '.join(map(repr, get_args(Peak)))}")

    def find(grid: Curve, length: Curve, zero_mode: Curve) -> float:
        end = _crossing(grid, nan_median(zero_mode, 0))
        enough = 2 * np.count_nonzero(~np.isnan(length), axis=0) >= len(length)
        searched = enough & ~(grid < end)  # all of the grid if end is NaN
        median = np.where(searched, nan_median(length, 0), 0.0)
        at = int(np.argmax(median)) if peak == "highest" else _first_peak(median)
        return float(grid[at]) if at is not None and median[at] > 0.0 else math.nan

    return _locate(find, times, {"xi_eq": xi_eq, "lambda_0": lambda_0}, confidence, n_resamples, seed)


def zero_mode_crossing(
    times: ArrayLike, lambda_0: ArrayLike, *, confidence: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> CriticalPoint:
    """First sign change of the median lambda_0 coming from large t, interpolated linearly in log t.

    Arguments as in `critical_points`. NaN if lambda_0 keeps its sign.
    """

    def crossing(grid: Curve, zero_mode: Curve) -> float:
        return _crossing(grid, nan_median(zero_mode, 0))

    return _locate(crossing, times, {"lambda_0": lambda_0}, confidence, n_resamples, seed)


def softest_zero_mode(
    times: ArrayLike, lambda_0: ArrayLike, *, confidence: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> CriticalPoint:
    """Time of the smallest median over trajectories of ``|lambda_0|``, on the grid.

    Arguments as in `critical_points`. The search is confined, because ``|lambda_0|`` is also small where nothing
    softens: at the second sign change, where the pattern locks, and at large noise levels of a variance-exploding
    model, where it falls like 1 / sigma. If the median lambda_0 changes sign, it covers a factor of two in time
    (at least one grid step) to either side of the first sign change; otherwise it takes the most prominent interior
    minimum of ``log |lambda_0|``. NaN if there is none.
    """

    def softest(grid: Curve, zero_mode: Curve) -> float:
        magnitude = nan_median(np.abs(zero_mode), 0)
        present = ~np.isnan(magnitude)
        magnitude, shown = magnitude[present], grid[present]
        crossing = _crossing(grid, nan_median(zero_mode, 0))
        if math.isnan(crossing):
            at = _deepest_dip(magnitude)
            return math.nan if at is None else float(shown[at])
        distance = np.abs(np.log(shown / crossing))
        near = distance <= max(math.log(2.0), float(np.partition(distance, 1)[1]))
        return float(shown[near][np.argmin(magnitude[near])])

    return _locate(softest, times, {"lambda_0": lambda_0}, confidence, n_resamples, seed)


def fastest_growth(
    times: ArrayLike,
    xi_x: ArrayLike,
    *,
    width: float = 0.2,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> CriticalPoint:
    """Time at which xi_x grows fastest along the reverse run: the minimum of the median d xi_x / d log t.

    Arguments as in `critical_points`. The derivative is negative while xi_x grows, because t decreases; plots in the
    direction of the run show it as a peak. It is smoothed and taken per trajectory before the median, which then
    discards the jumps that single trajectories make where the positive lobe of C(r) ends or resumes (the median of
    the lengths would pass some of them on). NaN if xi_x never grows.
    """

    def growth(grid: Curve, rates: Curve) -> float:
        rate = nan_median(rates, 0)
        rate = np.where(np.isnan(rate), 0.0, rate)
        at = int(np.argmin(rate))
        return float(grid[at]) if rate[at] < 0.0 else math.nan

    rates = log_time_derivative(real_values(xi_x, "xi_x"), times, width)
    return _locate(growth, times, {"xi_x": rates}, confidence, n_resamples, seed)


def _crossing(grid: Curve, curve: Curve) -> float:
    present = ~np.isnan(curve)
    value, log_t = curve[present], np.log(grid[present])
    sign = np.sign(value)
    start = int(np.argmax(sign != 0.0)) if value.size else 0
    changed = np.flatnonzero(sign[start:] != sign[start]) if value.size else np.array([], dtype=np.intp)
    if not changed.size:
        return math.nan
    after = start + int(changed[0])
    before = after - 1
    fraction = value[before] / (value[before] - value[after])
    return math.exp(log_t[before] + fraction * (log_t[after] - log_t[before]))


def _first_peak(curve: Curve) -> int | None:
    # Imported here: scipy.signal is slow to load.
    from scipy.signal import find_peaks

    at, _ = find_peaks(curve, prominence=_PROMINENCE * curve.max())
    return int(at[0]) if at.size else None


def _deepest_dip(magnitude: Curve) -> int | None:
    # Imported here: scipy.signal is slow to load.
    from scipy.signal import find_peaks

    depth = -np.log(np.maximum(magnitude, np.finfo(np.float64).tiny))
    at, properties = find_peaks(depth, prominence=0.0)
    return int(at[np.argmax(properties["prominences"])]) if at.size else None


def _locate(
    find: Callable[..., float],
    times: ArrayLike,
    curves: dict[str, ArrayLike],
    confidence: float,
    n_resamples: int,
    seed: int,
) -> CriticalPoint:
    grid = time_grid(times)
    level, resamples, seed = resampling_options(confidence, n_resamples, seed)
    arrays = [_trajectories(values, name, len(grid)) for name, values in curves.items()]
    count = len(arrays[0])
    if any(len(array) != count for array in arrays):
        raise InvalidInputError(
            f"{' and '.join(curves)} hold {[len(a) for a in arrays]} trajectories; expected as many"
        )
    time = find(grid, *arrays)
    if count < 2:
        return CriticalPoint(time, math.nan, math.nan, math.nan)
    # Whole trajectories are drawn, jointly for all curves. Not scipy.stats.bootstrap, which has no place for a
    # resample without a critical point.
    draws = np.random.default_rng(seed).integers(count, size=(resamples, count))
    distinct, repeats = np.unique(np.sort(draws, axis=1), axis=0, return_counts=True)
    located = np.repeat([find(grid, *(array[draw] for array in arrays)) for draw in distinct], repeats)
    located = located[~np.isnan(located)]
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(located, [tail, 100.0 - tail]) if located.size else (math.nan, math.nan)
    return CriticalPoint(time, float(low), float(high), located.size / resamples)


def _trajectories(values: ArrayLike, name: str, count: int) -> Curve:
    found = real_values(values, name)
    if found.ndim != 2 or found.shape[0] < 1 or found.shape[1] != count:
        raise InvalidInputError(f"{name} has shape {found.shape}; expected (n_trajectories, {count}), the times last")
    return found
