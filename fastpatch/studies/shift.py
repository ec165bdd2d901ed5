r"""The shift of the critical time with the size of the lattice, :math:`t_c(L) = t_c(\infty) + a L^{-1/\nu}`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from .goodness import LEVEL, constant_fit, goodness
from .measured import Measured, weights_of
from .power_law import abscissae

__all__ = ["Shift", "fit_shift"]

# Exponents 1 / nu that are looked at; an interval that reaches an end is one without that end.
_EXPONENTS = np.geomspace(0.1, 10.0, 81)


@dataclass(frozen=True)
class Shift:
    """The fit of t_c(L), or why there is none.

    Attributes
    ----------
    mean : the weighted mean of the critical times, which is t_c at every L if they do not depend on it
    limit, amplitude, inverse_nu : t_c(inf), a and 1 / nu; NaN unless ``reason`` is empty
    p_constant, p_shift : the `goodness` of a constant t_c, and of the fitted shift
    reason : why the data do not determine an exponent
    """

    mean: Measured
    limit: Measured
    amplitude: Measured
    inverse_nu: Measured
    p_constant: float
    p_shift: float
    reason: str = ""


def fit_shift(L: ArrayLike, times: Sequence[Measured]) -> Shift:
    """Weighted least squares of t_c(L); ``L`` (n,) sides in sites, ``times`` the measured critical times.

    For every exponent t_c(inf) and a follow linearly; what remains is a search over 1 / nu in [0.1, 10], done anew
    for every bootstrap resample. An exponent is reported only if it is identifiable: at least four sizes, a constant
    t_c rejected (p < 0.01), the shift not rejected, and the interval of 1 / nu inside the searched one. Sizes without
    a critical time are left out.
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
    constant = replace(nothing, mean=Measured(mean, weights @ resampled), p_constant=p_constant)
    if len(np.unique(sides)) < 4:
        return replace(constant, reason="fewer than four sizes for three parameters")
    if np.isnan(p_constant):
        return replace(constant, reason="no errors are known, hence no test")
    if p_constant > LEVEL:
        return replace(constant, reason=f"t_c does not depend on L within its errors (p = {p_constant:.2g})")

    exponent, limit, amplitude, chi2 = _fit(sides, values, errors)
    p_shift = goodness(chi2, 3, errors, chosen)
    complete = resampled[:, ~np.isnan(resampled).any(axis=0)].T
    refits = np.array([_fit(sides, draw, errors)[:3] for draw in complete]).reshape(-1, 3)
    inverse_nu = Measured(exponent, refits[:, 0])
    fitted = replace(
        constant, limit=Measured(limit, refits[:, 1]), amplitude=Measured(amplitude, refits[:, 2]),
        inverse_nu=inverse_nu, p_shift=p_shift,
    )  # fmt: skip
    low, high = inverse_nu.interval
    if p_shift < LEVEL:
        reason = f"t_c depends on L, but not by a power (p = {p_shift:.2g})"
    elif not (low > 1.02 * _EXPONENTS[0] and high < _EXPONENTS[-1] / 1.02):
        reason = f"t_c depends on L (p = {p_constant:.2g}), but the errors leave 1/nu open"
    else:
        return fitted
    return replace(constant, p_shift=p_shift, reason=reason)


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
