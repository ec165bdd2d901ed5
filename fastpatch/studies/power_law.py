"""Power laws y = a x^b fitted to measured values, with the test whether y depends on x at all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.statistics import real_values
from ..errors import InvalidInputError
from .goodness import LEVEL, constant_fit, goodness
from .measured import Measured, smallest_count, weights_of

__all__ = ["PowerLaw", "abscissae", "fit_power_law"]


@dataclass(frozen=True)
class PowerLaw:
    """y = amplitude x^exponent, weighted least squares of log y.

    ``p_constant`` and ``p_power`` are the `goodness` of a constant and of the power law. The exponent is there whatever
    they say: reported only where a constant is rejected, it would be exaggerated, by 1.6 times for a true 0.05 with 64
    trajectories. ``remark`` says where one of them is below 0.01 or above. ``amplitude`` and ``exponent`` are NaN, and
    ``reason`` says why, where there is nothing to fit.
    """

    exponent: Measured
    amplitude: float
    p_constant: float
    p_power: float
    reason: str = ""
    remark: str = ""


def fit_power_law(x: ArrayLike, y: Sequence[Measured]) -> PowerLaw:
    """Fit a power law to values ``y`` at positive ``x`` (n,); entries whose value is not positive are left out.

    Bootstrap: every resample of ``y`` is fitted anew. Where the residuals are larger than the errors make likely
    (``p_power`` below 0.01), the distribution of the exponent is widened by the root of their chi^2 per degree of
    freedom, as if all errors were too small by this factor.
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
    design = np.stack([np.ones_like(log_x), log_x], axis=1) / errors[:, None]
    solver = np.linalg.pinv(design) / errors
    intercept, slope = solver @ log_y
    chi2 = float((((log_y - intercept - slope * log_x) / errors) ** 2).sum())
    p_power = goodness(chi2, 2, errors, chosen)
    count = smallest_count(each.count for each in chosen)
    exponent, remark = Measured(float(slope), solver[1] @ log_resampled, count), ""
    if p_power < LEVEL:
        exponent = exponent.widened(max(1.0, math.sqrt(chi2 / (len(log_x) - 2))))
        remark = f"no power law describes the data (p = {p_power:.2g}): interval widened"
    elif p_constant > LEVEL:
        remark = f"a constant describes the data, too (p = {p_constant:.2g})"
    return PowerLaw(exponent, float(np.exp(intercept)), p_constant, p_power, remark=remark)


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
