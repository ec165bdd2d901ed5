"""Whether a fit describes measured values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc

from .measured import Measured

__all__ = ["LEVEL", "constant_fit", "goodness"]

# A hypothesis is rejected where data as far from it or further are less probable than this.
LEVEL = 0.01


def constant_fit(
    values: NDArray[np.float64], errors: NDArray[np.float64], measured: Sequence[Measured]
) -> tuple[float, float]:
    """The weighted mean, and the `goodness` of a constant."""
    weights = errors**-2.0
    mean = float((weights @ values) / weights.sum())
    return mean, goodness(float((((values - mean) / errors) ** 2).sum()), 1, errors, measured)


def goodness(chi2: float, parameters: int, errors: NDArray[np.float64], measured: Sequence[Measured]) -> float:
    """Probability of residuals as large or larger if the fitted law were true, of k values with k > ``parameters``.

    ``chi2`` is the sum of their squares in units of ``errors`` (k,). Errors are themselves measured, on ``count``
    trajectories each: Welch's test (Biometrika 38, 330, 1951) allows for that, exactly enough for a constant and normal
    values and by analogy otherwise. NaN where no error is known.
    """
    k = len(errors)
    if not np.isfinite([each.error for each in measured]).any():
        return float("nan")
    weights = errors**-2.0 / (errors**-2.0).sum()
    freedom = np.array([np.inf if each.count is None else max(each.count - 1, 1) for each in measured])
    uncertainty = float(((1.0 - weights) ** 2 / freedom).sum())
    if uncertainty == 0.0:
        return float(chdtrc(k - parameters, chi2))
    ratio = chi2 / (k - parameters) / (1.0 + 2.0 * (k - 2) / (k**2 - 1) * uncertainty)
    return float(fdtrc(k - parameters, (k**2 - 1) / (3.0 * uncertainty), ratio))
