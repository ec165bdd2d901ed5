r"""The shift of the critical time with the size of the lattice, :math:`t_c(L) = t_c(\infty) + a L^{-1/\nu}`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from .goodness import LEVEL, constant_fit, goodness
from .measured import Exponent, Measured, smallest_count, weights_of
from .power_law import abscissae

__all__ = ["Shift", "fit_shift"]

# Exponents 1 / nu that are looked at; an interval that reaches an end is one without that end.
_BOUNDS = (0.1, 10.0)
_EXPONENTS = np.geomspace(*_BOUNDS, 81)
_NOTHING = (np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Shift:
    """The fit of t_c(L), or why there is none.

    It is there whether or not a constant t_c is rejected: reported only where it is, the shift would be exaggerated.

    Attributes
    ----------
    mean : the weighted mean of the critical times, which is t_c at every L if they do not depend on it
    limit, amplitude, inverse_nu : t_c(inf), a and 1 / nu; NaN unless ``reason`` is empty. 1 / nu is searched in
        [0.1, 10]: an interval that reaches an end of this is open there, and says nothing where it reaches both.
        No interval where a size has fewer than four trajectories
    p_constant, p_shift : the `goodness` of a constant t_c, and of the fitted shift
    reason : why there is nothing to fit
    remark : where a constant describes the data as well, or no power does
    """

    mean: Measured
    limit: Measured
    amplitude: Measured
    inverse_nu: Measured
    p_constant: float
    p_shift: float
    reason: str = ""
    remark: str = ""

    @property
    def open_ends(self) -> tuple[bool, bool]:
        """Whether the errors leave 1 / nu without a lower, or an upper, bound."""
        low, high = self.inverse_nu.interval
        return not low > 1.02 * _BOUNDS[0], not high < _BOUNDS[1] / 1.02


def fit_shift(L: ArrayLike, times: Sequence[Measured]) -> Shift:
    """Weighted least squares of t_c(L); ``L`` (n,) sides in sites, ``times`` the measured critical times.

    For every exponent t_c(inf) and a follow linearly; what remains is a search over 1 / nu in [0.1, 10], done anew
    for every bootstrap resample. It takes at least four sizes; those without a critical time are left out. Where the
    residuals are larger than the errors make likely (p < 0.01), all distributions are widened as in `fit_power_law`.
    Raises `InvalidInputError` for sides that are not positive or of another number than ``times``.
    """
    sides = abscissae(L, times)
    kept = np.array([np.isfinite(measured.value) for measured in times], dtype=bool)
    sides, chosen = sides[kept], [measured for measured, keep in zip(times, kept, strict=True) if keep]
    absent = Measured(np.nan, np.full_like(times[0].resampled, np.nan) if times else np.empty(0))
    nothing = Shift(absent, absent, absent, absent, np.nan, np.nan)
    if not chosen:
        return replace(nothing, reason="no size has a critical time")
    values, errors = np.array([measured.value for measured in chosen]), weights_of(chosen)
    resampled = np.array([measured.resampled for measured in chosen])
    weights = errors**-2.0 / (errors**-2.0).sum()
    mean, p_constant = constant_fit(values, errors, chosen)
    count = smallest_count(each.count for each in chosen)
    constant = replace(nothing, mean=Measured(mean, weights @ resampled, count), p_constant=p_constant)
    if len(np.unique(sides)) < 4:
        return replace(constant, reason="fewer than four sizes for three parameters")
    if np.isnan(p_constant):
        return replace(constant, reason="no errors are known, hence no test")

    exponent, limit, amplitude, chi2 = _fit(sides, values, errors)
    p_shift = goodness(chi2, 3, errors, chosen)
    refits = np.array([_fit(sides, draw, errors)[:3] if np.isfinite(draw).all() else _NOTHING for draw in resampled.T])
    wider, remark = 1.0, ""
    if p_shift < LEVEL:
        wider = max(1.0, math.sqrt(chi2 / (len(sides) - 3)))
        remark = f"no power of L describes the data (p = {p_shift:.2g}): intervals widened"
    elif p_constant > LEVEL:
        remark = f"t_c does not depend on L within its errors (p = {p_constant:.2g})"
    # Exponents are searched, and their distribution widened, on a logarithmic scale.
    fitted = (math.log(exponent), np.log(refits[:, 0])), (limit, refits[:, 1]), (amplitude, refits[:, 2])
    logarithm, *linear = (Measured(value, column, count).widened(wider) for value, column in fitted)
    return replace(
        constant, limit=linear[0], amplitude=linear[1], inverse_nu=Exponent.of(logarithm, _BOUNDS), p_shift=p_shift,
        remark=remark,
    )  # fmt: skip


def _fit(
    sides: NDArray[np.float64], values: NDArray[np.float64], errors: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """1 / nu, t_c(inf), a and chi^2 of the least squares."""

    searched = np.log(_EXPONENTS)
    best = int(np.argmin(_linear(sides ** -_EXPONENTS[:, None], values, errors)[2]))
    around = searched[max(best - 1, 0)], searched[min(best + 1, len(searched) - 1)]
    found = minimize_scalar(
        lambda log_exponent: _linear(sides ** -np.exp(log_exponent), values, errors)[2], bounds=around, method="bounded"
    )
    exponent = float(np.exp(found.x))
    limit, amplitude, least = _linear(sides**-exponent, values, errors)
    return exponent, float(limit), float(amplitude), float(least)


def _linear(x: NDArray[np.float64], y: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[Any, Any, Any]:
    """Intercept, slope and chi^2 of weighted straight lines over abscissae x (..., n)."""
    weights = errors**-2.0
    weights = weights / weights.sum()
    x_mean, y_mean = x @ weights, y @ weights
    from_mean = x - x_mean[..., None]
    slope = (from_mean * (y - y_mean)) @ weights / (from_mean**2 @ weights)
    residuals = (y - y_mean - slope[..., None] * from_mean) / errors
    return y_mean - slope * x_mean, slope, (residuals**2).sum(axis=-1)
