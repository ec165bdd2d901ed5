"""What models have in common whose posterior mean at a site depends on its P x P neighbourhood alone."""

from abc import abstractmethod
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from ..kernels.patch import ModeTables, line_overlaps
from ..validation import positive_time
from .closed_form import ClosedFormModel
from .jacobian import LocalJacobian

__all__ = ["LocalPosteriorModel", "pixel_patterns"]


def pixel_patterns(size: int) -> NDArray[np.float64]:
    """The patterns that are one pixel each, (P P, P, P), in row-major order."""
    return np.eye(size * size).reshape(-1, size, size)


class LocalPosteriorModel(ClosedFormModel):
    """Derivatives along all modes from the response to the pixels of a neighbourhood."""

    @abstractmethod
    def response(self, x: NDArray[Any], t: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Fields H (B, U, L1, L2) and patterns p (U, P, P) with ``dm_i/dx_{i+u} = alpha/sigma^2 sum_k H_k(i) p_k(u)``.

        ``x`` (B, L1, L2) is not checked.
        """

    def jacobian(self, x: ArrayLike, t: float) -> LocalJacobian:
        r"""The drift's whole Jacobian :math:`\partial b_i/\partial x_j` at x (..., L1, L2), exact, in closed form.

        It holds P^2 float64 fields a field of x. Raises what `drift` raises, and `InvalidInputError` where a subclass
        overrides the posterior mean, the score or the drift.
        """
        self._refuse_overridden("Jacobian", "posterior_mean", "score", "drift")
        field, batch = self._batch(x)
        time = positive_time(t)
        sigma2, rate = self.schedule.sigma2(time), self.schedule.rate(time)
        windows = -rate * (self.schedule.alpha(time) / sigma2) ** 2 * self._windows(batch, time)
        centre = windows.shape[1] // 2
        windows[:, centre, centre] += rate * (-0.5 + 1.0 / sigma2)
        return LocalJacobian(windows.reshape(*field.shape[:-2], *windows.shape[1:]))

    def jvp(self, x: ArrayLike, t: float, v: ArrayLike) -> NDArray[np.float64]:
        """(db/dx) v, float64, for directions v that broadcast against x (..., L1, L2); many at once: `jacobian`."""
        return self.jacobian(x, t) @ v

    def vjp(self, x: ArrayLike, t: float, w: ArrayLike) -> NDArray[np.float64]:
        """(db/dx)^T w, as `jvp`: the patch score is no gradient, so its Jacobian is not symmetric."""
        return self.jacobian(x, t).transposed(w)

    def posterior_variance(self, x: ArrayLike, t: float) -> NDArray[Any]:
        r"""Variance of the centre pixel in the posterior at every site, same shape and dtype as ``x``.

        :math:`\sum_k w_k c_k^2 - m^2`, without cancellation where the posterior has locked. Its mean over sites is the
        machine's denoising error, MMSE a site, and :math:`\frac{\alpha^2}{\sigma^2}` times it the information that is
        decided per unit of log(sigma/alpha). Raises `InvalidInputError` where a subclass overrides the posterior mean.
        """
        self._refuse_overridden("posterior variance", "posterior_mean")
        field, batch = self._batch(x)
        windows = self._windows(batch, positive_time(t))
        centre = windows.shape[1] // 2
        variance = windows[:, centre, centre]
        return np.asarray(variance.reshape(field.shape), dtype=field.dtype)

    def _windows(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        """Covariance of the centre pixel with every pixel of the patch in the posterior, (B, P, P, L1, L2)."""
        fields, patterns = self.response(x, t)
        return np.asarray(np.einsum("bkij,kuv->buvij", fields, patterns, optimize=True))

    def _slope(self, t: float) -> float:
        return float(self.schedule.alpha(t) / self.schedule.sigma2(t))

    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        fields, patterns = self.response(x, t)
        return line_overlaps(ModeTables(patterns, (x.shape[-2], x.shape[-1]), shells, diagonal), fields)

    def _spectrum_overlap(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        # With v = cos(q i): sum_i v_i H_k(i) v_{i+u} = [cos(q u) (F(0) + Re F(2q)) - sin(q u) Im F(2q)] / 2,
        # F(2q) = sum_i H_k(i) exp(2 i q i). One FFT of H_k holds F at every q.
        height, width = x.shape[-2:]
        half = width // 2 + 1
        rows, columns = (2 * np.arange(height)) % height, (2 * np.arange(half)) % width
        fields, patterns = self.response(x, t)
        radius = patterns.shape[-1] // 2
        offset = np.arange(-radius, radius + 1)
        along_rows = np.exp(2j * np.pi * np.outer(np.arange(height), offset) / height)
        along_columns = np.exp(2j * np.pi * np.outer(np.arange(half), offset) / width)
        total = np.zeros((height, half))
        for pattern, field in zip(patterns, fields[0], strict=True):
            transform = np.conj(scipy.fft.fft2(field))
            symbol = along_rows @ pattern @ along_columns.T
            doubled = transform[np.ix_(rows, columns)]
            total += 0.5 * (symbol.real * (transform[0, 0].real + doubled.real) - symbol.imag * doubled.imag)
        standing = (rows[:, None] == 0) & (columns[None, :] == 0)
        return np.asarray(total / (0.5 * height * width * (1.0 + standing)))
