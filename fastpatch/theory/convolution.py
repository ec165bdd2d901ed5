r"""Translation-equivariant linear operators as convolution kernels (App. B, eq. 8), in any dimension.

A kernel is a float64 array of odd sides, :math:`(Hy)_i = \sum_u K(u)\,y_{i+u}`, with u = 0 at its centre.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import finite_array, finite_float, integer, positive_time
from ._inputs import wave_vectors

__all__ = ["impulse_kernel", "kernel_from_dispersion", "kernel_symbol"]


def odd_kernel(kernel: ArrayLike) -> NDArray[np.float64]:
    """``kernel`` as a float64 array of finite numbers with odd sides; `InvalidInputError` otherwise."""
    found = finite_array(kernel, "kernel", minimum_ndim=1)
    if any(side % 2 == 0 for side in found.shape):
        raise InvalidInputError(f"kernel has shape {found.shape}; expected odd sides, with u = 0 at the centre")
    return found


def kernel_symbol(kernel: ArrayLike, k: ArrayLike) -> Any:
    r"""The dispersion of a kernel, :math:`\lambda(k) = \sum_u K(u) e^{ik\cdot u}`, complex (...) for k (..., d).

    App. B takes it to be real and even in k, which holds for K(-u) = K(u), as for any gradient dynamics. In general
    its real part is the growth rate and its imaginary part the frequency of a travelling pattern.
    Raises `InvalidInputError` for even sides or another d than the kernel's.
    """
    entries = odd_kernel(kernel)
    return np.exp(1j * (wave_vectors(k, entries.ndim) @ offsets_of(entries).T)) @ entries.ravel()


def offsets_of(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sites u of a kernel's entries in the order of ``kernel.ravel()``, (kernel.size, d)."""
    reach = np.array(kernel.shape) // 2
    return np.asarray(np.indices(kernel.shape).reshape(kernel.ndim, -1).T.astype(np.float64) - reach)


def kernel_from_dispersion(dispersion: ArrayLike) -> NDArray[np.float64]:
    r"""The kernel whose symbol takes the given real values on the Brillouin zone of a periodic lattice.

    ``dispersion`` is lambda(k) for every k of an (L_1, ..., L_d) lattice in FFT order (`numpy.fft.fftfreq`). Returns
    sides L_mu, or L_mu + 1 where L_mu is even: the entry at distance L_mu / 2 is then shared between both ends, so
    that between the given k the symbol is their smoothest even interpolation.
    Raises `InvalidInputError` unless lambda(-k) = lambda(k) within 1e-6 of the spread of its values.
    """
    values = finite_array(dispersion, "dispersion", minimum_ndim=1)
    axes = tuple(range(values.ndim))
    odd_part = np.abs(values - np.roll(np.flip(values), 1, axes)).max()
    if odd_part > 1e-6 * np.ptp(values):
        raise InvalidInputError(
            f"dispersion differs by {odd_part:.3g} between k and -k; expected an even function of k"
        )
    return _centred(np.fft.ifftn(values).real)


def impulse_kernel(
    drift: Callable[[NDArray[np.float64], float], ArrayLike],
    t: float,
    shape: Any,
    *,
    step: float = 1e-4,
) -> NDArray[np.float64]:
    r"""Linearise a translation-equivariant drift at x = 0 by its response to one impulse.

    .. math:: K(u) = \frac{b_{-u}(\varepsilon\delta_0, t) - b_{-u}(-\varepsilon\delta_0, t)}{2\varepsilon}

    Parameters
    ----------
    drift : ``drift(x, t)`` for one float64 field of the given shape, returning a field of that shape.
    shape : sides of the periodic lattice; at least 2R + 1 for a drift of reach R, or responses overlap.
    step : the impulse epsilon. A linear drift gives K exactly, any other with an error O(step^2).

    Returns the kernel on the whole lattice, laid out as in `kernel_from_dispersion`. Not checked: equivariance, reach,
    and that b(0, t) = 0.
    Raises `InvalidInputError` for a drift that changes the shape or is not finite, or ``t <= 0`` or ``step <= 0``.
    """
    time, epsilon = positive_time(t), finite_float(step, "step")
    if epsilon <= 0.0:
        raise InvalidInputError(f"step is {epsilon}; expected a positive impulse")
    sides = tuple(integer(side, "a side of shape", minimum=1) for side in shape)
    impulse = np.zeros(sides)
    impulse[(0,) * len(sides)] = epsilon
    plus, minus = (finite_array(drift(x, time), "drift(x, t)", minimum_ndim=1) for x in (impulse, -impulse))
    if plus.shape != sides:
        raise InvalidInputError(f"drift(x, t) has shape {plus.shape}; expected {sides}, the shape of x")
    response = (plus - minus) / (2.0 * epsilon)
    return _centred(np.roll(np.flip(response), 1, tuple(range(len(sides)))))


def _centred(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """From u modulo L, u = 0 at the origin, to odd sides with u = 0 at the centre."""
    centred = np.fft.fftshift(kernel)
    for axis, side in enumerate(kernel.shape):
        if side % 2 == 0:
            edge = 0.5 * np.take(centred, [0], axis)
            centred = np.concatenate([edge, np.delete(centred, 0, axis), edge], axis)
    return centred
