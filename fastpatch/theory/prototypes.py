r"""Linear stability of the empirical score of M prototypes (Sec. 3, eqs. 3, 4 and 6).

The printed eqs. 3-6 absorb alpha(t) into the prototypes: to compare them with data prototypes ``mu``, pass
``schedule.alpha(t) * mu``. They print the growth rate of the *reverse* process, the negative of the Jacobian of
b = -x/2 - s (eq. 2), except that their 1/2 should then be -1/2. Eq. 6 also lacks the weight 1/M of each prototype:
for the two prototypes +-mu it gives twice eq. 4's rank-one term. `prototype_jacobian` is exact.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from ..errors import InvalidInputError
from ..process import VPSchedule
from ..validation import finite_array, positive_time
from ._inputs import PAPER_SCHEDULE, noise_levels

__all__ = [
    "LowRankSpectrum",
    "jacobian_eq4",
    "jacobian_eq6",
    "log_density_eq3",
    "prototype_jacobian",
    "prototype_spectrum",
    "spectrum_eq4",
    "spectrum_eq6",
]


class LowRankSpectrum(NamedTuple):
    """Eigen-decomposition of a multiple of the identity plus a symmetric matrix of low rank.

    ``bulk`` is the eigenvalue of the ``multiplicity``-dimensional rest; ``eigenvalues`` (n,) belong to the
    orthonormal ``eigenvectors`` (n, *lattice), the direction of largest prototype variance first.
    """

    bulk: float
    multiplicity: int
    eigenvalues: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]


def log_density_eq3(x: ArrayLike, mu: ArrayLike, t: float, *, schedule: VPSchedule = PAPER_SCHEDULE) -> float:
    r"""Eq. 3 without its constant, for the prototypes +-mu with equal weights.

    .. math:: -\frac{\|x\|^2}{2\sigma^2} + \log\cosh\frac{\langle\mu, x\rangle}{\sigma^2}

    The constant left out is :math:`-\frac N2\log(2\pi\sigma^2) - \|\mu\|^2/(2\sigma^2)`. ``mu`` has alpha(t) absorbed.
    ``x`` and ``mu`` are fields of the same shape; raises `InvalidInputError` if they are not, or for ``t <= 0``.
    """
    field, mean = finite_array(x, "x", minimum_ndim=1), finite_array(mu, "mu", minimum_ndim=1)
    if field.shape != mean.shape:
        raise InvalidInputError(f"x has shape {field.shape}; expected {mean.shape}, the shape of mu")
    sigma2 = noise_levels(positive_time(t), schedule).sigma2
    overlap = np.vdot(mean, field) / sigma2
    return float(-0.5 * np.vdot(field, field) / sigma2 + np.logaddexp(overlap, -overlap) - np.log(2.0))


def jacobian_eq4(mu: ArrayLike, t: float, *, schedule: VPSchedule = PAPER_SCHEDULE) -> NDArray[np.float64]:
    r"""Eq. 4 as printed, :math:`-(\frac12 + \sigma^{-2}) I + \sigma^{-4}\mu\mu^\top`, dense (N, N) with N = mu.size.

    ``mu`` has alpha(t) absorbed; see the module's note on signs. Raises `InvalidInputError` for ``t <= 0``.
    """
    return jacobian_eq6(finite_array(mu, "mu", minimum_ndim=1)[None], t, schedule=schedule)


def jacobian_eq6(prototypes: ArrayLike, t: float, *, schedule: VPSchedule = PAPER_SCHEDULE) -> NDArray[np.float64]:
    r"""Eq. 6 as printed, :math:`-(\frac12 + \sigma^{-2}) I + \sigma^{-4} \sum_m \mu_m\mu_m^\top`, dense (N, N).

    ``prototypes`` is (M, *lattice) with alpha(t) absorbed and N sites; see the module's note on signs and weights.
    Not checked: that the prototypes sum to zero, without which x = 0 is no fixed point.
    Raises `InvalidInputError` for ``t <= 0``.
    """
    flat = _flat(prototypes)
    sigma2 = noise_levels(positive_time(t), schedule).sigma2
    return np.asarray(-(0.5 + 1.0 / sigma2) * np.eye(flat.shape[1]) + flat.T @ flat / sigma2**2)


def spectrum_eq4(mu: ArrayLike, t: float, *, schedule: VPSchedule = PAPER_SCHEDULE) -> LowRankSpectrum:
    """Spectrum of `jacobian_eq4` without forming it: one eigenvalue along mu, the bulk (N - 1)-fold."""
    return spectrum_eq6(finite_array(mu, "mu", minimum_ndim=1)[None], t, schedule=schedule)


def spectrum_eq6(prototypes: ArrayLike, t: float, *, schedule: VPSchedule = PAPER_SCHEDULE) -> LowRankSpectrum:
    """Spectrum of `jacobian_eq6` from one thin SVD of the (M, N) prototypes; ``eigenvalues`` decrease."""
    entries = finite_array(prototypes, "prototypes", minimum_ndim=2)
    sigma2 = noise_levels(positive_time(t), schedule).sigma2
    return _spectrum(_flat(entries), entries.shape[1:], bulk=-(0.5 + 1.0 / sigma2), slope=1.0 / sigma2**2)


def prototype_jacobian(
    x: ArrayLike,
    prototypes: ArrayLike,
    t: float,
    *,
    weights: ArrayLike | None = None,
    schedule: VPSchedule = PAPER_SCHEDULE,
) -> NDArray[np.float64]:
    r"""The exact Jacobian of the drift b = beta (-x/2 - s) of eq. 2 at any ``x``, dense (N, N).

    .. math:: J = \beta\Bigl[\Bigl(-\frac12 + \frac1{\sigma^2}\Bigr) I
              - \frac{\alpha^2}{\sigma^4} \sum_m w_m (\mu_m - \bar\mu)(\mu_m - \bar\mu)^\top\Bigr]

    with the posterior weights w_m(x) of eq. 1 and their mean. Time runs backwards: directions with J < 0 grow.

    Parameters
    ----------
    x : one field of N sites.
    prototypes : (M, *x.shape); alpha is not absorbed.
    weights : (M,) positive prior weights, normalised on entry; uniform by default.

    Raises `InvalidInputError` for mismatched shapes, non-positive weights or ``t <= 0``.
    """
    alpha, sigma2, beta = noise_levels(positive_time(t), schedule)
    factor = _covariance_factor(x, prototypes, weights, alpha, sigma2)
    identity = np.eye(factor.shape[1])
    return np.asarray(beta * ((-0.5 + 1.0 / sigma2) * identity - (alpha / sigma2) ** 2 * factor.T @ factor))


def prototype_spectrum(
    x: ArrayLike,
    prototypes: ArrayLike,
    t: float,
    *,
    weights: ArrayLike | None = None,
    schedule: VPSchedule = PAPER_SCHEDULE,
) -> LowRankSpectrum:
    """Spectrum of `prototype_jacobian`, same arguments, without forming it; ``eigenvalues`` increase.

    At most M - 1 eigenvalues differ from the bulk. The first is the least stable direction of the reverse process.
    """
    alpha, sigma2, beta = noise_levels(positive_time(t), schedule)
    factor = _covariance_factor(x, prototypes, weights, alpha, sigma2)
    bulk = beta * (-0.5 + 1.0 / sigma2)
    return _spectrum(factor, np.shape(x), bulk=bulk, slope=-beta * (alpha / sigma2) ** 2)


def _flat(prototypes: ArrayLike) -> NDArray[np.float64]:
    entries = finite_array(prototypes, "prototypes", minimum_ndim=2)
    return entries.reshape(len(entries), -1)


def _covariance_factor(
    x: ArrayLike, prototypes: ArrayLike, weights: ArrayLike | None, alpha: float, sigma2: float
) -> NDArray[np.float64]:
    """F (M, N) with F^T F the posterior covariance of the prototypes at x."""
    field, means = finite_array(x, "x", minimum_ndim=1), finite_array(prototypes, "prototypes", minimum_ndim=2)
    if means.shape[1:] != field.shape:
        raise InvalidInputError(f"prototypes has shape {means.shape}; expected (M, {', '.join(map(str, field.shape))})")
    prior = np.ones(len(means)) if weights is None else finite_array(weights, "weights", minimum_ndim=1)
    if prior.shape != (len(means),) or not (prior > 0.0).all():
        raise InvalidInputError(f"weights is {prior}; expected {len(means)} positive numbers, one a prototype")
    flat = means.reshape(len(means), -1)
    # ||x||^2 is common to all and drops out.
    exponents = (alpha * flat @ field.ravel() - 0.5 * alpha**2 * np.einsum("mi,mi->m", flat, flat)) / sigma2
    posterior = softmax(np.log(prior) + exponents)
    return np.asarray(np.sqrt(posterior)[:, None] * (flat - posterior @ flat))


def _spectrum(factor: NDArray[np.float64], lattice: tuple[int, ...], *, bulk: float, slope: float) -> LowRankSpectrum:
    """Eigen-decomposition of bulk I + slope F^T F."""
    _, singular, directions = np.linalg.svd(factor, full_matrices=False)
    rank = int(np.count_nonzero(singular > singular[0] * max(factor.shape) * np.finfo(np.float64).eps))
    return LowRankSpectrum(
        bulk=float(bulk),
        multiplicity=factor.shape[1] - rank,
        eigenvalues=bulk + slope * singular[:rank] ** 2,
        eigenvectors=directions[:rank].reshape(rank, *lattice),
    )
