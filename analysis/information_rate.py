"""One run's contributions to the information that is decided at a noise level (see `analysis.information`)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import floating_field, integer, plain_array
from .statistics import real_values
from .structure_factor import shell_power

__all__ = ["information_rate", "information_rate_by_shell"]


def information_rate(difference: ArrayLike, sigma: ArrayLike, *, axes: int = 3) -> NDArray[np.float64]:
    r"""One run's contribution to the identities of `analysis.information`, :math:`|d|^2/\sigma^2`.

    Parameters
    ----------
    difference
        d = x_0 - D for the total, D_c - D_u for the class: float32 or float64 (..., C, H, W).
    sigma
        Noise levels, positive, broadcasting against the axes that are left.
    axes
        How many of the last axes hold one state: 3 for images, 2 for fields (..., L1, L2).

    Returns float64 (...). Raises `InvalidInputError` or `DtypeError` for values that are not finite, levels that are
    not positive or do not broadcast, or fewer axes. That D is a posterior mean is not checked.
    """
    count = integer(axes, "axes", minimum=1)
    values = floating_field(difference, "difference", minimum_ndim=count).astype(np.float64)
    squared = np.square(values).sum(axis=tuple(range(-count, 0)))
    return np.asarray(squared / _levels(sigma, squared.shape) ** 2)


def information_rate_by_shell(difference: ArrayLike, sigma: ArrayLike, *, axes: int = 3) -> NDArray[np.float64]:
    r"""`information_rate` by wavelength: its share in every shell of wave numbers, float64 (..., n_shells).

    By Parseval the power of every wave vector, summed over channels and over the shells of `wave_number_shells`; the
    sum over shells is `information_rate`. ``axes`` is at least 2. Raises what `information_rate` raises.
    """
    count = integer(axes, "axes", minimum=2)
    values = floating_field(difference, "difference", minimum_ndim=count).astype(np.float64)
    power = shell_power(values).sum(axis=tuple(range(-count + 1, -1)))
    return np.asarray(power / _levels(sigma, power.shape[:-1])[..., None] ** 2)


def _levels(sigma: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    levels = real_values(np.atleast_1d(plain_array(sigma, "sigma")), "sigma")
    if not (levels > 0.0).all():
        raise InvalidInputError(f"sigma is {levels[~(levels > 0.0)][0]}; expected positive noise levels")
    try:
        return np.asarray(np.broadcast_to(levels if np.ndim(sigma) else levels[0], shape))
    except ValueError:
        raise InvalidInputError(f"sigma has shape {np.shape(sigma)}; expected one that broadcasts to {shape}") from None
