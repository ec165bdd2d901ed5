"""The noise levels of an EDM run (paper App. E.2; Karras et al., 2022)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.statistics import real_values
from ..errors import InvalidInputError
from ..validation import finite_float, integer

__all__ = ["SIGMA_MAX", "SIGMA_MIN", "checked_levels", "sigma_grid"]

SIGMA_MAX, SIGMA_MIN = 80.0, 0.002


def sigma_grid(
    steps: int = 32, sigma_max: float = SIGMA_MAX, sigma_min: float = SIGMA_MIN, rho: float = 7.0
) -> NDArray[np.float64]:
    r"""The levels from which the N = ``steps`` steps start, and the 0 at which the last one ends; float64 (N + 1,).

    .. math:: \sigma_i = \Bigl(\sigma_\max^{1/\rho} + \frac{i}{N-1}\bigl(\sigma_\min^{1/\rho} -
              \sigma_\max^{1/\rho}\bigr)\Bigr)^\rho, \quad i = 0, \dots, N - 1, \qquad \sigma_N = 0

    The first and the last but one are ``sigma_max`` and ``sigma_min`` without rounding. Raises `InvalidInputError`
    or `DtypeError` unless there are at least two steps, sigma_max > sigma_min > 0 and rho > 0.
    """
    count = integer(steps, "steps", minimum=2)
    first, last = finite_float(sigma_max, "sigma_max"), finite_float(sigma_min, "sigma_min")
    if not 0.0 < last < first:
        raise InvalidInputError(f"sigma_max is {first} and sigma_min {last}; expected sigma_max > sigma_min > 0")
    power = finite_float(rho, "rho")
    if power <= 0.0:
        raise InvalidInputError(f"rho is {power}; expected a positive exponent")
    levels = np.linspace(first ** (1.0 / power), last ** (1.0 / power), count) ** power
    levels[0], levels[-1] = first, last
    return np.append(levels, 0.0)


def checked_levels(sigmas: ArrayLike) -> NDArray[np.float64]:
    """A grid of any other form: ``sigmas`` (N,), N >= 2, with the 0 at which the last step ends; float64 (N + 1,).

    Raises `InvalidInputError` or `DtypeError` unless they are positive and strictly decreasing.
    """
    levels = real_values(sigmas, "sigmas")
    if levels.ndim != 1 or len(levels) < 2 or not np.isfinite(levels).all():
        raise InvalidInputError(f"sigmas has shape {levels.shape}; expected at least two finite noise levels (N,)")
    if levels[-1] <= 0.0 or (np.diff(levels) >= 0.0).any():
        raise InvalidInputError("sigmas are not strictly decreasing and positive; expected the levels of a run")
    return np.append(levels, 0.0)
