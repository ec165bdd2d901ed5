"""The linear response of a dictionary's posterior mean at x = 0, and the mode that it softens first."""

import math

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from ..dictionary import PatchDictionary

__all__ = ["central_gains", "first_softening", "have_one_norm", "largest_coupling"]

# Integrals of beta, from the largest at which a mode may soften down, between which two crossings would be missed.
_SCANNED = 129


def central_gains(dictionary: PatchDictionary, alpha: ArrayLike, sigma2: ArrayLike) -> NDArray[np.float64]:
    r"""The gains :math:`G_n = w_n (c_n - m)` at x = 0, (..., K) for noise levels of shape (...).

    The posterior weights at x = 0 are :math:`w_n \propto \pi_n \exp(-\alpha^2\|p_n\|^2 / 2\sigma^2)`; where all
    norms agree they are the prior at every t.
    """
    signal = np.asarray(alpha, dtype=np.float64) ** 2 / np.asarray(sigma2, dtype=np.float64)
    weights = softmax(np.log(dictionary.prior) - 0.5 * signal[..., None] * dictionary.squared_norms, axis=-1)
    centers = dictionary.centers
    return np.asarray(weights * (centers - (weights @ centers)[..., None]))


def largest_coupling(dictionary: PatchDictionary, alpha: float, sigma2: float) -> float:
    r"""The largest :math:`\sum_n G_n \sum_u p_n(u) \cos(q\cdot u)` over all q; 25 for two uniform 5 x 5 patterns."""
    # Imported here because a run that is only simulated needs no solver of SciPy's.
    from scipy.optimize import minimize

    kernel = _kernel(dictionary, alpha, sigma2)
    reach = np.arange(-dictionary.radius, dictionary.radius + 1)

    def coupling(q: NDArray[np.float64]) -> float:
        return float((kernel * np.cos(q[0] * reach[:, None] + q[1] * reach)).sum())

    # Eight points a shortest wavelength, and from the highest of them uphill.
    size = 8 * dictionary.size
    padded = np.pad(kernel, (0, size - dictionary.size))
    grid = scipy.fft.fft2(np.roll(padded, (-dictionary.radius, -dictionary.radius), (0, 1))).real
    start = 2.0 * np.pi / size * np.array(np.unravel_index(int(np.argmax(grid)), grid.shape))
    found = minimize(lambda q: -coupling(q), start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    return max(float(grid.max()), float(-found.fun))


def _kernel(dictionary: PatchDictionary, alpha: float, sigma2: float) -> NDArray[np.float64]:
    """sum_n G_n p_n(u), (P, P)."""
    if have_one_norm(dictionary):
        # The weights are the prior's.
        pattern, second = dictionary.moments
        centre = dictionary.radius
        return np.asarray(second[centre, centre] - pattern[centre, centre] * pattern)
    return np.asarray(np.tensordot(central_gains(dictionary, alpha, sigma2), dictionary.patterns, axes=1))


def have_one_norm(dictionary: PatchDictionary) -> bool:
    """Whether all patterns agree in norm, so that the posterior weights at x = 0 are the prior's at every t."""
    return bool(np.ptp(dictionary.squared_norms) <= 1e-12 * dictionary.squared_norms.max())


def first_softening(dictionary: PatchDictionary) -> float:
    r"""The largest integral of beta at which the score's Jacobian at x = 0 loses its definite sign along some wave.

    It solves :math:`\sigma^2 = \alpha^2 g` with g of `largest_coupling`: log(1 + g) where all patterns have one norm.
    nan where no mode softens.
    """

    from scipy.optimize import brentq

    def excess(rate: float) -> float:
        return rate - math.log1p(max(largest_coupling(dictionary, math.exp(-0.5 * rate), -math.expm1(-rate)), -0.5))

    if have_one_norm(dictionary):
        coupling = largest_coupling(dictionary, 0.0, 1.0)
        return math.log1p(coupling) if coupling > 1e-12 * float(dictionary.squared_norms.max()) else math.nan
    pixels = np.abs(dictionary.patterns)
    # No weights make the coupling larger.
    upper = math.log1p(2.0 * float(np.abs(dictionary.centers).max() * pixels.sum(axis=(1, 2)).max()))
    for lower in np.linspace(upper, 0.0, _SCANNED)[1:-1].tolist():
        if excess(lower) <= 0.0:
            return float(brentq(excess, lower, upper, xtol=1e-12))
        upper = lower
    return math.nan
