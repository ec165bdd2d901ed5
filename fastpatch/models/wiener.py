"""The best linear denoiser of whole images."""

import math
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from ..analysis.modes import fourier_modes
from ..errors import DtypeError, InvalidInputError
from ..image_patches import checked_images
from ..process import VPSchedule
from .closed_form import ClosedFormModel

__all__ = ["WienerModel", "checked_schedule"]

# Integrals of beta at which a sign change of lambda_0 is sought.
_SCANNED = 513


class WienerModel(ClosedFormModel):
    r"""The Wiener filter of a set of images, with their mean and full covariance C (no stationarity assumed).

    .. math:: m = \mu + \alpha C (\alpha^2 C + \sigma^2)^{-1} (x - \alpha\mu)

    The posterior mean of a Gaussian with these moments, and among linear denoisers the one of least squared error for
    data that have them. ``images`` is (N, L1, L2) or (N, 1, L1, L2), N >= 2, whose deviations from their mean make C,
    with N - 1 in the denominator; fields have their shape. Raises `InvalidInputError` or `DtypeError` for what does not
    fit.
    """

    def __init__(self, images: ArrayLike, schedule: VPSchedule | None = None) -> None:
        found, _, _ = checked_images(images, 1, "interior")
        self.schedule = checked_schedule(schedule)
        flat = _rows(found)
        self.mean: NDArray[np.float64] = flat.mean(axis=0, dtype=np.float64).reshape(found.shape[1:])
        self.covariance = _covariance(flat, self.mean.ravel())
        self._powers, self._axes = np.linalg.eigh(self.covariance)
        self._powers = np.maximum(self._powers, 0.0)

    def __repr__(self) -> str:
        return f"WienerModel(images of {self.mean.shape[0]}x{self.mean.shape[1]}, {self.schedule!r})"

    @property
    def Omega(self) -> float:
        """The largest eigenvalue of C."""
        return float(self._powers[-1])

    @property
    def critical_time(self) -> float:
        """Where lambda_0 vanishes first, coming from large t; nan where it does not. Nothing becomes critical there."""
        share = np.square(self._axes.sum(axis=0)) / self.mean.size

        def zero_mode(rate: float) -> float:
            return float(share @ (1.0 / (-math.expm1(-rate) + math.exp(-rate) * self._powers))) - 0.5

        if self._powers[-1] <= 2.0:
            return math.nan
        # Beyond, no direction has softened.
        upper = math.log(self._powers[-1] - 1.0)
        for lower in np.linspace(upper, 0.0, _SCANNED)[1:-1].tolist():
            if zero_mode(lower) <= 0.0:
                return self.schedule.time_of(brentq(zero_mode, lower, upper))
            upper = lower
        return math.nan

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Independent fields of the Gaussian with these moments, (count, L1, L2)."""
        normals = rng.standard_normal((count, self.mean.size))
        return np.asarray(self.mean + ((normals * np.sqrt(self._powers)) @ self._axes.T).reshape(-1, *self.mean.shape))

    def describe(self) -> dict[str, Any]:
        digest = sha256(self.mean.tobytes() + self.covariance.tobytes()).hexdigest()
        return {"type": "WienerModel", "moments": digest, "beta": self.schedule.name}

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        return {"mean_image": (("y", "x"), self.mean)}

    def check_lattice(self, shape: tuple[int, int]) -> None:
        if shape != self.mean.shape:
            height, width = self.mean.shape
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; expected that of the images, {height}x{width}"
            )

    def _gains(self, t: float) -> NDArray[np.float64]:
        """Of dm/dx along the principal axes, divided by alpha."""
        return np.asarray(
            self._powers / (self.schedule.alpha(t) ** 2 * self._powers + self.schedule.sigma2(t)), dtype=np.float64
        )

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        alpha = self.schedule.alpha(t)
        deviation = (x - alpha * self.mean).reshape(len(x), -1) @ self._axes
        return np.asarray(self.mean + ((alpha * self._gains(t) * deviation) @ self._axes.T).reshape(x.shape))

    def _overlaps(self, modes: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        """sigma^2/alpha v^T (dm/dx) v for modes (..., L1, L2)."""
        along = modes.reshape(-1, self.mean.size) @ self._axes
        overlaps = self.schedule.sigma2(t) * (along**2 @ self._gains(t))
        return np.asarray(overlaps.reshape(modes.shape[:-2]))

    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        modes = fourier_modes(self.mean.shape, shells, diagonal=diagonal)
        overlaps = np.moveaxis(self._overlaps(modes, t), 0, -1)
        return np.broadcast_to(overlaps, (len(x), *overlaps.shape))

    def _spectrum_overlap(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        height, width = self.mean.shape
        phases = (
            2.0
            * np.pi
            * (
                np.multiply.outer(np.fft.fftfreq(height), np.arange(height))[:, None, :, None]
                + np.multiply.outer(np.fft.rfftfreq(width), np.arange(width))[None, :, None, :]
            )
        )
        modes = np.cos(phases)
        modes /= np.sqrt((modes**2).sum(axis=(-2, -1), keepdims=True))
        return self._overlaps(modes, t)


def checked_schedule(schedule: VPSchedule | None) -> VPSchedule:
    """``schedule``, or that of the paper; `DtypeError` for anything else."""
    if schedule is not None and not isinstance(schedule, VPSchedule):
        raise DtypeError(f"schedule is a {type(schedule).__name__}; expected a VPSchedule")
    return VPSchedule() if schedule is None else schedule


def _rows(images: NDArray[Any]) -> NDArray[Any]:
    if len(images) < 2:
        raise InvalidInputError(f"there is {len(images)} image; expected at least 2 for a covariance")
    return images.reshape(len(images), -1)


def _covariance(flat: NDArray[Any], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros((flat.shape[1], flat.shape[1]))
    for first in range(0, len(flat), 4096):
        deviation = flat[first : first + 4096].astype(np.float64) - mean
        total += deviation.T @ deviation
    return total / (len(flat) - 1)
