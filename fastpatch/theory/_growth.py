"""The growth rate of a convolution kernel as a function of the wave vector, and its maxima."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter
from scipy.optimize import minimize

from .convolution import odd_kernel, offsets_of


class GrowthRate:
    """The growth rate g(0) + sum_u g(u) cos(k.u) with its derivatives in k."""

    def __init__(self, kernel: ArrayLike, *, reverse: bool) -> None:
        entries = odd_kernel(kernel) * (-1.0 if reverse else 1.0)
        self.offsets = offsets_of(entries)
        # The uniform part is kept apart: far from the transition it exceeds the coupling by many digits.
        centre = tuple(side // 2 for side in entries.shape)
        self.onsite, entries[centre] = float(entries[centre]), 0.0
        self.coupling = entries.ravel()
        self.rounding = 1e-14 * float(np.abs(self.coupling).sum())
        # Eight points a shortest wavelength; even, so that k = pi is one of them.
        size = max(32, 8 * max(entries.shape))
        self.spacing = 2.0 * math.pi / size
        padded = np.pad(entries, [(0, size - side) for side in entries.shape])
        centred = np.roll(padded, [-reach for reach in centre], tuple(range(entries.ndim)))
        self.grid = np.fft.fftn(centred).real
        self.spread = float(np.ptp(self.grid))

    def coupled(self, k: NDArray[np.float64]) -> float:
        return float(np.cos(self.offsets @ k) @ self.coupling)

    def gradient(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        return -(np.sin(self.offsets @ k) * self.coupling) @ self.offsets

    def hessian(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = np.cos(self.offsets @ k) * self.coupling
        return -(self.offsets.T * weights) @ self.offsets

    def maxima(self, margin: float) -> list[tuple[float, NDArray[np.float64]]]:
        """Distinct local maxima, polished, that may be within ``margin`` of the highest: (growth rate, k)."""
        if self.spread <= self.rounding:
            return [(self.onsite + float(self.grid.flat[0]), np.zeros(self.grid.ndim))]
        # Between grid points the growth rate exceeds them by at most its curvature times half the diagonal squared.
        curvature = np.abs(self.coupling) @ np.einsum("ni,ni->n", self.offsets, self.offsets)
        slack = 0.5 * curvature * self.grid.ndim * (0.5 * self.spacing) ** 2
        bar = np.maximum(maximum_filter(self.grid, 3, mode="wrap"), self.grid.max() - slack - margin)
        found: list[tuple[float, NDArray[np.float64]]] = []
        for index in np.argwhere(self.grid >= bar - self.rounding):
            k = self.polished(index * self.spacing)
            if all(self._distance(k, other) > 0.1 for _, other in found):
                found.append((self.onsite + self.coupled(k), k))
        return found

    def extends_beyond(self, k: NDArray[np.float64], margin: float) -> bool:
        """Whether a maximum is not isolated: a climb from one spacing along its softest direction ends elsewhere."""
        if self.spread <= self.rounding:
            return True
        softest = np.linalg.eigh(self.hessian(k))[1][:, -1]
        other = self.polished(k + self.spacing * softest)
        return self._distance(k, other) > 0.1 and self.coupled(other) >= self.coupled(k) - margin - self.rounding

    def polished(self, start: NDArray[np.float64]) -> NDArray[np.float64]:
        result = minimize(
            lambda k: -self.coupled(k),
            start,
            method="trust-exact",
            jac=lambda k: -self.gradient(k),
            hess=lambda k: -self.hessian(k),
            options={"gtol": 100.0 * self.rounding, "initial_trust_radius": self.spacing},
        )
        k = wrapped(result.x)
        # A flat maximum is found to few digits only: where k = -k nearby is as high, it is the maximum.
        symmetric = math.pi * np.round(k / math.pi)
        snapped = wrapped(np.where(np.abs(k - symmetric) < 0.01 * self.spacing, symmetric, k))
        return snapped if self.coupled(snapped) >= self.coupled(k) - self.rounding else k

    def _distance(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        """In grid spacings."""
        return float(np.abs(wrapped(a - b)).max() / self.spacing)


def wrapped(k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Components modulo 2 pi in (-pi, pi]."""
    return math.pi - np.mod(math.pi - k, 2.0 * math.pi)
