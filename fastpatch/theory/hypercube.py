"""The hyper-cubic neighbourhood Omega = {u in Z^d : |u_mu| <= K} of Sec. 5 and its Fourier symbol."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..process import VPSchedule
from ..validation import integer, positive_time
from ._inputs import PAPER_SCHEDULE, noise_levels, wave_vectors

__all__ = ["c_omega", "hypercube_offsets", "hypercube_symbol", "hypercube_volume", "kernel_eq14"]


def hypercube_volume(K: int = 2, d: int = 2) -> int:
    r"""Number of sites :math:`|\Omega| = (2K+1)^d`; 25 for the paper's 5 x 5 patch.

    Raises `InvalidInputError` unless ``K >= 0`` and ``d >= 1``.
    """
    return int((2 * integer(K, "K", minimum=0) + 1) ** integer(d, "d", minimum=1))


def c_omega(K: int = 2, d: int = 2) -> float:
    r"""The geometric constant of eq. 24, exact for a hypercube.

    .. math:: c_\Omega = \tfrac12 \sum_{u\in\Omega} u_1^2 = \frac{K(K+1)}{6}(2K+1)^d

    It is the coefficient in :math:`\sum_{u\in\Omega} x_{i+u} \approx |\Omega| x_i + c_\Omega \nabla^2 x_i`
    (Sec. 5.1, which writes kappa where this constant belongs) and in :math:`\hat\Omega(k) = |\Omega| - c_\Omega |k|^2`.
    Raises `InvalidInputError` unless ``K >= 0`` and ``d >= 1``.
    """
    return K * (K + 1) * hypercube_volume(K, d) / 6.0


def hypercube_offsets(K: int = 2, d: int = 2) -> NDArray[np.int64]:
    """Every u of Omega, (|Omega|, d), int64, in lexicographic order."""
    side = 2 * integer(K, "K", minimum=0) + 1
    return np.indices((side,) * integer(d, "d", minimum=1), dtype=np.int64).reshape(d, -1).T - K


def hypercube_symbol(k: ArrayLike, K: int = 2) -> Any:
    r"""The Fourier symbol of Omega, eq. 16's product.

    .. math:: \hat\Omega(k) = \sum_{u\in\Omega} e^{ik\cdot u}
              = \prod_{\mu=1}^d \frac{\sin((K+\frac12)k_\mu)}{\sin(k_\mu/2)}

    ``k`` is (..., d) in radians per site; returns (...), real; each factor is 2K + 1 at k_mu = 0 (mod 2 pi).
    Raises `InvalidInputError` or `DtypeError` for a ``k`` without axes or not finite and real, or ``K < 0``.
    """
    harmonics = np.arange(1, integer(K, "K", minimum=0) + 1)
    # The quotient of sines as the cosine sum it is: no singularity, and accurate to rounding at every k.
    factors = 1.0 + 2.0 * np.cos(wave_vectors(k)[..., None] * harmonics).sum(axis=-1)
    return np.prod(factors, axis=-1)


def kernel_eq14(t: float, *, K: int = 2, d: int = 2, schedule: VPSchedule = PAPER_SCHEDULE) -> NDArray[np.float64]:
    r"""Eq. 14 as printed, as a convolution kernel :math:`J_{ij} = K_t(j - i)` of shape (2K+1,) * d.

    .. math:: K_t(u) = -\Bigl(\frac12 + \frac1{\sigma^2}\Bigr)\delta_{u0}
              + \frac{\alpha^2}{\sigma^4} \mathbb I(u\in\Omega)

    Index ``[K, ..., K]`` is u = 0. The printed form has the opposite overall sign of the Jacobian of the drift
    b = -x/2 - s and, beyond that, the wrong sign of its 1/2; `drift_kernel` is exact.
    Raises `InvalidInputError` for ``t <= 0``, ``K < 0`` or ``d < 1``.
    """
    alpha, sigma2, _ = noise_levels(positive_time(t), schedule)
    size = hypercube_volume(K, d)
    kernel = np.full(size, (alpha / sigma2) ** 2)
    kernel[size // 2] -= 0.5 + 1.0 / sigma2
    return kernel.reshape((2 * K + 1,) * d)
