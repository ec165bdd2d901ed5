"""The Gaussian field of a given spectrum, which has every reading of softening and no transition."""

import math
from hashlib import sha256
from typing import Any, Literal, Self, get_args

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from ..dictionary import PatchDictionary
from ..errors import DtypeError, InvalidInputError
from ..process import VPSchedule
from ..validation import floating_field, lattice_shape, plain_array, real_array
from .closed_form import ClosedFormModel

__all__ = ["GaussianModel"]

Covariance = Literal["patch-average", "centre"]


class GaussianModel(ClosedFormModel):
    r"""Data :math:`x_0 = \mu + f` with f a stationary Gaussian field of spectrum S_0(k) on a periodic lattice.

    .. math:: \hat m = \hat\mu + \frac{\alpha S_0}{\sigma^2 + \alpha^2 S_0}\,(\hat x - \alpha\hat\mu), \qquad
              \hat s = -\frac{\hat x - \alpha\hat\mu}{\sigma^2 + \alpha^2 S_0}, \qquad
              \lambda(k, t) = \beta\Bigl[-\frac12 + \frac1{\sigma^2 + \alpha^2 S_0(k)}\Bigr]

    All is linear and log-concave at every t: no symmetry breaks. Nevertheless lambda_0 vanishes, where the integral of
    beta is log(S_0(0) - 1), and xi_eq diverges there. A reading that this model shows as well is no evidence of a
    transition, which makes it the null model of matched second moments: see `from_dictionary` and `from_images`.

    Parameters
    ----------
    spectrum
        S_0, finite numbers >= 0 (L1, L2 // 2 + 1), the wave vectors of `numpy.fft.rfft2`; white noise of unit variance
        has S_0 = 1, and the mean of S_0 over the whole plane is the variance of a site. S_0(-k) = S_0(k), which the
        first column can violate, and the last one where L2 is even. The number of columns leaves open whether it is.
    schedule
        The forward process; ``VPSchedule()`` by default.
    mean
        mu: a number, or a field (L1, L2).

    Raises `InvalidInputError` or `DtypeError` for anything else.
    """

    data_spectrum: NDArray[np.float64]
    mean: NDArray[np.float64]

    def __init__(self, spectrum: ArrayLike, schedule: VPSchedule | None = None, *, mean: ArrayLike = 0.0) -> None:
        values = plain_array(spectrum, "spectrum")
        values = floating_field(values.astype(np.float64) if values.dtype.kind in "iu" else values, "spectrum")
        if values.ndim != 2:
            raise InvalidInputError(f"spectrum has shape {values.shape}; expected (L1, L2 // 2 + 1)")
        if not (values >= 0.0).all():
            at = tuple(map(int, np.argwhere(values < 0.0)[0]))
            raise InvalidInputError(f"spectrum holds {values[at]} at index {at}; expected powers >= 0")
        S_0 = values.astype(np.float64)
        if not _is_even(S_0[:, 0]):
            raise InvalidInputError("spectrum differs between k and -k in its first column; expected an even spectrum")
        if schedule is not None and not isinstance(schedule, VPSchedule):
            raise DtypeError(f"schedule is a {type(schedule).__name__}; expected a VPSchedule")
        centre = real_array(mean, "mean")
        if not np.isfinite(centre).all():
            raise InvalidInputError("mean holds NaN or infinite values; expected finite numbers")
        fits = centre.ndim == 0 or (centre.ndim == 2 and _half_plane(centre.shape) == S_0.shape)
        if not fits:
            raise InvalidInputError(f"mean has shape {centre.shape}; expected a number or a field on the lattice")
        self.data_spectrum, self.mean = S_0, centre
        self.data_spectrum.setflags(write=False)
        self.mean.setflags(write=False)
        self.schedule = VPSchedule() if schedule is None else schedule

    @classmethod
    def from_dictionary(
        cls,
        dictionary: PatchDictionary,
        shape: tuple[int, int] = (80, 80),
        schedule: VPSchedule | None = None,
        *,
        covariance: Covariance = "patch-average",
    ) -> Self:
        r"""The Gaussian null of a dictionary of P x P patterns on a lattice.

        The second moments inside a patch, :math:`\sum_k \pi_k p_k(u) p_k(v)`, are in general those of no stationary
        field: they depend on u and v, and where only uniform patterns had weight, one uniform lattice would be the only
        such field. Two stationary readings of them are offered:

        ``"patch-average"`` (default)
            The mean over all pairs of pixels at the displacement d, of which those cut off by the patch's edge count as
            uncorrelated. Its spectrum is the mean periodogram of the patterns,

            .. math:: S_0(k) = \frac1{P^2}\sum_k \pi_k \Bigl|\sum_u (p_k(u) - \mu) e^{ik\cdot u}\Bigr|^2,

            positive without any treatment. Where the mean pattern is uniform, as in a symmetric dictionary, it is that
            of a tiling of independent patterns with a random origin. The variance of a site is that of the pixels.
        ``"centre"``
            The covariance of the centre pixel with the others, :math:`\sum_k \pi_k (c_k - \bar c) p_k(u)`, even part:
            the linear response of the patch machine at x = 0. Its spectrum agrees with the machine's dispersion at
            large t wherever it is positive; elsewhere it is set to 0, which raises the variance of a site.

        ``mean`` is the patterns' mean pixel (their mean centre pixel). Raises `InvalidInputError` for a lattice smaller
        than a pattern or an unknown reading.
        """
        if not isinstance(dictionary, PatchDictionary):
            raise DtypeError(f"dictionary is a {type(dictionary).__name__}; expected a PatchDictionary")
        height, width = lattice_shape(shape)
        if min(height, width) < dictionary.size:
            raise InvalidInputError(
                f"the lattice is {height}x{width}; expected sides of at least the pattern size {dictionary.size}"
            )
        if covariance not in get_args(Covariance):
            raise InvalidInputError(
                f"covariance is {covariance!r}; expected one of {', '.join(map(repr, get_args(Covariance)))}"
            )
        pattern, second = dictionary.moments
        if covariance == "patch-average":
            mean = float(pattern.mean())
            around = second - mean * (pattern[:, :, None, None] + pattern - mean)
            # sum_uv <p(u) p(v)> exp(i k . (u - v)), one axis after the other.
            rows, columns = (_phases(2.0 * np.pi * k, dictionary.size) for k in _frequencies(height, width))
            half = np.einsum("au,uvwx,aw->avx", rows, around, rows.conj(), optimize=True)
            power = np.einsum("bv,avx,bx->ab", columns, half, columns.conj(), optimize=True)
            spectrum = np.maximum(power.real, 0.0) / dictionary.size**2
        else:
            centre = dictionary.radius
            mean = float(pattern[centre, centre])
            kernel = second[centre, centre] - mean * pattern
            centred = np.roll(_padded(kernel, (height, width)), (-centre, -centre), (0, 1))
            spectrum = np.maximum(scipy.fft.rfft2(centred).real, 0.0)
        return cls(spectrum, schedule, mean=mean)

    @classmethod
    def from_images(cls, images: ArrayLike, schedule: VPSchedule | None = None, *, uniform_mean: bool = False) -> Self:
        """The Gaussian null of a data set: its mean image and the translation-averaged spectrum of what is left.

        ``images`` is (n, L1, L2), n >= 2, real numbers: S_0 is the periodogram of the deviations from the mean image,
        or with ``uniform_mean`` from the mean pixel, averaged over images without bias for stationary fields: n - 1 is
        in the denominator of every wave that the mean can hold, which of a mean pixel is k = 0 alone, and n in the
        others'. Images are taken as periodic: what wraps around differs from the data. Raises `InvalidInputError` or
        `DtypeError` for other arrays.
        """
        found = plain_array(images, "images")
        fields = floating_field(found.astype(np.float64) if found.dtype.kind in "iub" else found, "images")
        if fields.ndim != 3 or len(fields) < 2:
            raise InvalidInputError(f"images has shape {fields.shape}; expected (n, L1, L2) with n >= 2")
        mean: NDArray[np.float64] = fields.mean(axis=0, dtype=np.float64)
        if uniform_mean:
            mean = np.asarray(mean.mean())
        total = np.zeros(_half_plane(fields.shape[1:]))
        for first in range(0, len(fields), 256):
            block = fields[first : first + 256].astype(np.float64) - mean
            total += np.square(np.abs(scipy.fft.rfft2(block))).sum(axis=0)
        freedom = np.full(total.shape, len(fields) if uniform_mean else len(fields) - 1)
        freedom[0, 0] = len(fields) - 1
        return cls(total / (freedom * fields[0].size), schedule, mean=mean)

    def __repr__(self) -> str:
        height, columns = self.data_spectrum.shape
        return f"GaussianModel(spectrum {height}x{columns}, S_0(0) = {self.data_spectrum[0, 0]:.4g}, {self.schedule!r})"

    @property
    def Omega(self) -> float:
        """The largest S_0, by which the data term at large t multiplies the mode that softens first."""
        return float(self.data_spectrum.max())

    @property
    def critical_time(self) -> float:
        """Where lambda_0 vanishes, coming from large t; nan unless S_0(0) > 2. Nothing becomes critical there."""
        excess = float(self.data_spectrum[0, 0]) - 1.0
        return self.schedule.time_of(math.log(excess)) if excess > 1.0 else math.nan

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Independent fields of this Gaussian around its mean image, (count, L1, L2).

        Raises `InvalidInputError` where the mean is a number, which fixes no lattice.
        """
        if self.mean.ndim == 0:
            raise InvalidInputError("the mean is a number; expected an image, whose lattice the fields have")
        signal = scipy.fft.rfft2(rng.standard_normal((count, *self.mean.shape)))
        return np.asarray(self.mean + scipy.fft.irfft2(np.sqrt(self.data_spectrum) * signal, s=self.mean.shape))

    def structure_factor(self, t: float) -> NDArray[np.float64]:
        r"""S(k, t) = sigma^2 + alpha^2 S_0(k), the spectrum of x(t) around its mean, (L1, L2 // 2 + 1)."""
        return np.asarray(self.schedule.sigma2(t) + self.schedule.alpha(t) ** 2 * self.data_spectrum)

    def describe(self) -> dict[str, Any]:
        return {
            "type": "GaussianModel",
            "spectrum": list(self.data_spectrum.shape),
            "digest": sha256(self.data_spectrum.tobytes() + self.mean.tobytes()).hexdigest(),
            "beta": self.schedule.name,
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        found: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]] = {
            "data_spectrum": (("ky_index", "kx_index"), self.data_spectrum),
            "data_mean": ((), self.mean) if self.mean.ndim == 0 else (("y", "x"), self.mean),
        }
        return found

    def check_lattice(self, shape: tuple[int, int]) -> None:
        height, columns = self.data_spectrum.shape
        if _half_plane(shape) != (height, columns) or (self.mean.ndim == 2 and self.mean.shape != shape):
            width = self.mean.shape[1] if self.mean.ndim == 2 else f"{2 * columns - 2} or {height}x{2 * columns - 1}"
            raise InvalidInputError(f"the lattice is {shape[0]}x{shape[1]}; expected the spectrum's {height}x{width}")
        if shape[1] % 2 == 0 and not _is_even(self.data_spectrum[:, -1]):
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}, on which the spectrum's last column differs between k and -k; "
                "expected an even one, or an odd number of columns"
            )

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        alpha = self.schedule.alpha(t)
        return np.asarray(self.mean + self._filtered(x - alpha * self.mean, alpha * self.data_spectrum, t))

    def _score(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        # Not by way of the posterior mean, whose rounding errors sigma^2 would divide.
        return -self._filtered(x - self.schedule.alpha(t) * self.mean, np.ones(1), t)

    def _filtered(self, x: NDArray[np.float64], numerator: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        transform = scipy.fft.rfft2(x)
        transform *= numerator / self.structure_factor(t)
        return np.asarray(scipy.fft.irfft2(transform, s=x.shape[-2:]))

    def _overlaps(self, t: float) -> NDArray[np.float64]:
        return np.asarray(self.schedule.sigma2(t) * self.data_spectrum / self.structure_factor(t))

    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        (height, width), overlap = x.shape[-2:], self._overlaps(t)
        rows, columns = shells % height, shells % width
        # cos is even, so a wave number past the half plane is read at its mirror image.
        folded = np.minimum(columns, width - columns)
        parts = [overlap[rows, 0], overlap[0, folded]]
        if diagonal:
            parts.append(overlap[np.where(columns > width // 2, (-rows) % height, rows), folded])
        return np.broadcast_to(np.stack(parts), (len(x), len(parts), len(shells)))

    def _spectrum_overlap(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        return self._overlaps(t)


def _half_plane(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[-2], shape[-1] // 2 + 1


def _is_even(column: NDArray[np.float64]) -> bool:
    """Whether values over k1 in FFT order agree with those at -k1."""
    return bool(np.allclose(column, np.roll(column[::-1], 1), rtol=1e-6, atol=1e-6 * float(column.max())))


def _frequencies(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return scipy.fft.fftfreq(height), scipy.fft.rfftfreq(width)


def _phases(k: NDArray[np.float64], size: int) -> NDArray[np.complex128]:
    """exp(i k u) for u = 0 … size - 1, (len(k), size)."""
    return np.asarray(np.exp(1j * np.multiply.outer(k, np.arange(size))))


def _padded(patterns: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    height, width = (side - patterns.shape[-1] for side in shape)
    return np.pad(patterns, [(0, 0)] * (patterns.ndim - 2) + [(0, height), (0, width)])
