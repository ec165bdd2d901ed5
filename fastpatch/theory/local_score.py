"""The locality-constrained score of the two uniform images x_0 = +-1 (Sec. 5, eqs. 10-13), in any dimension."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import convolve1d

from ..process import VPSchedule
from ..validation import floating_field, integer, positive_time
from ._inputs import PAPER_SCHEDULE, noise_levels

__all__ = ["neighbourhood_sum", "score_eq12", "score_eq13"]


def neighbourhood_sum(x: ArrayLike, K: int = 2) -> NDArray[Any]:
    r"""The sum :math:`S_i(x) = \sum_{u\in\Omega} x_{i+u}` over the hypercube |u_mu| <= K, with periodic wrap.

    ``x`` is one field, float32 or float64, of as many axes as the lattice has dimensions; shape and dtype are kept.
    Raises `InvalidInputError` or `DtypeError` for other dtypes, non-finite values or ``K < 0``.
    """
    total = floating_field(x, minimum_ndim=1)
    ones = np.ones(2 * integer(K, "K", minimum=0) + 1)
    for axis in range(total.ndim):
        total = convolve1d(total, ones, axis=axis, mode="wrap")
    return total


def score_eq12(x: ArrayLike, t: float, *, K: int = 2, schedule: VPSchedule = PAPER_SCHEDULE) -> NDArray[Any]:
    r"""The exact local score, eq. 12: :math:`s_i = \bigl[\alpha\tanh(\alpha S_i/\sigma^2) - x_i\bigr]/\sigma^2`.

    The patch model with the two uniform patterns as its dictionary, in any dimension.
    ``x`` as in `neighbourhood_sum`, ``t`` in (0, inf); shape and dtype of ``x`` are kept.
    With |Omega| the whole lattice this is eq. 10, the nonlocal empirical score.
    """
    field = floating_field(x, minimum_ndim=1)
    alpha, sigma2, _ = noise_levels(positive_time(t), schedule)
    return np.asarray((alpha * np.tanh(alpha / sigma2 * neighbourhood_sum(field, K)) - field) / sigma2)


def score_eq13(x: ArrayLike, t: float, *, K: int = 2, schedule: VPSchedule = PAPER_SCHEDULE) -> NDArray[Any]:
    r"""Eq. 13, the Taylor expansion of `score_eq12` around x = 0 up to third order.

    .. math:: s_i = -\frac{x_i}{\sigma^2} + \frac{\alpha^2}{\sigma^4} S_i - \frac{\alpha^4}{3\sigma^8} S_i^3

    Arguments as in `score_eq12`. The error is O(S^5): not checked is that alpha |S| / sigma^2 is small.
    """
    field = floating_field(x, minimum_ndim=1)
    alpha, sigma2, _ = noise_levels(positive_time(t), schedule)
    argument = alpha / sigma2 * neighbourhood_sum(field, K)
    return np.asarray((alpha * (argument - argument**3 / 3.0) - field) / sigma2)
