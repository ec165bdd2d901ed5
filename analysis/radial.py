"""The radially averaged correlation C(r) of many fields, fast enough to be measured at every time step."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .correlation import (
    autocorrelation,
    centred,
    lattice_field,
    power_spectrum,
    radial_average,
    radial_bins,
    radial_sums,
    refuse_overflow,
    sign_field,
    signed_field,
    unequal_pairs,
)

__all__ = ["radial_correlation"]

# Largest number of entries of the map from spectrum to C(r), about L1 L2 min(L1, L2) / 8 (100 x 100 just passes).
# Larger maps leave the cache and lose to the inverse FFT. Below the bound N n_r < 3.3e6, so that the values which
# the C(r) of a sign field can take lie at least 1.2e-6 apart, ten times the error of a single-precision transform.
_MAP_ENTRIES = 2**17 + 2**12
# Fields are taken in blocks whose temporaries stay in the cache: a large batch at once costs twice as much a field,
# most of it page faults.
_BLOCK_BYTES = 2**18


def radial_correlation(field: ArrayLike, *, binarize: bool = True) -> NDArray[np.float64]:
    """Radially averaged autocorrelation C(r), the input of `length_from_correlation`.

    The same as ``radial_average(autocorrelation(field, binarize=binarize))``: the sign field of eq. 43 by default,
    the connected (mean-subtracted) field with ``binarize=False``. On lattices up to about 100 x 100 the power
    spectrum is taken to C(r) by one matrix product, without the inverse FFT; the matrix is kept per lattice shape.

    ``field`` is an array (..., L1, L2) of finite values, float32, float64 or integer. Returns float64 (..., R + 1) for
    r = 0, ..., R, R = min(L1, L2) // 2. For a sign field the result is exact to its last digit and depends
    neither on the dtype nor on the other fields of the batch; connected fields are computed in float64.

    Raises `DtypeError` or `InvalidInputError` as `autocorrelation` does.
    """
    values = signed_field(field) if binarize else lattice_field(field)
    shape = values.shape[-2:]
    rows = values.reshape(-1, *shape)
    average = _of_signs if binarize else _of_connected
    block = max(1, _BLOCK_BYTES // (shape[0] * shape[1] * (4 if binarize else 8)))
    result = np.empty((len(rows), min(shape) // 2 + 1))
    for start in range(0, len(rows), block):
        result[start : start + block] = average(rows[start : start + block])
    return result.reshape(*values.shape[:-2], result.shape[-1])


def _of_signs(values: NDArray[Any]) -> NDArray[np.float64]:
    L1, L2 = values.shape[-2:]
    labels, counts = radial_bins(L1, L2)
    products = L1 * L2 * counts
    if _map_fits(L1, L2):
        # Rounded to the integer for the same reason as in `unequal_pairs`, of which this is a sum over the bin.
        pairs = np.rint((1.0 - _from_spectrum(sign_field(values, np.float32))) * (0.25 * products))
    else:
        pairs = radial_sums(unequal_pairs(values), labels, len(counts))
    return np.asarray((products - 4.0 * pairs) / products)


def _of_connected(values: NDArray[Any]) -> NDArray[np.float64]:
    if not _map_fits(*values.shape[-2:]):
        return radial_average(autocorrelation(values.astype(np.float64, copy=False), binarize=False))
    with np.errstate(over="ignore", invalid="ignore"):
        correlation = _from_spectrum(centred(values))
    refuse_overflow(correlation, values)
    return correlation


def _map_fits(L1: int, L2: int) -> bool:
    return (L1 // 2 + 1) * (L2 // 2 + 1) * (min(L1, L2) // 2 + 1) <= _MAP_ENTRIES


def _from_spectrum(values: NDArray[Any]) -> NDArray[np.float64]:
    L1, L2 = values.shape[-2:]
    power = power_spectrum(values)
    folded = power[:, : L1 // 2 + 1].copy()
    mirrored = (L1 - 1) // 2
    folded[:, 1 : mirrored + 1] += power[:, : L1 - mirrored - 1 : -1]
    return np.asarray(folded.reshape(len(values), -1).astype(np.float64, copy=False) @ _spectrum_to_radial(L1, L2))


@lru_cache(maxsize=16)
def _spectrum_to_radial(L1: int, L2: int) -> NDArray[np.float64]:
    """The matrix from |F(k)|^2, its rows k1 and -k1 added, to C(r); (L1 // 2 + 1) (L2 // 2 + 1) by R + 1.

    C(r) is the mean over the bin's displacements d of N^-2 sum_k |F(k)|^2 cos(k . d). Bins are symmetric under the
    reflection of either axis, which leaves cos(k1 d1) cos(k2 d2) and one quadrant of k and of d.
    """
    labels, counts = radial_bins(L1, L2)
    quadrant = labels.reshape(L1, L2)[: L1 // 2 + 1, : L2 // 2 + 1]
    in_bin = (quadrant == np.arange(len(counts))[:, None, None]).astype(np.float64)
    multiplicity_k2 = _reflections(L2)  # the half spectrum of the real FFT leaves out -k2
    matrix = (_cosines(L1) @ in_bin @ _cosines(L2).T) * (multiplicity_k2 / (L1 * L2) ** 2) / counts[:, None, None]
    flat = np.ascontiguousarray(matrix.reshape(len(counts), -1).T)
    flat.setflags(write=False)
    return flat


def _cosines(L: int) -> NDArray[np.float64]:
    """cos(2 pi k d / L) times the number of displacements +-d, for k and d in 0 ... L // 2."""
    half = np.arange(L // 2 + 1)
    # The product is reduced before it becomes an angle, so that large arguments lose no digits.
    return np.asarray(np.cos((2.0 * np.pi / L) * (half[:, None] * half[None, :] % L)) * _reflections(L))


def _reflections(L: int) -> NDArray[np.float64]:
    """1 where index and mirror image coincide (0 and L / 2), 2 elsewhere, for 0 ... L // 2."""
    half = np.arange(L // 2 + 1)
    return np.where(2 * half % L == 0, 1.0, 2.0)
