r"""The pitchfork of two prototypes +-mu (Sec. 3, eq. 5): the drift along m = <mu, x> / |mu|^2.

With x along mu the exact drift is, in the generation time tau = -t,

.. math:: \frac{dm}{d\tau} = g^2\Bigl[-\Bigl(\frac1{\sigma^2} - \frac12\Bigr) m
          + \frac{\alpha}{\sigma^2}\tanh\frac{\alpha\|\mu\|^2 m}{\sigma^2}\Bigr], \qquad g^2 = \beta(t)

and its expansion to third order is eq. 5's :math:`-g^2 r m - u m^3`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from ..errors import InvalidInputError
from ..process import VPSchedule
from ..validation import finite_float, positive_time, real_array
from ._inputs import PAPER_SCHEDULE, noise_levels

__all__ = ["Pitchfork", "pitchfork", "pitchfork_eq5", "projected_drift", "projected_equilibrium"]


@dataclass(frozen=True)
class Pitchfork:
    """Coefficients of ``dm/dtau = -g2 r m - u m^3`` (eq. 5); floats, or arrays over times."""

    g2: Any
    r: Any
    u: Any

    def rate(self, m: ArrayLike) -> Any:
        """The deterministic right-hand side dm/dtau of eq. 5, in generation time tau = -t."""
        amplitude = real_array(m, "m")
        return -self.g2 * self.r * amplitude - self.u * amplitude**3

    @property
    def equilibrium(self) -> Any:
        """The stable m_+ >= 0 at frozen coefficients: sqrt(-g2 r / u) where r < 0, else 0; m_- is its negative.

        The paper prints the scaling m ~ sqrt(-r). Leading order in r: see `projected_equilibrium`.
        """
        softened, cubic = np.asarray(-self.g2 * self.r), np.asarray(self.u)
        squared = np.zeros(np.broadcast_shapes(softened.shape, cubic.shape))
        # u underflows long before the bifurcation.
        np.divide(softened, cubic, out=squared, where=(softened > 0.0) & (cubic > 0.0))
        return np.sqrt(squared)[()]


def pitchfork_eq5(squared_norm: float, t: ArrayLike, *, schedule: VPSchedule = PAPER_SCHEDULE) -> Pitchfork:
    r"""Eq. 5 with r as printed, :math:`r = \frac{\sigma^2+2}{2\sigma^2} - \frac{\|\mu\|^2}{\sigma^4}`.

    ``squared_norm`` is |mu|^2 with alpha(t) absorbed, alpha^2 times that of the data prototype. The paper does not
    give u; expanding the exact drift gives :math:`u = g^2\|\mu\|^6/(3\sigma^8)`. The printed r has 1/sigma^2 + 1/2
    where the exact drift has 1/sigma^2 - 1/2: `pitchfork`.
    ``t`` is a scalar or array; raises `InvalidInputError` unless ``t > 0`` and ``squared_norm > 0``.
    """
    norm2 = _squared_norm(squared_norm)
    _, sigma2, g2 = noise_levels(t, schedule)
    return Pitchfork(g2=g2, r=(sigma2 + 2.0) / (2.0 * sigma2) - norm2 / sigma2**2, u=g2 * norm2**3 / (3.0 * sigma2**4))


def pitchfork(squared_norm: float, t: ArrayLike, *, schedule: VPSchedule = PAPER_SCHEDULE) -> Pitchfork:
    r"""The exact third-order coefficients of `projected_drift`, alpha(t) written out.

    .. math:: r = \frac1{\sigma^2} - \frac12 - \frac{\alpha^2\|\mu\|^2}{\sigma^4}, \qquad
              u = g^2 \frac{\alpha^4\|\mu\|^6}{3\sigma^8}

    ``squared_norm`` is |mu|^2 of the data prototype. r vanishes at ``critical_time("drift", Omega=squared_norm)``.
    ``t`` is a scalar or array; raises `InvalidInputError` unless ``t > 0`` and ``squared_norm > 0``.
    """
    norm2 = _squared_norm(squared_norm)
    alpha, sigma2, g2 = noise_levels(t, schedule)
    r = 1.0 / sigma2 - 0.5 - (alpha / sigma2) ** 2 * norm2
    return Pitchfork(g2=g2, r=r, u=g2 * alpha**4 * norm2**3 / (3.0 * sigma2**4))


def projected_drift(m: ArrayLike, squared_norm: float, t: float, *, schedule: VPSchedule = PAPER_SCHEDULE) -> Any:
    """The full tanh drift dm/dtau of the module's formula; ``m`` any shape, float64 of that shape returned.

    Raises `InvalidInputError` unless ``t > 0`` and ``squared_norm > 0``.
    """
    norm2 = _squared_norm(squared_norm)
    alpha, sigma2, g2 = noise_levels(positive_time(t), schedule)
    amplitude = real_array(m, "m")
    pull = alpha / sigma2 * np.tanh(alpha / sigma2 * norm2 * amplitude)
    return g2 * (pull - (1.0 / sigma2 - 0.5) * amplitude)


def projected_equilibrium(squared_norm: float, t: float, *, schedule: VPSchedule = PAPER_SCHEDULE) -> float:
    """The stable m_+ >= 0 of the full `projected_drift` at frozen t; 0 before the bifurcation.

    Raises `InvalidInputError` unless ``t > 0`` and ``squared_norm > 0``.
    """
    alpha, sigma2, _ = noise_levels(positive_time(t), schedule)
    cubic = float(pitchfork(squared_norm, t, schedule=schedule).equilibrium)

    def rate(m: float) -> float:
        return float(projected_drift(m, squared_norm, t, schedule=schedule))

    # tanh y > y - y^3/3, so the cubic estimate bounds the root from below, and tanh < 1 bounds it from above.
    # A rate that is not positive there is one lost in rounding, at the bifurcation or before it.
    if rate(0.5 * cubic) <= 0.0:
        return cubic
    return float(brentq(rate, 0.5 * cubic, 2.0 * alpha / sigma2 / (1.0 / sigma2 - 0.5), xtol=1e-15))


def _squared_norm(value: float) -> float:
    found = finite_float(value, "squared_norm")
    if found <= 0.0:
        raise InvalidInputError(f"squared_norm is {found}; expected a positive number")
    return found
