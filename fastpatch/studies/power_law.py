"""Power laws y = a x^b fitted to measured values, with the test whether y depends on x at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.statistics import real_values
from ..errors import InvalidInputError
from .goodness import LEVEL, constant_fit, goodness
from .measured import Measured, weights_of

__all__ = ["PowerLaw", "abscissae", "fit_power_law"]


@dataclass(frozen=True)
class PowerLaw:
    """y = amplitude x^exponent, weighted least squares of log y.

    ``p_constant`` and ``p_power`` are the `goodness` of a constant and of the power law; the latter is NaN where it
    was not fitted. ``amplitude`` and ``exponent`` are NaN, and ``reason`` says why, where a
    constant describes the data as well or a power law does not.
    """

    exponent: Measured
    amplitude: float
    p_constant: float
    p_power: float
    reason: str = ""


def fit_power_law(x: ArrayLike, y: Sequence[Measured]) -> PowerLaw:
    """Fit a power law to values ``y`` at positive ``x`` (n,); entries whose value is not positive are left out.

    Bootstrap: every resample of ``y`` is fitted anew. Where a constant describes the data (``p_constant`` above 0.01)
    there is no exponent to report, an interval around zero being one of noise; nor where a power law does not
    (``p_power`` below 0.01).
    Raises `InvalidInputError` for ``x`` not positive or of another length.
    """
    at = abscissae(x, y)
    kept = np.array([measured.value > 0.0 for measured in y], dtype=bool)
    chosen = [measured for measured, keep in zip(y, kept, strict=True) if keep]
    log_x = np.log(at[kept])
    if len(np.unique(log_x)) < 3:
        return _none(y, np.nan, "fewer than three values of the abscissa")
    values = np.array([measured.value for measured in chosen])
    resampled = np.array([measured.resampled for measured in chosen])
    errors = weights_of(chosen) / values
    with np.errstate(divide="ignore", invalid="ignore"):
        log_y, log_resampled = np.log(values), np.log(np.where(resampled > 0.0, resampled, np.nan))
    _, p_constant = constant_fit(log_y, errors, chosen)
    if np.isnan(p_constant):
        return _none(y, p_constant, "no errors are known, hence no test")
    if p_constant > LEVEL:
        return _none(y, p_constant, f"a constant describes the data (p = {p_constant:.2g})")
    design = np.stack([np.ones_like(log_x), log_x], axis=1) / errors[:, None]
    solver = np.linalg.pinv(design) / errors
    intercept, slope = solver @ log_y
    chi2 = float((((log_y - intercept - slope * log_x) / errors) ** 2).sum())
    p_power = goodness(chi2, 2, errors, chosen)
    if p_power < LEVEL:
        reason = f"neither a constant (p = {p_constant:.2g}) nor a power law (p = {p_power:.2g}) describes the data"
        return replace(_none(y, p_constant, reason), p_power=p_power)
    exponent = Measured(float(slope), solver[1] @ log_resampled)
    return PowerLaw(exponent, float(np.exp(intercept)), p_constant, p_power)


def abscissae(x: ArrayLike, y: Sequence[Measured]) -> NDArray[np.float64]:
    """``x`` checked against ``y``."""
    found = real_values(x, "x")
    if found.shape != (len(y),) or not (found > 0.0).all():
        raise InvalidInputError(f"x has shape {found.shape} and minimum {found.min()}; expected {len(y)} positive ones")
    if len({measured.resampled.shape for measured in y}) > 1:
        raise InvalidInputError("the values have different numbers of resamples; expected the same for all")
    return found


def _none(y: Sequence[Measured], p_constant: float, reason: str) -> PowerLaw:
    absent = np.full_like(y[0].resampled, np.nan) if y else np.empty(0)
    return PowerLaw(Measured(np.nan, absent), np.nan, p_constant, np.nan, reason)
