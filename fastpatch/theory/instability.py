r"""Soft modes of any local, translation-equivariant drift and the effective theory they imply (App. B).

Signs. App. B speaks of growth rates: instability when the maximum of lambda(k, t) reaches zero. The Jacobian of the
drift b that the reverse process integrates *backwards* in time has the opposite sign: there the minimum comes down
to zero. Every function here takes either, says which in ``sign``, and reports growth rates:

- ``sign="growth"``: growth rate lambda(k), App. B and eqs. 8-18 as printed (`kernel_eq14`);
- ``sign="drift"``: growth rate -lambda(k), the Jacobian of b (`drift_kernel`, `impulse_kernel` of ``model.drift``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from ..errors import InvalidInputError
from ..validation import finite_float
from ._growth import GrowthRate, wrapped
from ._inputs import one_of

__all__ = ["EffectiveTheory", "Instability", "Sign", "SoftModes", "soft_mode_instability", "soft_modes"]

Sign = Literal["growth", "drift"]
EffectiveTheory = Literal["scalar phi^4", "modulated phi^4", "multi-component"]


@dataclass(frozen=True)
class SoftModes:
    r"""The fastest-growing wave vectors :math:`\mathcal M` at one time and the expansion around each of them.

    .. math:: \text{growth}(k) = -r - \tfrac12 (k - k_*)^\top A\,(k - k_*) + \dots

    Attributes
    ----------
    wave_vectors : (n, d), components in (-pi, pi], sorted.
    r : effective mass, minus the largest growth rate.
    curvature : (n, d, d), A at each maximiser; the stiffness of eq. 18 is A = 2 kappa I.
    """

    wave_vectors: NDArray[np.float64]
    r: float
    curvature: NDArray[np.float64]

    @property
    def amplitudes(self) -> int:
        """Number of amplitudes phi_a: maximisers modulo k ~ -k. One is real if k = -k mod 2 pi, else complex."""
        own = int(np.count_nonzero([_is_commensurate(k) for k in self.wave_vectors]))
        return own + (len(self.wave_vectors) - own) // 2

    @property
    def effective_theory(self) -> EffectiveTheory:
        """App. B.1's class: one maximum at 0, one at k_* = -k_* mod 2 pi, or several (a single pair +-k included)."""
        if len(self.wave_vectors) > 1:
            return "multi-component"
        return "modulated phi^4" if self.wave_vectors.any() else "scalar phi^4"


class Instability(NamedTuple):
    """The time at which the largest growth rate reaches zero, and the modes that do."""

    critical_time: float
    modes: SoftModes


def soft_modes(kernel: ArrayLike, *, sign: Sign, tolerance: float = 1e-8) -> SoftModes:
    """Find every wave vector of maximal growth on the infinite lattice.

    The growth rate is a trigonometric polynomial, the real part of `kernel_symbol`: its local maxima on a fine grid
    are polished with exact gradients and curvatures, and kept if they fall short of the highest by no more than
    ``tolerance`` times the spread of the spectrum; a measured kernel, symmetric only approximately, needs a larger one.
    For a drift use `impulse_kernel`, for lambda(k) on a lattice `kernel_from_dispersion`.

    Not checked: that several maximisers are related by a symmetry rather than equal by accident.
    Raises `InvalidInputError` for even sides, or if the maximum is attained on a continuum of wave vectors (a kernel
    constant along some direction, or no coupling at all), for which App. B has no class.
    """
    growth = _growth(kernel, sign)
    margin = finite_float(tolerance, "tolerance") * growth.spread
    found = growth.maxima(margin)
    highest = max(value for value, _ in found)
    vectors = np.array(sorted(tuple(k) for value, k in found if value >= highest - margin))
    if any(growth.extends_beyond(k, margin) for k in vectors):
        raise InvalidInputError("growth is maximal on a continuum of wave vectors; expected isolated maxima")
    return SoftModes(vectors, 0.0 - highest, np.stack([-growth.hessian(k) for k in vectors]))


def soft_mode_instability(
    kernel_at: Callable[[float], ArrayLike],
    *,
    sign: Sign,
    t_max: float = 50.0,
    t_min: float = 1e-3,
    tolerance: float = 1e-8,
) -> Instability:
    """The first time, coming down from ``t_max``, at which the largest growth rate over all k reaches zero.

    ``kernel_at(t)`` returns the kernel at t, for instance ``lambda t: drift_kernel(t, dictionary)``. The range is
    scanned in 200 logarithmic steps, each evaluating it once; two crossings within a step would be missed.
    Raises `InvalidInputError` if growth is already positive at ``t_max``, or nowhere positive down to ``t_min``.
    """
    start, stop = finite_float(t_max, "t_max"), finite_float(t_min, "t_min")
    if not start > stop > 0.0:
        raise InvalidInputError(f"t_max is {start} and t_min is {stop}; expected t_max > t_min > 0")

    def largest(t: float) -> float:
        return max(value for value, _ in _growth(kernel_at(t), sign).maxima(0.0))

    later = start
    if largest(start) >= 0.0:
        raise InvalidInputError(f"the largest growth rate at t_max = {start} is not negative; expected a stable start")
    for t in np.geomspace(start, stop, 201)[1:]:
        if largest(t) >= 0.0:
            critical = float(brentq(largest, t, later, xtol=1e-13))
            return Instability(critical, soft_modes(kernel_at(critical), sign=sign, tolerance=tolerance))
        later = t
    raise InvalidInputError(f"no mode grows between t = {start} and {stop}; expected an instability in that range")


def _growth(kernel: ArrayLike, sign: str) -> GrowthRate:
    return GrowthRate(kernel, reverse=one_of(sign, "sign", ("growth", "drift")) == "drift")


def _is_commensurate(k: NDArray[np.float64]) -> bool:
    """Whether k = -k modulo 2 pi."""
    return bool((np.abs(wrapped(2.0 * k)) < 1e-6).all())
