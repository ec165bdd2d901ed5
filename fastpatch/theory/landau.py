r"""Coefficients and dynamics of the coarse-grained field (Sec. 5, eqs. 17-20; App. A, eqs. 23-25).

In generation time tau = -t and per unit noise rate, the local score's drift near x = 0 is

.. math:: \partial_\tau x = -r\,x + \kappa\nabla^2 x - u\,x^3

The paper prints three different r(t). They differ by the constant that stands beside 1/sigma^2:

=========  =====  ==============================================================================
condition  plus   where
=========  =====  ==============================================================================
score      0      eq. 23: the Jacobian of the score alone, the paper's dashed line
eq17       +1/2   eqs. 14-18 as printed
drift      -1/2   the exact drift b = -x/2 - s of eq. 40, equal to Sec. 5.1's s + x/2
=========  =====  ==============================================================================
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..process import VPSchedule
from ..validation import floating_field
from ._inputs import PAPER_SCHEDULE, noise_levels, one_of
from .hypercube import c_omega, hypercube_volume

__all__ = ["GinzburgLandau", "TreeLevelCondition", "ginzburg_landau"]

TreeLevelCondition = Literal["score", "eq17", "drift"]

ONSITE: dict[str, float] = {"score": 0.0, "eq17": 0.5, "drift": -0.5}
"""The constant added to 1/sigma^2 in r(t), by condition."""


@dataclass(frozen=True)
class GinzburgLandau:
    """Effective mass ``r``, stiffness ``kappa`` and quartic coupling ``u``; floats, or arrays over times.

    `rate` and `free_energy` need float coefficients. Eq. 20 is ``dataclasses.replace(gl, r=r_eff).rate(x)``.
    """

    r: Any
    kappa: Any
    u: Any

    @property
    def correlation_length(self) -> Any:
        """sqrt(kappa / r) in lattice sites, the xi_eq of eq. 22 for this dispersion; NaN where r <= 0."""
        r = np.asarray(self.r, dtype=np.float64)
        ratio = np.divide(self.kappa, r, out=np.full(r.shape, np.nan), where=r > 0.0)
        return np.sqrt(ratio)[()]

    def rate(self, x: ArrayLike) -> NDArray[Any]:
        """The right-hand side of eq. 19 on a periodic lattice of unit spacing, in generation time tau = -t.

        ``x`` is one float32 or float64 field of any dimension; its shape and dtype are kept. The Laplacian is the
        nearest-neighbour one. With the paper's t, which decreases along the generation, all signs are reversed.
        """
        field = floating_field(x, minimum_ndim=1)
        laplacian = sum(np.roll(field, 1, axis) + np.roll(field, -1, axis) - 2.0 * field for axis in range(field.ndim))
        return np.asarray(-self.r * field + self.kappa * laplacian - self.u * field**3)

    def free_energy(self, x: ArrayLike) -> float:
        """The scalar phi^4 functional F[x] of App. B.1 on the same lattice; ``rate`` is minus its gradient."""
        field = floating_field(x, minimum_ndim=1)
        gradient2 = sum((np.roll(field, -1, axis) - field) ** 2 for axis in range(field.ndim))
        return float(np.sum(0.5 * self.r * field**2 + 0.5 * self.kappa * gradient2 + 0.25 * self.u * field**4))


def ginzburg_landau(
    t: ArrayLike,
    *,
    K: int = 2,
    d: int = 2,
    condition: TreeLevelCondition = "score",
    schedule: VPSchedule = PAPER_SCHEDULE,
) -> GinzburgLandau:
    r"""Tree-level coefficients for the hyper-cubic patch |u_mu| <= K in d dimensions.

    .. math:: r = \frac1{\sigma^2} + c - \frac{\alpha^2}{\sigma^4}(2K+1)^d, \quad
              \kappa = \frac{\alpha^2}{\sigma^4}\frac{K(K+1)}6(2K+1)^d, \quad
              u = \frac{\alpha^4}{3\sigma^8}(2K+1)^{3d}

    Parameters
    ----------
    t : scalar or array of diffusion times in (0, inf).
    condition : which r, with c = 0 (``"score"``, eq. 23), 1/2 (``"eq17"``) or -1/2 (``"drift"``, exact).

    kappa (eqs. 18 and 24) and u (eq. 25) agree in all three, and both are exact: kappa is the coefficient of
    -|k|^2 in eq. 16, and u that of -x^3 for a uniform field. For a field that varies within a patch the cubic term
    is (sum_u x_{i+u})^3, which |Omega|^3 x^3 overestimates: see `effective_mass_eq21`.
    Raises `InvalidInputError` for ``t <= 0``, ``K < 0``, ``d < 1`` or an unknown condition.
    """
    onsite = ONSITE[one_of(condition, "condition", tuple(ONSITE))]
    alpha, sigma2, _ = noise_levels(t, schedule)
    volume, coupling = hypercube_volume(K, d), (alpha / sigma2) ** 2
    return GinzburgLandau(
        r=1.0 / sigma2 + onsite - coupling * volume,
        kappa=coupling * c_omega(K, d),
        u=coupling**2 * volume**3 / 3.0,
    )
