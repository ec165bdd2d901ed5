"""Derivative of a noisy curve with respect to log t (paper Sec. 6 and App. C.7)."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import finite_float, time_grid
from .statistics import real_values

__all__ = ["log_time_derivative"]

# Spacings of log t that agree this well count as uniform; a grid that has passed through float32 does.
_UNIFORMITY = 1e-3
_MAX_SAMPLES = 2**20
# Most samples a width: more would smooth no better, and cost by their square where two times lie close.
_SAMPLES_PER_WIDTH = 40.0


@np.errstate(under="ignore")
def log_time_derivative(xi: ArrayLike, times: ArrayLike, width: float = 0.2) -> NDArray[np.float64]:
    r"""Gaussian-smoothed derivative :math:`d\xi / d\log t` along the last axis.

    Parameters
    ----------
    xi
        Array (..., n_times) of real numbers.
    times
        Strictly decreasing diffusion times or noise levels (n_times,), positive.
    width
        Standard deviation of the Gaussian in units of log t; 0 for none. xi_x of the patch model grows over about two
        units; the default 0.2 lowers the peak of its derivative by a few per cent only and averages over more than
        a hundred steps of the paper's grid (eq. 41, spacing 0.0054).

    Returns
    -------
    derivative : float64, shape of ``xi``
        With respect to log t at the given times: *negative* where xi grows along a reverse run, since t decreases.

    Notes
    -----
    Inside, the curve is smoothed and differentiated. Within four widths of an end, where a part of the Gaussian falls
    outside, the derivative is the slope of a straight line fitted to the curve with Gaussian weights, whose width grows
    towards the end (to 1.9 times ``width``) so far that uncorrelated errors of the curve have the same effect there as
    inside. A straight line keeps its slope up to the ends; what a curvature adds is larger there by the wider average.
    On a grid shorter than that the width ends at the straight line fitted to all of it. With ``width = 0`` the ends are
    one-sided differences.
    Where log t is not uniformly spaced (to 1e-3), the curve is first interpolated linearly on a uniform grid of the
    smallest spacing, though no finer than a fortieth of ``width`` and no coarser than a quarter, and the derivative is
    interpolated back.
    NaN marks missing values: they are bridged linearly in log t and are NaN again in the result; the first and the last
    value are the ends of the curve. A curve with fewer than two values gives NaN.

    Raises
    ------
    DtypeError, InvalidInputError
        For values that are not real numbers, infinite values, a length other than that of ``times``, times that do
        not decrease strictly, a negative width, or a grid so uneven that the uniform one exceeds 2**20 points.
    """
    grid = time_grid(times)
    curves = _curves(xi, len(grid))
    smoothing = finite_float(width, "width")
    if smoothing < 0.0:
        raise InvalidInputError(f"width is {smoothing}; expected a non-negative width in units of log t")
    # Increasing abscissae, as np.interp needs them.
    log_t = np.log(grid)[::-1]
    uniform = _uniform_grid(log_t, smoothing)
    spacing = float(uniform[1] - uniform[0])

    result = np.full(curves.shape, np.nan)
    for curve, derivative in zip(curves.reshape(-1, len(grid)), result.reshape(-1, len(grid)), strict=True):
        present = ~np.isnan(curve[::-1])
        if present.sum() < 2:
            continue
        known = log_t[present]
        within = uniform[(uniform > known[0] - 0.5 * spacing) & (uniform < known[-1] + 0.5 * spacing)]
        if len(within) < 2:
            within = known[[0, -1]]
        samples = np.interp(within, known, curve[::-1][present])
        step = float(within[1] - within[0])
        slope = _smoothed_gradient(samples, smoothing / step) / step
        derivative[:] = np.where(present, np.interp(log_t, within, slope), np.nan)[::-1]
    return result


def _smoothed_gradient(samples: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    # Imported here, as below, because all models import this package and most runs end before a curve is smoothed.
    from scipy.ndimage import gaussian_filter1d

    # Smoothing and central differences, rather than the filter's own derivative kernel, keep the slope of a straight
    # line exactly even where the Gaussian is narrower than one sample.
    margin = math.ceil(4.0 * sigma) + 1
    continued = np.pad(samples, margin, mode="reflect", reflect_type="odd")
    if sigma > 0.0:
        continued = gaussian_filter1d(continued, sigma)
    slope = np.asarray(np.gradient(continued)[margin:-margin])
    if sigma > 0.0:
        ends = _end_kernels(sigma, len(samples))
        count, width = ends.shape
        slope[:count] = ends @ samples[:width]
        # Seen from the other end everything runs backwards.
        slope[len(samples) - count :] = -(ends @ samples[::-1][:width])[::-1]
    return slope


@lru_cache(maxsize=32)
def _end_kernels(sigma: float, samples: int) -> NDArray[np.float64]:
    """Weights (positions, width) by which the slopes at the first positions follow from the first samples.

    Weighted straight lines, as wide as makes the sum of the squared weights, which is the variance for uncorrelated
    errors of unit variance, that of the kernel inside.
    """
    from scipy.ndimage import gaussian_filter1d

    margin = math.ceil(4.0 * sigma) + 1
    impulse = np.zeros(4 * margin + 1)
    impulse[2 * margin] = 1.0
    inside = float((np.gradient(gaussian_filter1d(impulse, sigma)) ** 2).sum())
    positions = min(margin, (samples + 1) // 2)
    width = min(samples, 3 * margin)
    kernels = np.array([_line_kernel(at, width, sigma, inside) for at in range(positions)])
    kernels.setflags(write=False)
    return kernels


def _line_kernel(at: int, width: int, sigma: float, variance: float) -> NDArray[np.float64]:
    """The narrowest Gaussian-weighted straight line around sample ``at`` whose slope has at most this variance."""
    from scipy.optimize import brentq

    distance = np.arange(width, dtype=np.float64) - at

    def kernel(log_sigma: float) -> NDArray[np.float64]:
        weights = np.exp(-0.5 * (distance / math.exp(log_sigma)) ** 2)
        moment = weights * (distance - weights @ distance / weights.sum())
        return np.asarray(moment / (moment @ distance))

    def excess(log_sigma: float) -> float:
        return float((kernel(log_sigma) ** 2).sum()) / variance - 1.0

    low, high = math.log(max(0.5 * sigma, 0.3)), math.log(max(10.0 * width, sigma))
    if excess(high) > 0.0:
        return kernel(high)
    return kernel(low if excess(low) < 0.0 else float(brentq(excess, low, high, xtol=1e-6)))


def _uniform_grid(log_t: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    steps = np.diff(log_t)
    count = len(log_t)
    if np.ptp(steps) > _UNIFORMITY * steps.mean():
        finest = steps.min()
        if width > 0.0:
            finest = min(max(finest, width / _SAMPLES_PER_WIDTH), width / 4.0)
        count = math.ceil((log_t[-1] - log_t[0]) / finest) + 1
        if count > _MAX_SAMPLES:
            raise InvalidInputError(f"times needs {count} uniform samples in log t; expected at most {_MAX_SAMPLES}")
    return np.linspace(log_t[0], log_t[-1], count)


def _curves(xi: ArrayLike, count: int) -> NDArray[np.float64]:
    values = real_values(xi, "xi")
    if values.shape[-1] != count:
        raise InvalidInputError(f"xi has shape {values.shape}; expected its last axis to match the {count} times")
    return values
