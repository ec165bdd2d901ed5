r"""Noise levels of a sampling run that decide equally much in every step.

After Stancevic et al. (arXiv:2504.13612): levels equidistant in the information that is decided along the run, here
the integral of a measured rate over log sigma. A share of uniform spacing in log sigma keeps steps where nothing is
decided from growing without bound.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...analysis.statistics import real_values
from ...errors import InvalidInputError
from ...validation import finite_float, integer

__all__ = ["entropic_levels"]


def entropic_levels(
    sigma: ArrayLike, rate: ArrayLike, steps: int, *, uniform: float = 0.1, power: float = 1.0
) -> NDArray[np.float64]:
    """``steps`` levels from the first to the last of ``sigma`` with equal decided information between neighbours.

    Parameters
    ----------
    sigma, rate
        Strictly decreasing levels (S,) and ``-dI/d log sigma`` there, interpolated linearly in log sigma; negative
        rates, which only noise makes, count as 0.
    steps
        Number of levels, at least 2. A run adds the step to 0.
    uniform
        Share, in (0, 1], of the clock that runs uniformly in log sigma.
    power
        The rate is raised to it: 1 is equal information; a method of order p has a step error that grows as its
        (p + 1)-th power, for which smaller powers are a compromise.

    Raises `InvalidInputError` or `DtypeError` for arrays that do not match, a rate that is nowhere positive, or
    options out of range.
    """
    levels, rates = real_values(sigma, "sigma"), real_values(rate, "rate")
    count = integer(steps, "steps", minimum=2)
    share, exponent = finite_float(uniform, "uniform"), finite_float(power, "power")
    if levels.ndim != 1 or len(levels) < 2 or rates.shape != levels.shape or not np.isfinite(rates).all():
        raise InvalidInputError(f"rate has shape {rates.shape} and sigma {levels.shape}; expected the same (S,)")
    if levels[-1] <= 0.0 or (np.diff(levels) >= 0.0).any():
        raise InvalidInputError("sigma is not strictly decreasing and positive; expected noise levels")
    if not 0.0 < share <= 1.0 or exponent <= 0.0:
        raise InvalidInputError(f"uniform is {share} and power {exponent}; expected a share in (0, 1], and more than 0")
    # Fine enough that the trapezoid rule between measured levels is exact for the linear interpolation.
    fine = np.linspace(np.log(levels[0]), np.log(levels[-1]), 64 * len(levels))
    clock = np.interp(-fine, -np.log(levels), np.maximum(rates, 0.0)) ** exponent
    total = np.trapezoid(clock, -fine)
    if not total > 0.0:
        raise InvalidInputError("the rate is nowhere positive; expected information that is decided somewhere")
    clock = (1.0 - share) * clock / total + share / (fine[0] - fine[-1])
    passed = np.concatenate([[0.0], np.cumsum(0.5 * (clock[1:] + clock[:-1]) * -np.diff(fine))])
    found = np.exp(np.interp(np.linspace(0.0, passed[-1], count), passed, fine))
    found[0], found[-1] = levels[0], levels[-1]
    return np.asarray(found)
