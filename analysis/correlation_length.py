"""Correlation length of a field on a periodic lattice (paper eq. 45, App. C.6 and E.3)."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import boolean, floating_field
from .correlation import signed_field
from .first_lobe import first_lobe_correlation, is_large
from .radial import radial_correlation

__all__ = ["correlation_length", "length_from_correlation"]

Estimator = Literal["first-moment", "second-moment"]
PositivePart = Literal["first-lobe", "clip"]

# Values of C(r) this small relative to C(0) are rounding errors of a zero.
_ROUNDING = 1e-12


def correlation_length(
    field: ArrayLike,
    estimator: Estimator = "first-moment",
    binarize: bool = True,
    positive: PositivePart = "first-lobe",
) -> Any:
    r"""Correlation length xi_x of every field, in lattice sites.

    .. math:: \xi_x = \frac{\sum_r r\,C(r)}{\sum_r C(r)} \quad\text{(eq. 45)} \qquad\text{or}\qquad
              \xi_x = \sqrt{\frac{\sum_r r^2 C(r)}{\sum_r C(r)}}

    over the positive portion of the radially averaged correlation C(r), r = 0, ..., min(L1, L2) // 2.

    Parameters
    ----------
    field
        Array (..., L1, L2) of finite values, float32, float64 or integer.
    estimator
        ``"first-moment"``, eq. 45, the paper's choice for the sign field, or ``"second-moment"``, App. E.3, its
        choice for continuous fields.
    binarize
        ``True``: C of the sign field of eq. 43, sign(0) := +1. ``False``: C of the connected (mean-subtracted) field.
    positive
        ``"first-lobe"``: from r = 0 up to, not including, the first r with C(r) <= 0. ``"clip"``: every r, with
        negative values set to 0; white noise then keeps a floor (about 0.5 site for L = 80 and the first moment),
        where the first lobe gives about 0. The first lobe in turn can jump from one time step to the next where a
        long tail of C(r) hovers about zero.

    Returns
    -------
    xi : float64 (...,)
        Never NaN. A field of one sign has C(r) = 1 for all r, hence the largest value the lattice can show: with
        R = min(L1, L2) // 2, R / 2 for the first moment and sqrt(R (2 R + 1) / 6) for the second. A constant
        connected field has C = 0 and length 0.

    Raises
    ------
    DtypeError, InvalidInputError
        For an unknown option, another dtype, fewer than two axes, an empty side, NaN or infinite values, or
        connected values whose squares overflow. With ``binarize`` also for a field of zeros and positive values,
        such as an image from 0 to 255: its signs are +1 everywhere.
    """
    _check_options(estimator, positive)
    boolean(binarize, "binarize")
    if binarize and positive == "first-lobe" and is_large(np.shape(field)):
        values = signed_field(field)
        rows = values.reshape(-1, *values.shape[-2:])
        lengths = [_moment(_first_lobe(row), estimator, positive) for row in rows]
        return np.array(lengths).reshape(values.shape[:-2])[()]
    return _moment(radial_correlation(field, binarize=binarize), estimator, positive)


def length_from_correlation(
    C: ArrayLike, estimator: Estimator = "first-moment", positive: PositivePart = "first-lobe"
) -> Any:
    """Correlation length of a given C(r), for instance one averaged over trajectories first.

    ``C`` is an array (..., R + 1), float32 or float64, of C(r) at r = 0, ..., R as `radial_correlation` gives it; the
    options and the returned (...,) float64 are those of `correlation_length`. A C(r) that is nowhere positive in the
    chosen portion gives 0. That C(0) is the largest value is not checked.

    Raises `DtypeError` or `InvalidInputError` for an unknown option or NaN or infinite values.
    """
    _check_options(estimator, positive)
    return _moment(floating_field(C, "C", minimum_ndim=1), estimator, positive)


def _first_lobe(field: NDArray[Any]) -> NDArray[np.float64]:
    """C(r) of the sign field up to its first zero or beyond."""
    C = first_lobe_correlation(field)
    return radial_correlation(field) if C is None else C


def _moment(correlation: NDArray[Any], estimator: Estimator, positive: PositivePart) -> Any:
    weights = correlation.astype(np.float64)
    kept = weights > _ROUNDING * weights[..., :1]
    if positive == "first-lobe":
        kept = np.logical_and.accumulate(kept, axis=-1)
    weights[~kept] = 0.0
    order = 1 if estimator == "first-moment" else 2
    # Added one by one: a sum in pairs depends on how many zeros follow.
    total = np.add.accumulate(weights, axis=-1)[..., -1]
    moments = weights * np.arange(weights.shape[-1], dtype=np.float64) ** order
    moment = np.add.accumulate(moments, axis=-1)[..., -1]
    length = np.divide(moment, total, out=np.zeros_like(total), where=total > 0.0)
    return (length if order == 1 else np.sqrt(length))[()]


def _check_options(estimator: str, positive: str) -> None:
    for name, value, known in (
        ("estimator", estimator, get_args(Estimator)),
        ("positive", positive, get_args(PositivePart)),
    ):
        if value not in known:
            raise InvalidInputError(f"{name} is {value!r}; expected one of {', '.join(map(repr, known))}")
