r"""The drift's Jacobian averaged over Gaussian fields: eqs. 20-21 without their cubic truncation.

Eq. 21 averages the cubic term of an expansion around a uniform field, which overestimates the effect so much that
r_eff never vanishes (`effective_mass_eq21`). Here the Jacobian of the full drift is averaged over independent
x_i ~ N(0, 1), the state of the reverse process at large t. Fluctuations raise the mass, so the transition moves to
smaller t than the "drift" condition's, later in the generation. Not included: the correlations that the field has
built up on its way to the transition.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.special import ndtri, softmax

from ..analysis.statistics import standard_error
from ..dictionary import PatchDictionary
from ..memory import require_memory
from ..process import VPSchedule
from ..validation import integer, positive_time
from ._inputs import PAPER_SCHEDULE, NoiseLevels, noise_levels
from .hypercube import hypercube_symbol, hypercube_volume
from .spectrum import pattern_symbols

__all__ = ["Estimate", "GaussianPatches", "renormalised_dispersion"]


class Estimate(NamedTuple):
    """A mean and the standard error of that mean over independent scrambles; the error is 0 for a quadrature."""

    value: Any
    standard_error: Any


@dataclass(frozen=True)
class GaussianPatches:
    r"""Quasi-Monte-Carlo averages over patches y of independent N(0, 1) pixels, for one dictionary.

    Parameters
    ----------
    dictionary : the patterns p_n.
    log2_points : base-2 logarithm of the number of Sobol points a scramble.
    replicates : independent scrambles, at least 2, from which errors are estimated.
    seed : of the scrambles. The same points serve every t, so averages are smooth functions of t.

    The posterior depends on y through <p_n, y> alone, jointly Gaussian with the patterns' Gram matrix as covariance:
    the sequence has as many dimensions as the patterns have rank (9 for the default dictionary), not P^2.
    Raises `InvalidInputError` or `DtypeError` for integers out of range.
    """

    dictionary: PatchDictionary
    log2_points: int = 12
    replicates: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        integer(self.log2_points, "log2_points", minimum=0, maximum=30)
        integer(self.replicates, "replicates", minimum=2)
        integer(self.seed, "seed", minimum=0)

    @cached_property
    def overlaps(self) -> NDArray[np.float64]:
        """The sampled dot products <p_n, y>, (replicates, points, K)."""
        # Imported here because scipy.stats takes as long to import as all the rest of the theory.
        from scipy.stats import qmc

        count = len(self.dictionary)
        points = self.replicates * 2**self.log2_points
        needed = 8.0 * count * (points + 4 * self.dictionary.size**2)
        require_memory(needed, f"averages of {count} patterns over {points} patches take")
        flat = self.dictionary.patterns.reshape(count, -1)
        left, singular, _ = np.linalg.svd(flat, full_matrices=False)
        rank = max(1, int(np.count_nonzero(singular > 1e-12 * singular[0])))
        streams = np.random.default_rng(self.seed).spawn(self.replicates)
        uniform = np.stack([qmc.Sobol(rank, seed=stream).random_base2(self.log2_points) for stream in streams])
        # A scrambled point may round to 0, where the quantile is infinite.
        normal = ndtri(np.maximum(uniform, np.finfo(np.float64).tiny))
        return np.asarray(normal @ (left[:, :rank] * singular[:rank]).T)

    def gains(self, levels: NoiseLevels) -> NDArray[np.float64]:
        r"""The averages :math:`E[w_n (c_n - m)]` at one time, a row each replicate: (replicates, K)."""
        alpha, sigma2, _ = levels
        offsets = np.log(self.dictionary.prior) - 0.5 * alpha**2 / sigma2 * self.dictionary.squared_norms
        weights = softmax(offsets + alpha / sigma2 * self.overlaps, axis=-1)
        centers = self.dictionary.centers
        return np.asarray((weights * (centers - (weights @ centers)[..., None])).mean(axis=1))


def mean_sech2(variance: float) -> float:
    """E[sech^2 z] over z ~ N(0, ``variance``) by adaptive quadrature, to about 1e-13 relative."""
    width = math.sqrt(variance)
    if width == 0.0:
        return 1.0
    # Beyond 20 sech^2 < 2e-17, beyond 10 standard deviations the density is: integrate where neither is.
    upper = min(20.0, 10.0 * width)
    density = 2.0 / (width * math.sqrt(2.0 * math.pi))
    value, _ = quad(
        lambda z: math.exp(-0.5 * (z / width) ** 2) / math.cosh(z) ** 2, 0.0, upper, epsabs=0.0, epsrel=1e-13
    )
    return float(density * value)


def renormalised_dispersion(
    k: ArrayLike,
    t: float,
    *,
    K: int = 2,
    patches: GaussianPatches | None = None,
    schedule: VPSchedule = PAPER_SCHEDULE,
) -> Estimate:
    r"""`dispersion` averaged over x_i ~ N(0, 1) in place of x = 0.

    .. math:: \lambda(k, t) = \beta\Bigl[-\frac12 + \frac1{\sigma^2} - \frac{\alpha^2}{\sigma^4}
              \sum_n E[w_n (c_n - m)] \sum_u p_n(u) \cos(k\cdot u)\Bigr]

    Without ``patches`` for the two uniform patterns on the hypercube |u_mu| <= K, in any d, where the average is the
    one-dimensional :math:`\hat\Omega(k)\,E[\operatorname{sech}^2(\alpha\sqrt{|\Omega|}z/\sigma^2)]` and exact; with
    them, d = 2, for their dictionary.

    ``k`` is (..., d), ``t`` a scalar. Returns value and standard error, both float64 (...).
    Raises `InvalidInputError` for ``t <= 0``, ``K < 0`` or, with patches, d other than 2.
    """
    levels = noise_levels(positive_time(t), schedule)
    alpha, sigma2, beta = levels
    bare, coupling = -0.5 + 1.0 / sigma2, (alpha / sigma2) ** 2
    if patches is None:
        symbol = hypercube_symbol(k, K)
        volume = hypercube_volume(K, np.shape(k)[-1])
        value = beta * (bare - coupling * mean_sech2(coupling * volume) * symbol)
        return Estimate(value, np.zeros_like(value))
    symbols = pattern_symbols(patches.dictionary, k) @ patches.gains(levels).T
    error = standard_error(symbols, axis=-1)
    return Estimate(beta * (bare - coupling * symbols.mean(axis=-1)), beta * coupling * error)
