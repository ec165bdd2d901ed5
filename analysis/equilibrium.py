"""Equilibrium correlation length from the low-frequency dispersion of the Jacobian (paper eqs. 22, 49-51)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError, InvalidInputError
from ..validation import boolean, finite_float, plain_array, shell_numbers
from .modes import shell_average

__all__ = [
    "FITTED_SHELLS",
    "equilibrium_length",
    "fit_equilibrium_length",
    "fit_shell_slope",
    "smallest_wave_number",
]

# The shells whose dispersion the equilibrium length is fitted on (App. C.10), beside shell 0.
FITTED_SHELLS = (1, 2, 3)


def fit_shell_slope(lam: ArrayLike, k_min: float, shells: Any = (1, 2, 3)) -> Any:
    r"""Signed slope xi_eq^2 of the normalised dispersion, least squares through the origin (eq. 51).

    .. math:: \frac{\lambda_n}{\lambda_0} - 1 = \xi_\mathrm{eq}^2\,(n k_\min)^2

    Parameters
    ----------
    lam
        Array (..., n_shells) of real numbers; ``lam[..., n]`` is the derivative lambda_n of shell n = 0, 1, ...,
        averaged over directions. The fit is made per trajectory and time; take medians afterwards.
    k_min
        Smallest wave number 2 pi / L, in radians per site.
    shells
        The shells n >= 1 that are fitted.

    Returns
    -------
    slope : float64 (...,)
        In sites squared, negative where the modes harden towards k = 0. NaN where lambda_0 is 0 or a fitted value is
        NaN or infinite, without a warning.

    Raises
    ------
    DtypeError, InvalidInputError
        For values that are not real numbers, ``k_min`` not positive, or ``shells`` empty, repeated, holding 0 or
        reaching beyond ``lam``. Whether the dispersion is quadratic over the fitted shells is not checked.
    """
    values = _dispersion(lam)
    smallest = finite_float(k_min, "k_min")
    if smallest <= 0.0:
        raise InvalidInputError(f"k_min is {smallest}; expected a positive wave number 2 pi / L")
    numbers = shell_numbers(shells)
    if numbers.min() < 1 or numbers.max() >= values.shape[-1]:
        raise InvalidInputError(
            f"shells is {numbers.tolist()}; expected numbers from 1 to {values.shape[-1] - 1}, the last shell of lam"
        )
    k2 = (numbers * smallest) ** 2
    zero_mode = values[..., :1]
    fitted = values[..., numbers]
    usable = (zero_mode != 0.0) & np.isfinite(zero_mode) & np.isfinite(fitted)
    with np.errstate(over="ignore", invalid="ignore"):
        excess = np.divide(fitted - zero_mode, zero_mode, out=np.full(fitted.shape, np.nan), where=usable)
        slope = (excess * (k2 / (k2 @ k2))).sum(axis=-1)
    return np.where(np.isfinite(slope), slope, np.nan)[()]


def fit_equilibrium_length(
    lam: ArrayLike,
    k_min: float,
    shells: Any = (1, 2, 3),
    *,
    clip: bool = False,
    zero_mode_sign: int = 1,
) -> Any:
    r"""Equilibrium correlation length xi_eq, in lattice sites (eqs. 50-51).

    The square root of `fit_shell_slope`, whose ``lam``, ``k_min`` and ``shells`` these are. The relation describes
    fluctuations about a branch only while lambda_0 keeps its sign and the modes are softest at k = 0, so:

    - by default xi_eq is NaN (a gap in a plot) where the slope is negative, or where lambda_0 does not have the sign
      ``zero_mode_sign`` that it has at large t: +1 (the default) for the Jacobian of the reverse drift of eq. 40 and
      of EDM2's, -1 for the opposite convention of eq. 4;
    - with ``clip=True``, the paper's variant, a negative slope counts as 0 and the sign of lambda_0 is not looked at.

    Returns float64 (...,), NaN in either variant where `fit_shell_slope` is. Raises what `fit_shell_slope` raises,
    and `InvalidInputError` for a ``zero_mode_sign`` other than +1 or -1.
    """
    clipped = boolean(clip, "clip")
    if zero_mode_sign not in (1, -1):
        raise InvalidInputError(f"zero_mode_sign is {zero_mode_sign!r}; expected +1 or -1")
    slope = np.asarray(fit_shell_slope(lam, k_min, shells))
    length = np.sqrt(np.where(slope < 0.0, 0.0 if clipped else np.nan, slope))
    if not clipped:
        length = np.where(zero_mode_sign * _dispersion(lam)[..., 0] > 0.0, length, np.nan)
    return length[()]


def _dispersion(lam: ArrayLike) -> NDArray[np.float64]:
    values = plain_array(lam, "lam", missing="nan")
    if values.dtype.kind not in "iuf":
        raise DtypeError(f"lam has dtype {values.dtype.name}; expected real numbers")
    if values.ndim < 1 or values.shape[-1] < 2:
        raise InvalidInputError(f"lam has shape {values.shape}; expected (..., n_shells) with at least shells 0 and 1")
    return values.astype(np.float64, copy=False)


def smallest_wave_number(shape: tuple[int, int]) -> float:
    """k_min of the shell fit: both axes enter the shell mean, so it is the root mean square of their 2 pi / L."""
    return float(2.0 * np.pi * np.sqrt(np.mean(1.0 / np.array(shape, dtype=np.float64) ** 2)))


def equilibrium_length(
    derivatives: NDArray[np.float64], shells: NDArray[np.int64], k_min: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """xi_eq (...) of derivatives (..., shells, directions), and lambda_0 (...): means over the axes."""
    by_shell = np.full((*derivatives.shape[:-2], shells.max() + 1), np.nan)
    by_shell[..., shells] = shell_average(derivatives[..., :2])
    return fit_equilibrium_length(by_shell, k_min, shells=FITTED_SHELLS), by_shell[..., 0]
