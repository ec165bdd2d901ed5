"""The posterior over the distinct patches of +-1 that a set of images has at each place, for every place at once.

The logit of a pattern is the logarithm of its count and, pixel by pixel, ``gain x_j`` or ``-gain x_j``: patterns are
integers, and their bits are looked up nine at a time in tables of a site's sums.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arguments import Crew
from .cpu.site_codes import fold_codes, respond_to_codes
from .pool import share

__all__ = ["SiteCodes", "posterior_mean", "response"]

_SECONDS_A_CODE = 4e-9


@dataclass(frozen=True, eq=False)
class SiteCodes:
    """The distinct patterns of every site of a lattice, row by row.

    Attributes
    ----------
    shape
        Of the lattice, (L1, L2).
    size
        Side P of a patch.
    periodic
        Whether patches wrap around; otherwise a pixel outside has the bit of -1 and no weight.
    codes : (K,)
        Of `fastpatch.sign_patterns`, site after site.
    log2_counts : (K,)
        Of how many images have each.
    starts : (L1 L2 + 1,)
        Where the codes of a site begin.
    """

    shape: tuple[int, int]
    size: int
    periodic: bool
    codes: NDArray[np.unsignedinteger]
    log2_counts: NDArray[np.float64]
    starts: NDArray[np.int64]


def posterior_mean(x: NDArray[np.float64], sites: SiteCodes, slope: float) -> NDArray[np.float64]:
    """m (L1, L2) for a field x; ``slope`` is alpha / sigma^2."""
    out = np.empty(sites.shape)
    windows, gain = _windows(x, sites), slope / np.log(2.0)

    def some(crew: Crew) -> None:
        fold_codes(crew, windows, gain, sites.codes, sites.log2_counts, sites.starts, out.reshape(-1))

    share(some, most=out.size, seconds=_SECONDS_A_CODE * sites.codes.size)
    return out


def response(x: NDArray[np.float64], sites: SiteCodes, slope: float) -> NDArray[np.float64]:
    """R (P P, L1, L2) with ``dm_i/dx_{i+u} = alpha/sigma^2 R_u(i)``; zero where i + u is outside and not wrapped."""
    out = np.empty((sites.size**2, *sites.shape))
    windows, gain = _windows(x, sites), slope / np.log(2.0)

    def some(crew: Crew) -> None:
        respond_to_codes(crew, windows, gain, sites.codes, sites.log2_counts, sites.starts, out.reshape(len(out), -1))

    share(some, most=windows.shape[0], seconds=2.0 * _SECONDS_A_CODE * sites.codes.size)
    return out


def _windows(x: NDArray[np.float64], sites: SiteCodes) -> NDArray[np.float64]:
    """The pixels around every site in the order of the bits, (L1 L2, P P), zero outside."""
    size = sites.size
    padded = np.pad(x, size // 2, mode="wrap" if sites.periodic else "constant")
    found = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return np.ascontiguousarray(found).reshape(-1, size * size)
