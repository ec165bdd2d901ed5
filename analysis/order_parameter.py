"""The order parameter of the uniform phase: magnetization of a field, its moments, and Binder's cumulant."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import boolean, integer
from .correlation import lattice_field, sign_field, signed_field
from .statistics import real_values

__all__ = ["binder_cumulant", "magnetization", "order_parameter_moments"]


def magnetization(field: ArrayLike, *, binarize: bool = False) -> Any:
    """Spatial mean m of every field, float64 (...,); with ``binarize`` that of its signs, sign(0) := +1.

    ``field`` is an array (..., L1, L2) of finite values, float32, float64, integer or boolean (true as +1, false as
    -1). Raises `DtypeError` or `InvalidInputError` for anything else, and where a sum overflows.
    """
    values = sign_field(signed_field(field), np.float64) if boolean(binarize, "binarize") else lattice_field(field)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = values.mean(axis=(-2, -1), dtype=np.float64)
    if not np.isfinite(mean).all():
        raise InvalidInputError(f"field reaches {np.abs(values).max()}; expected values whose sum does not overflow")
    return mean[()]


def order_parameter_moments(field: ArrayLike, *, binarize: bool = False) -> NDArray[np.float64]:
    """``|m|``, m^2 and m^4 of the `magnetization` of every field, (..., 3); their means over trajectories are those
    of the ensemble, from which `binder_cumulant` follows. Arguments and exceptions as for `magnetization`.
    """
    m = np.abs(np.asarray(magnetization(field, binarize=binarize)))
    with np.errstate(over="ignore"):
        moments = np.stack([m, m**2, m**4], axis=-1)
    if not np.isfinite(moments).all():
        raise InvalidInputError(f"the magnetization reaches {m.max()}; expected a fourth power that does not overflow")
    return moments


def binder_cumulant(m: ArrayLike, axis: int = 0) -> Any:
    r"""Binder's cumulant of a magnetization over the trajectories along ``axis``, :math:`U = 1 -
    \langle m^4\rangle / 3\langle m^2\rangle^2`.

    0 for a Gaussian m about zero (the disordered phase of a large lattice), 2/3 where m = +-m_0 (the ordered phase);
    the curves of several lattice sizes cross at a continuous transition (Binder, Z. Phys. B 43, 119, 1981).

    Parameters
    ----------
    m
        Real numbers, NaN where a trajectory has none: it is left out there.
    axis
        The axis of the trajectories; it is removed from the result.

    Returns
    -------
    U : float64, the shape of ``m`` without ``axis``
        NaN with fewer than two trajectories or where m is 0 in all of them. A ratio of means over n trajectories,
        its own mean is 2 / (n + 2), rather than 0, for a Gaussian m.

    Raises
    ------
    DtypeError, InvalidInputError
        For values that are not real numbers, infinite values, or no such axis. That the trajectories are independent,
        and that m is symmetric about zero as U supposes, is not checked.
    """
    values = real_values(m, "m")
    along = integer(axis, "axis", minimum=-values.ndim, maximum=values.ndim - 1)
    present = ~np.isnan(values)
    magnitude = np.where(present, np.abs(values), 0.0)
    # In units of the largest value no power overflows, and none that matters underflows.
    largest = magnitude.max(axis=along, keepdims=True, initial=0.0)
    with np.errstate(under="ignore"):
        squares = np.divide(magnitude, largest, out=np.zeros_like(magnitude), where=largest > 0.0) ** 2
        second, fourth = squares.sum(axis=along), (squares**2).sum(axis=along)
    count = np.count_nonzero(present, axis=along)
    known = (count > 1) & (second > 0.0)
    ratio = np.divide(count * fourth, second**2, out=np.full(count.shape, np.nan), where=known)
    return (1.0 - ratio / 3.0)[()]
