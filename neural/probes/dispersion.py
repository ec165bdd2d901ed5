r"""Local dispersion lambda(k, t) of a network, and how far its Jacobian is from a convolution (App. B, measured).

In the basis of plane waves, :math:`\tilde J = F J F^\dagger` with F the unitary Fourier transform, a
translation-equivariant Jacobian, as App. B assumes it, is diagonal: :math:`\tilde J_{kk} = \lambda(k)`. A trained
network's is not. Its diagonal is then the dispersion of the convolution nearest to J in the Frobenius norm, the average
of the responses over all sites, and the power off the diagonal is what that convolution leaves out.

**Estimator.** A random-phase probe z is a real field with :math:`|\hat z_k| = 1` at every wave vector and independent
uniform phases (random signs where k = -k). One product with the transposed Jacobian, a backward pass, gives at all k at
once

.. math:: r(k) = \overline{\Bigl(\frac{(F J^\top z)_k}{\hat z_k}\Bigr)}
               = \tilde J_{kk} + \sum_{q\ne k} \tilde J_{qk}\,\frac{\hat z_k}{\hat z_q}.

The sum has mean zero and variance :math:`P(k) = \sum_{q\ne k} |\tilde J_{qk}|^2`. So the mean of r over S probes is
unbiased with the standard error sqrt(P(k)/S), its sample variance is an unbiased estimate of the off-diagonal power,
and for an equivariant map a single probe is exact.

Plane waves wrap around. For a network that does not, sites at opposite borders count as neighbours that do not respond
to each other, which lowers the averaged response at displacement u by a factor of (1 - |u_y|/L1)(1 - |u_x|/L2).
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from ...process import VPSchedule
from ...validation import floating_field, integer, positive_time
from ..torch_model import TorchModel

__all__ = ["LocalDispersion", "data_term", "local_dispersion", "random_phase_probes"]


@dataclass(frozen=True, eq=False)
class LocalDispersion:
    """The diagonal of the drift's Jacobian in Fourier space, and what lies off it.

    Attributes
    ----------
    t : float
        The diffusion time.
    symbol : complex (..., L1, L2)
        Estimate of lambda(k) for every k in FFT order. Its real part is the growth rate of a mode (negative: it grows
        along the reverse run); an imaginary part makes patterns travel.
    off_diagonal : float64 (..., L1, L2)
        Unbiased estimate of P(k).
    probes : int
        Number S of probes behind both.
    """

    t: float
    symbol: NDArray[np.complex128]
    off_diagonal: NDArray[np.float64]
    probes: int

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard error of ``symbol``, real and imaginary part together, (..., L1, L2)."""
        return np.sqrt(self.off_diagonal / self.probes)

    def off_diagonal_share(self, schedule: VPSchedule) -> NDArray[np.float64]:
        r"""Share of the Jacobian's power that no convolution can represent, (...), from 0 to 1.

        .. math:: \frac{\sum_k P(k)}{\sum_k \bigl[|\hat A(k)|^2 + P(k)\bigr]}

        with A the data term (`data_term`): the rest of the Jacobian is a multiple of the identity, which is diagonal
        in any network and at small t would hide everything else. It is taken at given states: besides the network's own
        departure from equivariance (borders, strides) it contains that of the states, since also an equivariant drift
        responds differently where the field differs. `shift_defect` sees the network's alone.
        """
        # |mean of r|^2 exceeds |diagonal|^2 by the variance of the mean.
        diagonal = np.abs(data_term(self.symbol, schedule, self.t)) ** 2 - self.off_diagonal / self.probes
        off = self.off_diagonal.sum(axis=(-2, -1))
        return np.asarray(np.clip(off / (diagonal.sum(axis=(-2, -1)) + off), 0.0, 1.0))


def local_dispersion(model: TorchModel, x: ArrayLike, t: float, *, probes: int = 16, seed: int = 0) -> LocalDispersion:
    """Measure lambda(k) of the drift's Jacobian at the fields ``x`` (..., L1, L2), each on its own.

    Every field has ``probes`` >= 2 probes of its own, so that the errors of a mean over fields are independent. Costs
    one backward pass a field and probe. Raises `InvalidInputError` or `DtypeError` for unsuitable fields,
    times or numbers of probes.
    """
    field = floating_field(x)
    count = integer(probes, "probes", minimum=2)
    rng = np.random.default_rng(integer(seed, "seed", minimum=0))
    lattice = (field.shape[-2], field.shape[-1])
    z = random_phase_probes(lattice, math.prod(field.shape[:-2]) * count, rng).reshape(
        *field.shape[:-2], count, *lattice
    )
    responses = np.conj(scipy.fft.fft2(model.transposed_products(field, t, z)) / scipy.fft.fft2(z))
    symbol = responses.mean(axis=-3)
    off_diagonal = (np.abs(responses - symbol[..., None, :, :]) ** 2).sum(axis=-3) / (count - 1)
    return LocalDispersion(positive_time(t), symbol, off_diagonal, probes=count)


def random_phase_probes(shape: tuple[int, int], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Real fields (count, L1, L2) of unit power at every wave vector and random phases; their mean square is 1."""
    noise = scipy.fft.fft2(rng.standard_normal((count, *shape)))
    return np.asarray(scipy.fft.ifft2(noise / np.abs(noise), norm="ortho").real)


def data_term(symbol: NDArray[np.complex128], schedule: VPSchedule, t: float) -> NDArray[np.complex128]:
    r"""The symbol :math:`\hat A(k)` of what the data add to the drift's Jacobian.

    .. math:: J = \beta\Bigl(-\frac12 + \frac1{\sigma^2}\Bigr) I - A, \qquad
              A = \beta\,\frac{\alpha}{\sigma^2}\,\frac{\partial m}{\partial x}

    with m the posterior mean that the score implies; alpha^2/sigma^4 Omega at k = 0 for the theory of Sec. 5.
    """
    return np.asarray(schedule.rate(t) * (-0.5 + 1.0 / schedule.sigma2(t)) - symbol)
