"""Structure factor S(k) of a field on a periodic lattice, averaged over directions, and the shells of its average."""

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from ..validation import lattice_shape
from .correlation import lattice_field, power_spectrum, refuse_overflow

__all__ = ["shell_power", "shell_wave_numbers", "structure_factor", "wave_number_shells"]

# Lengths that differ by less, in units of the smallest wave number, are equal.
_ROUNDING = 1e-9


def structure_factor(field: ArrayLike) -> NDArray[np.float64]:
    r"""Radial structure factor of every field; uncorrelated noise of unit variance has S = 1 in every shell.

    .. math:: S(k) = \frac1N \Bigl|\sum_j x_j e^{-i k \cdot j}\Bigr|^2, \qquad N = L_1 L_2,

    averaged over the wave vectors of each shell of `wave_number_shells`. The mean is not subtracted, so that the first
    shell, which is k = 0 alone, is N times the squared magnetization.

    Parameters
    ----------
    field
        Array (..., L1, L2) of finite values, float32, float64, integer or boolean (true as +1, false as -1).

    Returns
    -------
    S : float64 (..., R + 1)
        Shells n = 0, ..., R, the last that is reached along both axes (L // 2 on a square); the corners of the
        Brillouin zone beyond are left out. `shell_wave_numbers` gives their k.

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
    labels, multiplicity = _half_plane(L1, L2)
    count = _reach(L1, L2) + 1
    members = np.bincount(labels.ravel(), np.broadcast_to(multiplicity, labels.shape).ravel())[:count]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        mean = np.asarray(shell_power(values.astype(np.float64, copy=False))[..., :count] / members)
    refuse_overflow(mean, values)
    return mean


def shell_wave_numbers(shape: tuple[int, int]) -> NDArray[np.float64]:
    """The mean ``|k|`` of the wave vectors in every shell of `structure_factor`, (R + 1,), in radians per site.

    Raises `DtypeError` or `InvalidInputError` unless ``shape`` is two positive sides.
    """
    L1, L2 = lattice_shape(shape)
    labels, multiplicity = _half_plane(L1, L2)
    members = np.broadcast_to(multiplicity, labels.shape).ravel()
    lengths = 2.0 * np.pi * np.hypot(scipy.fft.fftfreq(L1)[:, None], scipy.fft.rfftfreq(L2)).ravel()
    sums, counts = np.bincount(labels.ravel(), lengths * members), np.bincount(labels.ravel(), members)
    reach = _reach(L1, L2)
    return np.asarray(sums[: reach + 1] / counts[: reach + 1])


def wave_number_shells(shape: tuple[int, int]) -> NDArray[np.int64]:
    r"""Number of the shell to which every wave vector of `numpy.fft.rfft2` belongs, (L1, L2 // 2 + 1).

    Shell n holds :math:`|k|` within half a unit of :math:`n\,2\pi/\max(L_1, L_2)`, the smallest wave number of the
    lattice (the lower end belongs to it, the upper one to the next); 0 is the mean, and the wavelength is
    ``max(L1, L2) / n`` sites.
    Raises `DtypeError` or `InvalidInputError` unless ``shape`` is two positive sides.
    """
    return _half_plane(*lattice_shape(shape))[0].copy()


def shell_power(values: NDArray[Any]) -> NDArray[np.float64]:
    r"""Sums of :math:`|F(k)|^2 / N` over all wave vectors of each shell, (..., n_shells), of checked (..., L1, L2).

    Every wave vector belongs to a shell: by Parseval the sum over shells is that of the squared values.
    """
    L1, L2 = values.shape[-2:]
    labels, multiplicity = _half_plane(L1, L2)
    with np.errstate(under="ignore"):
        power = power_spectrum(values) * (multiplicity / (L1 * L2))
    shells, flat = int(labels.max()) + 1, labels.ravel()
    rows = power.reshape(-1, flat.size)
    summed = np.empty((len(rows), shells))
    for row, total in zip(rows, summed, strict=True):
        total[:] = np.bincount(flat, weights=row, minlength=shells)
    return summed.reshape(*values.shape[:-2], shells)


@lru_cache(maxsize=16)
def _half_plane(L1: int, L2: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Shell of every wave vector of the half plane, and how many of the whole plane it stands for, by column."""
    longest = max(L1, L2)
    rows, columns = scipy.fft.fftfreq(L1) * longest, scipy.fft.rfftfreq(L2) * longest
    labels: NDArray[np.int64] = np.floor(np.hypot(rows[:, None], columns) + (0.5 + _ROUNDING)).astype(np.int64)
    multiplicity = np.full(L2 // 2 + 1, 2.0)
    multiplicity[0] = 1.0
    if L2 % 2 == 0:
        multiplicity[-1] = 1.0
    labels.setflags(write=False)
    multiplicity.setflags(write=False)
    return labels, multiplicity


def _reach(L1: int, L2: int) -> int:
    """The last shell that is reached along both axes."""
    return min(max(L1, L2) * (L // 2) // L for L in (L1, L2))
