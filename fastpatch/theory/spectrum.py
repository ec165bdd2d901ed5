r"""Dispersion relations around x = 0 (Sec. 5): the printed eqs. 15-16, and the exact one for any dictionary.

Signs. The exact Jacobian is that of b = beta (-x/2 - s), which the reverse process integrates backwards in time: a
mode with lambda < 0 grows. The printed forms have the opposite sign, that of the growth rate, with +1/2 for -1/2.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionary import PatchDictionary
from ..errors import InvalidInputError
from ..models.linear_response import central_gains
from ..process import VPSchedule
from ..validation import finite_array, positive_time
from ._inputs import PAPER_SCHEDULE, noise_levels, of_type, wave_vectors
from .hypercube import hypercube_symbol

__all__ = ["dispersion", "dispersion_eq15", "dispersion_eq16", "drift_kernel"]


def dispersion_eq15(k: ArrayLike, t: ArrayLike, offsets: ArrayLike, *, schedule: VPSchedule = PAPER_SCHEDULE) -> Any:
    r"""Eq. 15 as printed, for any neighbourhood Omega = -Omega.

    .. math:: \lambda(k, t) = -\Bigl(\frac12 + \frac1{\sigma^2}\Bigr)
              + \frac{\alpha^2}{\sigma^4} \sum_{u\in\Omega} e^{ik\cdot u}

    ``k`` (..., d) in radians per site, ``offsets`` (n, d) the sites u, ``t`` broadcasting against (...).
    Returns float64 (...), real because Omega is symmetric.
    Raises `InvalidInputError` for ``t <= 0`` or an Omega that is not symmetric or lists a site twice.
    """
    sites = finite_array(offsets, "offsets", minimum_ndim=2)
    vectors = wave_vectors(k, sites.shape[-1])
    listed = {tuple(u) for u in sites}
    if len(listed) != len(sites) or {tuple(-u) for u in sites} != listed:
        raise InvalidInputError(f"offsets lists {len(sites)} sites; expected each once, and -u for every u")
    alpha, sigma2, _ = noise_levels(t, schedule)
    return -(0.5 + 1.0 / sigma2) + (alpha / sigma2) ** 2 * np.cos(vectors @ sites.T).sum(axis=-1)


def dispersion_eq16(k: ArrayLike, t: ArrayLike, *, K: int = 2, schedule: VPSchedule = PAPER_SCHEDULE) -> Any:
    r"""Eq. 16 as printed: eq. 15 for the hypercube |u_mu| <= K, with its sum in closed form.

    .. math:: \lambda(k, t) = -\Bigl(\frac12 + \frac1{\sigma^2}\Bigr)
              + \frac{\alpha^2}{\sigma^4} \prod_\mu \frac{\sin((K+\frac12)k_\mu)}{\sin(k_\mu/2)}

    ``k`` (..., d) in radians per site, any d; ``t`` broadcasts against (...). Returns float64 (...).
    Raises `InvalidInputError` for ``t <= 0`` or ``K < 0``.
    """
    alpha, sigma2, _ = noise_levels(t, schedule)
    return -(0.5 + 1.0 / sigma2) + (alpha / sigma2) ** 2 * hypercube_symbol(k, K)


def dispersion(
    k: ArrayLike,
    t: ArrayLike,
    *,
    K: int = 2,
    dictionary: PatchDictionary | None = None,
    schedule: VPSchedule = PAPER_SCHEDULE,
) -> Any:
    r"""The exact mean-field dispersion: eigenvalues of the drift's Jacobian at x = 0, their real part.

    .. math:: \lambda(k, t) = \beta\Bigl[-\frac12 + \frac1{\sigma^2} - \frac{\alpha^2}{\sigma^4} \hat G(k)\Bigr]

    Without a dictionary G is the hypercube's symbol (two uniform patterns, any d). With one,
    :math:`\hat G(k) = \sum_n w_n (c_n - m) \sum_u p_n(u) \cos(k\cdot u)`, with c_n the centre pixels, w_n the
    posterior weights at x = 0 (the prior, corrected for unequal norms) and m the mean of the c_n; d is then 2.

    Parameters
    ----------
    k : (..., d) wave vectors in radians per site.
    t : scalar or array of times that broadcasts against (...).
    K : reach of the hypercube; not used with a dictionary.

    Returns float64 (...). It is also the Rayleigh quotient of a cosine mode. A dictionary's kernel need not be even
    in u, so the eigenvalue may have an imaginary part: `kernel_symbol` of `drift_kernel` gives both. Not checked: that
    x = 0 is a fixed point, which it is for a Z2-symmetric dictionary.
    Raises `InvalidInputError` for ``t <= 0``, ``K < 0`` or, with a dictionary, d other than 2.
    """
    alpha, sigma2, beta = noise_levels(t, schedule)
    if dictionary is None:
        symbol = hypercube_symbol(k, K)
    else:
        of_type(dictionary, "dictionary", PatchDictionary)
        symbol = (central_gains(dictionary, alpha, sigma2) * pattern_symbols(dictionary, k)).sum(axis=-1)
    return beta * (-0.5 + 1.0 / sigma2 - (alpha / sigma2) ** 2 * symbol)


def drift_kernel(
    t: float, dictionary: PatchDictionary, *, schedule: VPSchedule = PAPER_SCHEDULE
) -> NDArray[np.float64]:
    r"""The drift's Jacobian at x = 0 as a convolution kernel, :math:`\partial b_i/\partial x_{i+u} = K_t(u)`.

    Shape (P, P), float64; index ``[R, R]`` is u = 0. Exact, for any dictionary; the kernel of `dispersion`.
    Raises `InvalidInputError` for ``t <= 0``.
    """
    alpha, sigma2, beta = noise_levels(positive_time(t), schedule)
    of_type(dictionary, "dictionary", PatchDictionary)
    gains = central_gains(dictionary, alpha, sigma2)
    kernel = -beta * (alpha / sigma2) ** 2 * np.tensordot(gains, dictionary.patterns, axes=1)
    kernel[dictionary.radius, dictionary.radius] += beta * (-0.5 + 1.0 / sigma2)
    return np.asarray(kernel)


def pattern_symbols(dictionary: PatchDictionary, k: ArrayLike) -> NDArray[np.float64]:
    r"""The real Fourier symbols :math:`\sum_u p_n(u) \cos(k\cdot u)` of all patterns, (..., K) for k (..., 2)."""
    vectors = wave_vectors(k, 2)
    reach = np.arange(-dictionary.radius, dictionary.radius + 1)
    phases = vectors[..., :1, None] * reach[:, None] + vectors[..., 1:, None] * reach
    return np.asarray(np.einsum("nuv,...uv->...n", dictionary.patterns, np.cos(phases)))
