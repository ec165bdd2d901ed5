"""The best linear denoiser of patches."""

from hashlib import sha256
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..image_patches import checked_images
from ..process import VPSchedule
from .local import LocalPosteriorModel, pixel_patterns
from .wiener import checked_schedule

__all__ = ["GaussianPatchModel"]


class GaussianPatchModel(LocalPosteriorModel):
    r"""The best linear denoiser that sees a neighbourhood: the Wiener filter of periodic P x P patches.

    .. math:: m_i = \mu + \alpha\, c^\top (\alpha^2 C_P + \sigma^2)^{-1} (y_i - \alpha\mu)

    with C_P the covariance of the pixels of a patch and c its row of the centre pixel: the patch machine's null of
    matched second moments. ``images`` is (N, H, W) or (N, 1, H, W); fields may have another shape with sides of at
    least P. Raises `InvalidInputError` or `DtypeError` for what does not fit.
    """

    def __init__(self, images: ArrayLike, size: int = 5, schedule: VPSchedule | None = None) -> None:
        found, self.size, _ = checked_images(images, size, "periodic")
        self.schedule = checked_schedule(schedule)
        self.mean = float(found.mean(dtype=np.float64))
        # The correlation of two pixels, averaged over images and places, from the power spectrum.
        power = np.zeros((found.shape[1], found.shape[2] // 2 + 1))
        for first in range(0, len(found), 1024):
            deviation = found[first : first + 1024].astype(np.float64) - self.mean
            power += np.square(np.abs(scipy.fft.rfft2(deviation))).sum(axis=0)
        self.correlation = scipy.fft.irfft2(power, found.shape[1:]) / found.size
        u, v = (index.ravel() for index in np.indices((self.size, self.size)))
        self._covariance = self.correlation[u[:, None] - u, v[:, None] - v]

    def __repr__(self) -> str:
        return f"GaussianPatchModel({self.size}x{self.size}, {self.schedule!r})"

    @property
    def Omega(self) -> float:
        """The sum of the centre pixel's covariances, by which the uniform mode is multiplied."""
        return float(self._covariance[self.size**2 // 2].sum())

    def describe(self) -> dict[str, Any]:
        digest = sha256(self._covariance.tobytes()).hexdigest()
        return {"type": "GaussianPatchModel", "covariance": digest, "mean": self.mean, "size": self.size} | {
            "beta": self.schedule.name
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        return {"covariance": (("pixel", "other_pixel"), self._covariance)}

    def check_lattice(self, shape: tuple[int, int]) -> None:
        if min(shape) < self.size:
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; expected sides of at least the patch size {self.size}"
            )

    def filter(self, t: float) -> NDArray[np.float64]:
        """dm_i/dx_{i+u}, (P, P)."""
        alpha, sigma2 = self.schedule.alpha(t), self.schedule.sigma2(t)
        noisy = alpha**2 * self._covariance + sigma2 * np.eye(self.size**2)
        weights = alpha * np.linalg.solve(noisy, self._covariance[self.size**2 // 2])
        return np.asarray(weights.reshape(self.size, self.size))

    def response(self, x: NDArray[Any], t: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
        fields = np.broadcast_to(self.filter(t).reshape(-1, 1, 1), (len(x), self.size**2, *x.shape[1:]))
        return fields / self._slope(t), pixel_patterns(self.size)

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        deviation, radius = x - self.schedule.alpha(t) * self.mean, self.size // 2
        found = np.full_like(x, self.mean)
        for (u, v), weight in np.ndenumerate(self.filter(t)):
            found += weight * np.roll(deviation, (radius - u, radius - v), axis=(-2, -1))
        return found
