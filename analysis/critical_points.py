"""Critical points read off measured curves, with intervals over trajectories (paper App. C.12 and E.7).

Four definitions, which in a finite system need not agree: where xi_eq peaks (the paper's empirical sigma_c), where
lambda_0 changes sign, where |lambda_0| is smallest, and where xi_x grows fastest. Each is read off a median over
trajectories and searched in the order of the reverse run, from large t to small. None is evidence of a transition by
itself: a Gaussian field, which has none, shows them too.

The intervals are those of `CriticalPoint`; their coverage, simulated, is in docs/statistics.md.
"""

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from .critical_interval import CriticalPoint, Curve, locate
from .growth import log_time_derivative
from .statistics import nan_median, real_values

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "CriticalPoint",
    "critical_points",
    "equilibrium_length_peak",
    "fastest_growth",
    "softest_zero_mode",
    "zero_mode_crossing",
]

Peak = Literal["highest", "first"]

# Least height of a first peak above the higher of its two feet, relative to the highest point of the curve, and least
# depth of a dip of log |lambda_0|: shallower ones are ripples, down to those of rounding.
_PROMINENCE = 0.05
# Least growth of xi_x per unit of log t, relative to its largest value: less is rounding.
_LEAST_GROWTH = 1e-9
# A shorter length, in sites, is none that the lattice resolves.
_LEAST_LENGTH = 1.0


def critical_points(
    dataset: "xr.Dataset",
    *,
    width: float = 0.2,
    confidence: float = 0.95,
    n_resamples: int = 400,
    seed: int = 0,
) -> dict[str, CriticalPoint]:
    """All four critical points of a run, by the names of the functions of this module that give them one by one.

    Parameters
    ----------
    dataset
        Of `fastpatch.simulate` or of a network's analysis: ``xi_x``, ``xi_eq`` and ``mode_derivative`` along the
        dimension ``time`` or ``sigma``, with a dimension ``trajectory``. lambda_0 is the derivative along the constant
        mode, shell 0, averaged over everything but these two dimensions, the diagonal direction left out.
    width
        That of `log_time_derivative`.
    confidence, n_resamples, seed
        Nominal coverage of the intervals, and of the bootstrap the number of resamples and seed.

    Raises
    ------
    DtypeError, InvalidInputError
        For a dataset without these variables or without shell 0, and as `bootstrap_median` and `log_time_derivative`.
    """
    options: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "seed": seed}
    missing = [name for name in ("xi_x", "xi_eq", "mode_derivative") if name not in dataset]
    along = "sigma" if "sigma" in dataset.dims else "time"
    if missing or "trajectory" not in dataset.dims or along not in dataset.dims:
        raise InvalidInputError(
            f"the dataset has {', '.join(map(str, dataset)) or 'nothing'} over {', '.join(map(str, dataset.dims))}; "
            "expected xi_x, xi_eq and mode_derivative over trajectory and time or sigma"
        )
    if 0 not in dataset["shell"].to_numpy():
        raise InvalidInputError(f"the dataset has the shells {dataset['shell'].to_numpy().tolist()}; expected shell 0")
    zero_modes = dataset["mode_derivative"].sel(shell=0).isel(direction=slice(0, 2))
    over = [dim for dim in zero_modes.dims if dim not in ("trajectory", along)]
    curves = (zero_modes.mean(over, skipna=False), dataset["xi_x"], dataset["xi_eq"])
    lambda_0, xi_x, xi_eq = (curve.transpose("trajectory", along).to_numpy() for curve in curves)
    times = dataset[along].to_numpy()
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
    n_resamples: int = 400,
    seed: int = 0,
) -> CriticalPoint:
    """Time of the maximum of the median xi_eq, sigma_c = argmax xi_eq (App. E.7), on the grid.

    ``xi_eq``, in sites, and ``lambda_0`` are (n_trajectories, n_times) on the strictly decreasing grid ``times``; NaN
    marks gaps. xi_eq diverges a second time where the pattern locks and lambda_0 becomes positive again, so the search
    ends at the first sign change of the median lambda_0. A median counts only where at least half of the trajectories
    have a value: the last survivor beyond its own crossing would otherwise win. NaN where it nowhere reaches one
    site, the least that a lattice can resolve.

    A trained network's lambda_0 may keep its sign while xi_eq rises again, long after the pattern has formed.
    ``peak="first"`` therefore takes the first interior maximum of the median that the run comes to, of those that
    stand out by at least 5 % of the highest value; NaN if there is none. `InvalidInputError` for another ``peak``.
    """
    if peak not in get_args(Peak):
        raise InvalidInputError(f"peak is {peak!r}; expected one of {', '.join(map(repr, get_args(Peak)))}")

    def find(grid: Curve, length: Curve, zero_mode: Curve) -> Curve:
        end = _crossing(grid, nan_median(zero_mode, -2))[..., None]
        enough = 2 * np.count_nonzero(~np.isnan(length), axis=-2) >= length.shape[-2]
        searched = enough & ~(grid < end)  # all of the grid if end is NaN
        median = np.where(searched, nan_median(length, -2), 0.0)
        at = np.argmax(median, axis=-1) if peak == "highest" else _first_peaks(median)
        reached = np.take_along_axis(median, at[..., None], axis=-1)[..., 0]
        return np.where((at >= 0) & (reached >= _LEAST_LENGTH), grid[at], np.nan)

    return locate(find, times, {"xi_eq": xi_eq, "lambda_0": lambda_0}, confidence, n_resamples, seed)


def zero_mode_crossing(
    times: ArrayLike, lambda_0: ArrayLike, *, confidence: float = 0.95, n_resamples: int = 400, seed: int = 0
) -> CriticalPoint:
    """First sign change of the median lambda_0 coming from large t, interpolated linearly in log t.

    Arguments as in `equilibrium_length_peak`. NaN if lambda_0 keeps its sign.
    """

    def crossing(grid: Curve, zero_mode: Curve) -> Curve:
        return _crossing(grid, nan_median(zero_mode, -2))

    return locate(crossing, times, {"lambda_0": lambda_0}, confidence, n_resamples, seed, on_grid=False)


def softest_zero_mode(
    times: ArrayLike, lambda_0: ArrayLike, *, confidence: float = 0.95, n_resamples: int = 400, seed: int = 0
) -> CriticalPoint:
    """Time of the smallest median over trajectories of ``|lambda_0|``, on the grid.

    Arguments as in `equilibrium_length_peak`. The search is confined, because ``|lambda_0|`` is also small where
    nothing softens: at the second sign change, where the pattern locks, and at large noise levels of a
    variance-exploding model, where it falls like 1 / sigma. If the median lambda_0 changes sign, it covers a factor of
    two in time (at least one grid step) to either side of the first sign change; otherwise it takes the most prominent
    interior minimum of ``log |lambda_0|``, of those that are 5 % deep at least. NaN if there is none.
    """

    def softest(grid: Curve, zero_mode: Curve) -> Curve:
        magnitude = nan_median(np.abs(zero_mode), -2)
        crossing = np.asarray(_crossing(grid, nan_median(zero_mode, -2)))
        distance = np.abs(np.log(grid) - np.log(crossing)[..., None])
        distance[np.isnan(magnitude)] = np.nan
        # The second smallest distance, at least: that of a neighbour on the grid.
        reach = np.maximum(math.log(2.0), np.sort(distance, axis=-1)[..., 1:2])
        near = np.where(distance <= reach, magnitude, np.inf)
        found = np.asarray(grid[np.argmin(near, axis=-1)])
        for at in np.ndindex(crossing.shape):
            if math.isnan(crossing[at]):
                found[at] = _deepest_dip(magnitude[at], grid)
        return found

    return locate(softest, times, {"lambda_0": lambda_0}, confidence, n_resamples, seed)


def fastest_growth(
    times: ArrayLike,
    xi_x: ArrayLike,
    *,
    width: float = 0.2,
    confidence: float = 0.95,
    n_resamples: int = 400,
    seed: int = 0,
) -> CriticalPoint:
    """Time at which xi_x grows fastest along the reverse run: the minimum of the median d xi_x / d log t, on the grid.

    Arguments as in `equilibrium_length_peak`; ``width`` is that of `log_time_derivative`. The derivative is negative
    while xi_x grows, because t decreases; plots in the direction of the run show it as a peak. It is smoothed and
    taken per trajectory before the median, which then discards the jumps that single trajectories make where the
    positive lobe of C(r) ends or resumes (the median of the lengths would pass some of them on). NaN if xi_x never
    grows, beyond what rounding does.
    """
    lengths = real_values(xi_x, "xi_x")
    least = _LEAST_GROWTH * float(np.fmax.reduce(np.abs(lengths), axis=None, initial=0.0))

    def growth(grid: Curve, rates: Curve) -> Curve:
        rate = nan_median(rates, -2)
        rate = np.where(np.isnan(rate), 0.0, rate)
        return np.where(rate.min(axis=-1) < -least, grid[np.argmin(rate, axis=-1)], np.nan)

    rates = log_time_derivative(lengths, times, width)
    return locate(growth, times, {"xi_x": rates}, confidence, n_resamples, seed)


def _crossing(grid: Curve, curves: Curve) -> Curve:
    """Where curves (..., n_times) first change sign, (...,), leaving leading zeros and NaN out."""
    flat = curves.reshape(-1, curves.shape[-1])
    found = np.full(len(flat), np.nan)
    log_t = np.log(grid)
    for row, curve in enumerate(flat):
        present = np.flatnonzero(~np.isnan(curve))
        signs = np.sign(curve[present])
        started = np.flatnonzero(signs)
        if not started.size:
            continue
        changed = np.flatnonzero(signs[started[0] :] != signs[started[0]])
        if not changed.size:
            continue
        before, after = present[started[0] + changed[0] - 1 : started[0] + changed[0] + 1]
        fraction = curve[before] / (curve[before] - curve[after])
        found[row] = math.exp(log_t[before] + fraction * (log_t[after] - log_t[before]))
    return found.reshape(curves.shape[:-1])


def _first_peaks(curves: Curve) -> NDArray[np.intp]:
    """Positions of the first peaks of curves (..., n_times), -1 where there is none."""
    # Imported here: scipy.signal is slow to load.
    from scipy.signal import find_peaks

    flat = curves.reshape(-1, curves.shape[-1])
    peaks = [find_peaks(curve, prominence=_PROMINENCE * curve.max())[0] for curve in flat]
    return np.array([at[0] if at.size else -1 for at in peaks], dtype=np.intp).reshape(curves.shape[:-1])


def _deepest_dip(magnitude: Curve, grid: Curve) -> float:
    """Where a curve (n_times,), NaN left out, has the most prominent interior minimum of its logarithm; NaN if none."""
    from scipy.signal import find_peaks

    present = ~np.isnan(magnitude)
    depth = -np.log(np.maximum(magnitude[present], np.finfo(np.float64).tiny))
    at, properties = find_peaks(depth, prominence=_PROMINENCE)
    return float(grid[present][at[np.argmax(properties["prominences"])]]) if at.size else math.nan
