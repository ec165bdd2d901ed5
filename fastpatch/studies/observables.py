"""What a run shows of the transition: of each trajectory, and of an ensemble of them with bootstrap distributions."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.critical_points import equilibrium_length_peak, zero_mode_crossing
from ..analysis.statistics import nan_median, real_values
from ..errors import InvalidInputError
from ..validation import integer, time_grid
from .measured import Measured, median_of

__all__ = ["Ensemble", "EnsembleObservables", "TrajectoryObservables", "ensemble_observables", "trajectory_observables"]

# Half-width, in log t, of the part of lambda_0 around its first sign change to which a parabola is fitted.
_WINDOW = 0.25


@dataclass(frozen=True)
class Ensemble:
    """Independent trajectories with the same parameters: times (n_times,), curves (n_trajectories, n_times).

    ``lambda_0`` is the derivative of the constant mode, averaged over directions; NaN marks missing values. A
    trajectory without any value of lambda_0 is one that was not run: it is left out.
    Raises `DtypeError` or `InvalidInputError` for curves of other shapes, infinite values, times that do not decrease
    strictly, or no trajectory that was run.
    """

    times: NDArray[np.float64]
    xi_x: NDArray[np.float64]
    xi_eq: NDArray[np.float64]
    lambda_0: NDArray[np.float64]

    def __post_init__(self) -> None:
        grid = time_grid(self.times)
        curves = {name: real_values(getattr(self, name), name) for name in ("xi_x", "xi_eq", "lambda_0")}
        shape = curves["lambda_0"].shape
        for name, curve in curves.items():
            if curve.ndim != 2 or curve.shape != (shape[0], len(grid)):
                expected = f"({shape[0]}, {len(grid)}), a row each trajectory"
                raise InvalidInputError(f"{name} has shape {curve.shape}; expected {expected}")
        ran = ~np.isnan(curves["lambda_0"]).all(axis=1)
        if not ran.any():
            raise InvalidInputError("lambda_0 has no value in any trajectory; expected at least one that was run")
        for name, value in {"times": grid, **{name: curve[ran] for name, curve in curves.items()}}.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.lambda_0)

    def draws(self, n_resamples: int, seed: int) -> NDArray[np.intp]:
        """Whole trajectories drawn with replacement, (n_resamples, n_trajectories)."""
        count = integer(n_resamples, "n_resamples", minimum=1)
        rng = np.random.default_rng(integer(seed, "seed", minimum=0))
        return rng.integers(len(self), size=(count, len(self)))


@dataclass(frozen=True)
class TrajectoryObservables:
    """Of every trajectory, (n_trajectories,), NaN where it has no such value.

    Attributes
    ----------
    zero_time : t of the first zero of lambda_0 along the reverse run, interpolated in log t
    peak_time, peak_height : t and height, in sites, of the largest xi_eq before that zero
    final_length : xi_x at the last time, in sites
    cut_off : 1.0 where that peak is the last record before the zero, and 0.0 elsewhere. xi_eq diverges there: the
        height then tells how close to the zero a record came, and no property of the lattice
    """

    zero_time: NDArray[np.float64]
    peak_time: NDArray[np.float64]
    peak_height: NDArray[np.float64]
    final_length: NDArray[np.float64]
    cut_off: NDArray[np.float64]


@dataclass(frozen=True)
class EnsembleObservables:
    """The same of an ensemble: medians over trajectories of their values, and ``zero_time`` of their mean lambda_0.

    The zero of a noisy curve's first crossing is early, by more on smaller lattices, whose lambda_0 is noisier; the
    zero of a parabola fitted to the mean curve, over +-0.25 in log t around it, is not.
    """

    zero_time: Measured
    peak_time: Measured
    peak_height: Measured
    final_length: Measured
    cut_off: float


def trajectory_observables(
    times: ArrayLike, xi_x: ArrayLike, xi_eq: ArrayLike, lambda_0: ArrayLike
) -> TrajectoryObservables:
    """Critical observables of each trajectory of a run; arguments and exceptions as for `Ensemble`."""
    run = Ensemble(*(np.asarray(values) for values in (times, xi_x, xi_eq, lambda_0)))
    zero, peak, height, cut_off = np.full((4, len(run)), np.nan)
    for row in range(len(run)):
        length, zero_mode = run.xi_eq[row : row + 1], run.lambda_0[row : row + 1]
        zero[row] = zero_mode_crossing(run.times, zero_mode).time
        peak[row] = equilibrium_length_peak(run.times, length, zero_mode).time
        if not math.isnan(peak[row]):
            at = int(np.searchsorted(-run.times, -peak[row]))
            height[row] = length[0, at]
            cut_off[row] = float(at + 1 < len(run.times) and run.times[at + 1] <= zero[row])
    return TrajectoryObservables(zero, peak, height, run.xi_x[:, -1], cut_off)


def ensemble_observables(ensemble: Ensemble, *, n_resamples: int = 400, seed: int = 0) -> EnsembleObservables:
    """Critical observables of an ensemble with bootstrap distributions over its trajectories.

    With a single trajectory there are no errors and no intervals: NaN.
    Raises `DtypeError` or `InvalidInputError` for ``n_resamples < 1`` or a negative seed. That the trajectories are
    independent is not checked.
    """
    each = trajectory_observables(ensemble.times, ensemble.xi_x, ensemble.xi_eq, ensemble.lambda_0)
    draws = ensemble.draws(n_resamples, seed)
    log_t = np.log(ensemble.times)
    zeros = np.array([_mean_zero(log_t, ensemble.lambda_0[draw]) for draw in draws])
    return EnsembleObservables(
        zero_time=Measured(_mean_zero(log_t, ensemble.lambda_0), zeros, len(ensemble)),
        peak_time=median_of(each.peak_time, draws),
        peak_height=median_of(each.peak_height, draws),
        final_length=median_of(each.final_length, draws),
        cut_off=float(nan_median(each.cut_off, 0)),
    )


def _mean_zero(log_t: NDArray[np.float64], lambda_0: NDArray[np.float64]) -> float:
    """Time at which the trajectories' mean lambda_0 first changes sign; NaN if it does not."""
    present = ~np.isnan(lambda_0).any(axis=0)
    if np.count_nonzero(present) < 2:
        return math.nan
    log_t, curve = log_t[present], lambda_0[:, present].mean(axis=0)
    centre = first = math.log(zero_mode_crossing(np.exp(log_t), curve[None]).time)
    # A NaN ends the loop at once. Later passes only move the window to where the zero is.
    for _ in range(3):
        near = np.abs(log_t - centre) <= _WINDOW
        if np.count_nonzero(near) < 5:
            break
        step = _root_of_parabola(log_t[near] - centre, curve[near])
        if abs(step) > _WINDOW:
            break
        centre += step
    return math.exp(centre if abs(centre - first) <= 2.0 * _WINDOW else first)


def _root_of_parabola(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The zero nearest to x = 0 of the parabola fitted to y(x), infinite without a real one."""
    a, b, c = np.polyfit(x, y, 2).tolist()
    discriminant = b * b - 4.0 * a * c
    if discriminant < 0.0 or b == 0.0:
        return math.inf
    # The form that is exact as a -> 0.
    return float(-2.0 * c / (b + math.copysign(math.sqrt(discriminant), b)))
