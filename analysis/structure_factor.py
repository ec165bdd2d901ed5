"""Structure factor S(k) of a field on a periodic lattice, averaged over directions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..validation import lattice_shape
from .correlation import lattice_field, power_spectrum, radial_bins, radial_sums, refuse_overflow

__all__ = ["shell_wave_numbers", "structure_factor"]


def structure_factor(field: ArrayLike) -> NDArray[np.float64]:
    r"""Radial structure factor of every field; uncorrelated noise of unit variance has S = 1 in every shell.

    .. math:: S(k) = \frac1N \Bigl|\sum_j x_j e^{-i k \cdot j}\Bigr|^2, \qquad N = L_1 L_2,

    averaged over the wave vectors of each shell: those whose ``|k| / k_min`` is nearest to n, with k_min = 2 pi /
    max(L1, L2). The mean is not subtracted, so that the first shell, which is k = 0 alone, is N times the squared
    magnetization.

    Parameters
    ----------
    field
        Array (..., L1, L2) of finite values, float32, float64, integer or boolean (true as +1, false as -1).

    Returns
    -------
    S : float64 (..., R + 1)
        Shells n = 0, ..., R, the largest integer that is reached along both axes (L // 2 on a square); the corners of
        the Brillouin zone beyond are left out. `shell_wave_numbers` gives their k.

    Raises
    ------
    DtypeError, InvalidInputError
        For another dtype, fewer than two axes, an empty side, masked, NaN or infinite values, or values whose squares
        overflow.

    Notes
    -----
    Each wave vector of a single field fluctuates by as much as its mean: average over trajectories before reading
    a shape off S(k).
    """
    values = lattice_field(field)
    L1, L2 = values.shape[-2:]
    labels, counts = _shells(L1, L2)
    with np.errstate(over="ignore", invalid="ignore"):
        power = power_spectrum(values.astype(np.float64, copy=False))
        # The real transform leaves out one of k and -k wherever they differ.
        power[..., 1 : (L2 + 1) // 2] *= 2.0
        half = np.ascontiguousarray(labels.reshape(L1, L2)[:, : L2 // 2 + 1]).ravel()
        mean = radial_sums(power, half, len(counts)) / (L1 * L2 * counts)
    refuse_overflow(mean, values)
    return mean


def shell_wave_numbers(shape: tuple[int, int]) -> NDArray[np.float64]:
    """The mean ``|k|`` of the wave vectors in every shell of `structure_factor`, (R + 1,), in radians per site.

    Raises `DtypeError` or `InvalidInputError` unless ``shape`` is two positive sides.
    """
    L1, L2 = lattice_shape(shape)
    labels, counts = _shells(L1, L2)
    first, second = (2.0 * np.pi * np.fft.fftfreq(L) for L in (L1, L2))
    return np.asarray(radial_sums(np.hypot(first[:, None], second[None, :]), labels, len(counts)) / counts)


def _shells(L1: int, L2: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    longest = max(L1, L2)
    return radial_bins(L1, L2, (longest / L1, longest / L2))
