"""Fluctuations of the linearised dynamics and the effective mass they give (Sec. 5.1, eqs. 20-21, as printed)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import exprel

from ..process import VPSchedule
from ..validation import finite_float, integer, positive_time
from ._inputs import PAPER_SCHEDULE, noise_levels
from .hypercube import hypercube_symbol
from .landau import TreeLevelCondition, ginzburg_landau

__all__ = ["effective_mass_eq21", "fluctuation_variance", "linear_structure_factor"]


def linear_structure_factor(k: ArrayLike, t: ArrayLike, *, K: int = 2, schedule: VPSchedule = PAPER_SCHEDULE) -> Any:
    r"""Power :math:`S(k, t) = \langle|x_k|^2\rangle` of the linearised reverse SDE started from x ~ N(0, 1) at t = inf.

    .. math:: S = \sigma^2\,\frac{e^z - 1}{z}, \qquad z = \frac{2\alpha^2}{\sigma^2} \hat\Omega(k)

    the closed solution of :math:`dS/d\tau = -2\lambda S + \beta` with lambda the exact `dispersion` of the hypercube;
    it holds for every schedule. ``k`` (..., d), ``t`` broadcasting against (...); normalised to 1 for white noise.
    Not checked: that fluctuations are small, without which the linear dynamics does not apply.
    Raises `InvalidInputError` for ``t <= 0`` or ``K < 0``.
    """
    alpha, sigma2, _ = noise_levels(t, schedule)
    return sigma2 * exprel(2.0 * alpha**2 / sigma2 * hypercube_symbol(k, K))


def fluctuation_variance(
    t: float, *, K: int = 2, d: int = 2, lattice_size: int = 80, schedule: VPSchedule = PAPER_SCHEDULE
) -> float:
    r"""Site variance :math:`\langle\delta x^2\rangle` of eq. 20 from the linearised dynamics.

    The mean of `linear_structure_factor` over the wave vectors of a periodic lattice of ``lattice_size ** d`` sites.
    Raises `InvalidInputError` for ``t <= 0``, ``K < 0``, ``d < 1`` or ``lattice_size < 1``.
    """
    frequencies = 2.0 * np.pi * np.fft.fftfreq(integer(lattice_size, "lattice_size", minimum=1))
    grid = np.stack(np.meshgrid(*[frequencies] * integer(d, "d", minimum=1), indexing="ij"), axis=-1)
    return float(linear_structure_factor(grid, positive_time(t), K=K, schedule=schedule).mean())


def effective_mass_eq21(
    t: float,
    *,
    K: int = 2,
    d: int = 2,
    variance: float | None = None,
    condition: TreeLevelCondition = "eq17",
    schedule: VPSchedule = PAPER_SCHEDULE,
) -> float:
    r"""Eq. 21 as printed, :math:`r_{\rm eff} = r + 3u\langle\delta x^2\rangle`, with r and u of `ginzburg_landau`.

    ``variance`` is <dx^2>; by default `fluctuation_variance` of the linearised dynamics. Since
    <dx^2> >= sigma^2 there, r_eff is positive at every t, for every K, d and condition: the expansion truncated at
    third order predicts no transition. `renormalised_dispersion` does without the truncation.
    Raises `InvalidInputError` for ``t <= 0``, ``K < 0``, ``d < 1`` or an unknown condition.
    """
    tree = ginzburg_landau(positive_time(t), K=K, d=d, condition=condition, schedule=schedule)
    spread = (
        fluctuation_variance(t, K=K, d=d, schedule=schedule) if variance is None else finite_float(variance, "variance")
    )
    return float(tree.r + 3.0 * tree.u * spread)
