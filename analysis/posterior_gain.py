r"""Softening in a form that does not depend on the choice of drift.

The zero of lambda_0 depends on the -1/2 of the variance-preserving drift, which EDM's has not. What both share is the
curvature of the density: along a unit vector v,

.. math:: \sigma^2\,v^\top \nabla^2 \log p_t\, v = g(v) - 1, \qquad
          g(v) = \frac{\alpha^2}{\sigma^2}\, v^\top \operatorname{Cov}(x_0 | x)\, v
               = \alpha\, v^\top \frac{\partial m}{\partial x} v

The *posterior gain* g is the response of the denoised state to the noisy one, x / alpha, along v: g = 1 is where log p
ceases to be concave. A Gaussian field of any spectrum has g = z S_0 / (1 + z S_0) < 1, z = alpha^2 / sigma^2.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InvalidInputError
from ..validation import plain_array
from .statistics import real_values

__all__ = ["posterior_gain", "posterior_gain_edm"]


def posterior_gain(derivatives: ArrayLike, sigma2: ArrayLike, rate: ArrayLike = 1.0) -> Any:
    r"""g from derivatives or eigenvalues of a variance-preserving drift: :math:`1 - \sigma^2(\lambda/\beta + \frac12)`.

    All broadcast against each other: for ``derivatives`` (trajectory, time, shell) give ``sigma2[:, None]``. Returns
    float64. Raises `InvalidInputError` or `DtypeError` for infinite values, or variances and rates not positive.
    """
    values = real_values(np.atleast_1d(plain_array(derivatives, "derivatives", missing="nan")), "derivatives")
    variance, beta = _positive(sigma2, "sigma2"), _positive(rate, "rate")
    found = 1.0 - variance * (values / beta + 0.5)
    return found if np.ndim(derivatives) or np.ndim(sigma2) or np.ndim(rate) else float(found.ravel()[0])


def posterior_gain_edm(derivatives: ArrayLike, sigma: ArrayLike) -> Any:
    r"""g from derivatives or eigenvalues of EDM's drift :math:`(x - D)/\sigma`, :math:`1 - \sigma\lambda`.

    As `posterior_gain`, with noise levels ``sigma`` for variances.
    """
    values = real_values(np.atleast_1d(plain_array(derivatives, "derivatives", missing="nan")), "derivatives")
    found = 1.0 - _positive(sigma, "sigma") * values
    return found if np.ndim(derivatives) or np.ndim(sigma) else float(found.ravel()[0])


def _positive(values: ArrayLike, name: str) -> Any:
    found = real_values(np.atleast_1d(plain_array(values, name)), name)
    if not (found > 0.0).all():
        raise InvalidInputError(f"{name} is {found[~(found > 0.0)][0]}; expected positive numbers")
    return found
