"""A number measured on an ensemble of trajectories, with the values that resampled ensembles give it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..statistics import nan_median

__all__ = ["Measured", "median_of", "weights_of"]


@dataclass(frozen=True)
class Measured:
    """A value, NaN where there is none, and its bootstrap distribution (n_resamples,), NaN where one has none.

    Resamples of independent ensembles are independent, so that the b-th values of several ensembles together are a
    resample of them all: `fit_shift` and its kin refit each.
    """

    value: float
    resampled: NDArray[np.float64]

    @property
    def interval(self) -> tuple[float, float]:
        """The central 95 % of the distribution; NaN if fewer than half of the resamples have a value."""
        found = self._found
        if 2 * found.size < self.resampled.size or found.size < 2:
            return math.nan, math.nan
        low, high = np.percentile(found, [2.5, 97.5])
        return float(low), float(high)

    @property
    def error(self) -> float:
        """The standard deviation of the distribution; NaN if fewer than half of the resamples have a value."""
        found = self._found
        return float(found.std()) if found.size >= 2 and 2 * found.size >= self.resampled.size else math.nan

    @property
    def _found(self) -> NDArray[np.float64]:
        return self.resampled[~np.isnan(self.resampled)]


def median_of(values: NDArray[np.float64], draws: NDArray[np.intp]) -> Measured:
    """The median of one value a trajectory (n,), leaving NaN out; ``draws`` (n_resamples, n) index trajectories."""
    return Measured(float(nan_median(values, 0)), np.asarray(nan_median(values[draws], 1)))


def weights_of(measured: Sequence[Measured]) -> NDArray[Any]:
    """Errors (n,) to weight a fit with: an error of zero or none at all counts as the median one, which may be 1."""
    errors = np.array([each.error for each in measured])
    known = np.isfinite(errors) & (errors > 0.0)
    return np.where(known, errors, np.median(errors[known]) if known.any() else 1.0)
