"""A point of time that is read off the curves of several trajectories, with its interval over trajectories.

The interval is Student's, in log t, with the standard error of a bootstrap over whole trajectories, corrected for the
sqrt(1 - 1/n) by which resampling n of them is too narrow: ``time exp(+-t_{n-1} s)``. A point that is read off the grid
has the resolution of the grid in s besides. Percentile intervals are too narrow for few trajectories, BCa's jackknife
is degenerate for medians, and studentising every resample costs n times as much; docs/statistics.md has their coverage.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import time_grid
from .statistics import real_values, resampling_options

__all__ = ["FEWEST_TRAJECTORIES", "LEAST_FOUND", "CriticalPoint", "Curve", "locate", "student_quantile"]

Curve = NDArray[np.float64]

# With fewer trajectories, or a point in a smaller share of the resamples, there is no interval.
FEWEST_TRAJECTORIES = 4
LEAST_FOUND = 0.95

# Resampled values held at once.
_BLOCK = 2**22


@dataclass(frozen=True)
class CriticalPoint:
    """A critical time (or noise level, in the units of the grid) with its interval over trajectories.

    ``time`` is NaN where the curves have no such point. ``found`` is the share of the bootstrap resamples that have
    one, NaN with a single trajectory. ``low`` and ``high`` are NaN with fewer than four trajectories, and where
    ``found`` is below 0.95: an interval over the resamples that have the point would hide that others have none.
    """

    time: float
    low: float
    high: float
    found: float


def locate(
    find: Callable[..., Curve],
    times: ArrayLike,
    curves: dict[str, ArrayLike],
    confidence: float,
    n_resamples: int,
    seed: int,
    *,
    on_grid: bool = True,
) -> CriticalPoint:
    """The point that ``find`` gives of curves (..., n_trajectories, n_times), and its interval."""
    grid = time_grid(times)
    level, resamples, seed = resampling_options(confidence, n_resamples, seed)
    arrays = [_trajectories(values, name, len(grid)) for name, values in curves.items()]
    count = len(arrays[0])
    if any(len(array) != count for array in arrays):
        raise InvalidInputError(
            f"{' and '.join(curves)} hold {[len(a) for a in arrays]} trajectories; expected as many"
        )
    with np.errstate(under="ignore"):
        time = float(find(grid, *arrays))
        if count < 2:
            return CriticalPoint(time, math.nan, math.nan, math.nan)
        # Whole trajectories are drawn, jointly for all curves.
        draws = np.random.default_rng(seed).integers(count, size=(resamples, count))
        distinct, repeats = np.unique(np.sort(draws, axis=1), axis=0, return_counts=True)
        blocks = np.array_split(distinct, -(-len(distinct) * arrays[0].size // _BLOCK))
        located = np.concatenate([find(grid, *(array[block] for array in arrays)) for block in blocks])
    present = ~np.isnan(located)
    found = float(repeats[present].sum() / resamples)
    if math.isnan(time) or found < LEAST_FOUND or count < FEWEST_TRAJECTORIES:
        return CriticalPoint(time, math.nan, math.nan, found)
    variance = _variance(np.log(located[present]), repeats[present]) / (1.0 - 1.0 / count)
    if on_grid:
        variance += _spacing(grid, time) ** 2 / 12.0
    half = student_quantile(level, count - 1) * math.sqrt(variance)
    return CriticalPoint(time, time * math.exp(-half), time * math.exp(half), found)


def _variance(values: Curve, repeats: NDArray[np.intp]) -> float:
    mean = float(np.average(values, weights=repeats))
    return float(np.average((values - mean) ** 2, weights=repeats))


def _spacing(grid: Curve, time: float) -> float:
    """Of the grid in log t, at one of its points."""
    at = int(np.argmin(np.abs(grid - time)))
    low, high = max(at - 1, 0), min(at + 1, len(grid) - 1)
    return math.log(grid[low] / grid[high]) / (high - low)


def student_quantile(confidence: float, freedom: int) -> float:
    """Half the width, in standard errors, of Student's interval."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 * (1.0 + confidence)))


def _trajectories(values: ArrayLike, name: str, count: int) -> Curve:
    found = real_values(values, name)
    if found.ndim != 2 or found.shape[0] < 1 or found.shape[1] != count:
        raise InvalidInputError(f"{name} has shape {found.shape}; expected (n_trajectories, {count}), the times last")
    return found
