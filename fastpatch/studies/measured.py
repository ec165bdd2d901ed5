"""A number measured on an ensemble of trajectories, with the values that resampled ensembles give it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.critical_interval import FEWEST_TRAJECTORIES, LEAST_FOUND, student_quantile
from ..analysis.statistics import nan_median

__all__ = ["Exponent", "Measured", "median_of", "smallest_count", "weights_of"]


@dataclass(frozen=True)
class Measured:
    """A value, NaN where there is none, and its bootstrap distribution (n_resamples,), NaN where a resample has none.

    Resamples of independent ensembles are independent, so that the b-th values of several ensembles together are a
    resample of them all: `fit_shift` and its kin refit each. ``count`` is the number of trajectories that were
    resampled, by which `goodness` knows how well the error is known; None for exactly.
    """

    value: float
    resampled: NDArray[np.float64]
    count: int | None = None

    @property
    def found(self) -> float:
        """The share of the resamples that have a value; NaN without resamples."""
        return float(np.mean(~np.isnan(self.resampled))) if self.resampled.size else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 %: Student's with the `error` of ``count`` trajectories, the central part of the distribution without.

        NaN where there is no value or no `error`, where fewer than 0.95 of the resamples have a value, and for 2 or 3
        trajectories.
        """
        found, error = self._found, self.error
        few = self.count is not None and self.count < FEWEST_TRAJECTORIES
        if math.isnan(self.value) or math.isnan(error) or self.found < LEAST_FOUND or few:
            return math.nan, math.nan
        if self.count is not None:
            half = student_quantile(0.95, self.count - 1) * error
            return self.value - half, self.value + half
        low, high = np.percentile(found, [2.5, 97.5])
        return float(low), float(high)

    def widened(self, factor: float) -> "Measured":
        """The same value, its distribution ``factor`` times as wide about it."""
        return Measured(self.value, self.value + factor * (self.resampled - self.value), self.count)

    @property
    def error(self) -> float:
        """The standard deviation of the distribution, as of an unlimited number of trajectories.

        NaN if fewer than half of the resamples have a value, or if all have the same one, as with one trajectory.
        """
        found = self._found
        if not found.size:
            return math.nan
        # Resampling n values spreads by sqrt(1 - 1/n) of what other values would.
        narrow = 1.0 if self.count is None or self.count < 2 else 1.0 - 1.0 / self.count
        return float(found.std()) / math.sqrt(narrow)

    @property
    def _found(self) -> NDArray[np.float64]:
        """The resamples that have a value, none of them if these say nothing of an error."""
        found = self.resampled[~np.isnan(self.resampled)]
        if found.size < 2 or 2 * found.size < self.resampled.size:
            return found[:0]
        # Equal values differ by the rounding of their means.
        return found if np.ptp(found) > 1e-12 * np.abs(found).max() else found[:0]


@dataclass(frozen=True)
class Exponent(Measured):
    """An exponent that is searched on a logarithmic scale between ``bounds``, from its ``logarithm``.

    The interval is that of the logarithm, exponentiated: it is taken before it is cut off at the bounds, which would
    make an uncertain exponent look certain.
    """

    logarithm: Measured = field(kw_only=True)
    bounds: tuple[float, float] = field(kw_only=True)

    @classmethod
    def of(cls, logarithm: Measured, bounds: tuple[float, float]) -> "Exponent":
        """The exponential of a measured logarithm."""
        within = np.clip(logarithm.resampled, *np.log(bounds))
        return cls(math.exp(logarithm.value), np.exp(within), logarithm.count, logarithm=logarithm, bounds=bounds)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, within the bounds; NaN where the logarithm has none."""
        low, high = np.exp(np.clip(self.logarithm.interval, *np.log(self.bounds)))
        return float(low), float(high)


def median_of(values: NDArray[np.float64], draws: NDArray[np.intp]) -> Measured:
    """The median of one value a trajectory (n,), leaving NaN out; ``draws`` (n_resamples, n) index trajectories."""
    present = int(np.count_nonzero(~np.isnan(values)))
    return Measured(float(nan_median(values, 0)), np.asarray(nan_median(values[draws], 1)), present)


def weights_of(measured: Sequence[Measured]) -> NDArray[Any]:
    """Errors (n,) to weight a fit with: an unknown one counts as the median one, or 1 where none is known."""
    errors = np.array([each.error for each in measured])
    known = np.isfinite(errors)
    return np.where(known, errors, np.median(errors[known]) if known.any() else 1.0)


def smallest_count(counts: Iterable[int | None]) -> int | None:
    """The fewest trajectories behind any of several errors; None where all are known exactly."""
    return min((count for count in counts if count is not None), default=None)
