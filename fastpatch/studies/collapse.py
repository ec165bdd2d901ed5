r"""Data collapse: curves of several sizes on one scaling function, :math:`\xi / L = f((t - t_c) L^{1/\nu})`.

The measure is that of Houdayer and Hartmann (Phys. Rev. B 70, 014418, 2004, their appendix): the mean squared distance
of every point from the line through the neighbouring points of all other curves, in units of the errors of both. It
is about 1 where the curves agree within their errors.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from ..analysis.critical_interval import FEWEST_TRAJECTORIES
from ..analysis.statistics import real_values
from ..errors import InvalidInputError
from .measured import Exponent, Measured, smallest_count

__all__ = ["Collapse", "Curve", "collapse_measure", "fit_collapse"]

# Exponents 1 / nu that are looked at, and the least share of points that have other curves to be compared with.
_BOUNDS = (0.1, 10.0)
_OVERLAP = 0.5

# Curves whose best measure is beyond this do not collapse.
_WORST = 3.0


@dataclass(frozen=True)
class Curve:
    """xi(t) of one size: times (n,) in either order, values and errors (n,), resampled values (n_resamples, n).

    ``count`` is the number of trajectories that were resampled, as of `Measured`; None where errors are exact.
    Raises `InvalidInputError` for arrays that do not belong together, fewer than two points, or errors not positive.
    """

    L: float
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    resampled: NDArray[np.float64]
    count: int | None = None

    def __post_init__(self) -> None:
        shapes = [np.shape(part) for part in (self.times, self.values, self.errors, self.resampled)]
        count = np.size(self.times)
        if shapes[:3] != [(count,)] * 3 or shapes[3][1:] != (count,) or count < 2:
            raise InvalidInputError(f"the curve has parts of shapes {shapes}; expected n >= 2 points in each")
        if not (np.asarray(self.errors) > 0.0).all():
            raise InvalidInputError("errors are not all positive; expected an error of each point")


@dataclass(frozen=True)
class Collapse:
    """The best collapse.

    ``measure`` is that of the fit; ``unscaled`` that of xi against t as they are. Where the latter is about 1, the
    curves do not depend on L, and the fit says no more than how xi diverges at t_c: for xi ~ (t - t_c)^-nu it is
    perfect. Where the measure is above 1, the curves differ by more than their errors, and the distributions of t_c
    and log(1 / nu) are widened by its root. ``reason`` says why t_c and 1 / nu are NaN: where the data do not determine
    them, as fewer than four trajectories a size never do, or the best measure is beyond 3. ``best`` is t_c and 1 / nu
    of the smallest measure all the same, to draw; NaN if none is finite.
    """

    t_c: Measured
    inverse_nu: Measured
    measure: float
    unscaled: float
    best: tuple[float, float]
    reason: str = ""


def collapse_measure(x: Sequence[ArrayLike], y: Sequence[ArrayLike], errors: Sequence[ArrayLike]) -> float:
    """The measure of curves that are already scaled: of each, abscissae, values and their errors (n_i,), all finite.

    Infinite where fewer than half of the points lie within the range of another curve.
    Raises `DtypeError` or `InvalidInputError` for anything but as many points in each part of a curve.
    """
    curves = [
        tuple(real_values(part, name) for part, name in zip(each, ("x", "y", "errors"), strict=True))
        for each in zip(x, y, errors, strict=True)
    ]
    for parts in curves:
        if len({part.shape for part in parts}) > 1 or parts[0].ndim != 1:
            raise InvalidInputError(f"a curve has parts of shapes {[p.shape for p in parts]}; expected as many points")
    return _measure(curves)


def fit_collapse(curves: Sequence[Curve], *, kappa: float = 1.0) -> Collapse:
    r"""t_c and 1 / nu that minimise the measure of :math:`L^{-\kappa}\xi` against :math:`(t - t_c) L^{1/\nu}`.

    A coarse grid, t_c over the range of the times and half of it to either side, 1 / nu in [0.1, 10], is followed by
    a simplex search; bootstrap resamples start from the best one. Raises `InvalidInputError` for fewer than three
    sizes or resamples of different number.
    """
    if len({curve.L for curve in curves}) < 3:
        raise InvalidInputError(f"there are {len(curves)} curves; expected at least three sizes")
    if len({len(curve.resampled) for curve in curves}) > 1:
        raise InvalidInputError("the curves have different numbers of resamples; expected the same for all")
    first = min(float(curve.times.min()) for curve in curves)
    last = max(float(curve.times.max()) for curve in curves)
    span = last - first
    lowest, highest = np.log(_BOUNDS)

    def scaled(parameters: ArrayLike, values: Sequence[NDArray[np.float64]]) -> float:
        t_c, log_exponent = np.asarray(parameters)
        if not (abs(t_c - 0.5 * (first + last)) <= span and lowest <= log_exponent <= highest):
            return np.inf
        parts = []
        for curve, y in zip(curves, values, strict=True):
            kept, factor = ~np.isnan(y), curve.L**-kappa
            x = (curve.times[kept] - t_c) * curve.L ** np.exp(log_exponent)
            parts.append((x, factor * y[kept], factor * curve.errors[kept]))
        return _measure(parts)

    values = [curve.values for curve in curves]
    grid = [
        (t_c, log_exponent)
        for t_c in np.linspace(first - 0.5 * span, last + 0.5 * span, 25)
        for log_exponent in np.linspace(lowest, highest, 25)
    ]
    measures = [scaled(each, values) for each in grid]
    unscaled = _measure([(curve.times, curve.values, curve.errors) for curve in curves])
    absent = Measured(np.nan, np.full(len(curves[0].resampled), np.nan))
    if not np.isfinite(measures).any():
        return Collapse(absent, absent, np.inf, unscaled, (np.nan, np.nan), "no exponent makes the curves overlap")

    # Several starts: the measure jumps where points enter or leave the range of other curves.
    starts = [grid[index] for index in np.argsort(measures)[:4]]
    best = min((_search(scaled, start, values, span) for start in starts), key=lambda found: found[2])
    measure, shown = best[2], (best[0], float(np.exp(best[1])))
    if measure > _WORST:
        return Collapse(absent, absent, measure, unscaled, shown, "the curves do not fall on one another")
    count = smallest_count(curve.count for curve in curves)
    if count is not None and count < FEWEST_TRAJECTORIES:
        few = f"fewer than {FEWEST_TRAJECTORIES} trajectories at a size leave no interval"
        return Collapse(absent, absent, measure, unscaled, shown, few)
    resamples = [
        _search(scaled, best[:2], [curve.resampled[index] for curve in curves], span)
        for index in range(len(curves[0].resampled))
    ]
    t_c, log_exponent, _ = np.array(resamples).reshape(-1, 3).T
    wider = max(1.0, math.sqrt(measure))
    inverse_nu = Exponent.of(Measured(best[1], log_exponent, count).widened(wider), _BOUNDS)
    low, high = inverse_nu.interval
    if not (low > 1.02 * _BOUNDS[0] and high < _BOUNDS[1] / 1.02):
        return Collapse(absent, absent, measure, unscaled, shown, "the errors leave 1/nu open")
    return Collapse(Measured(best[0], t_c, count).widened(wider), inverse_nu, measure, unscaled, shown)


def _search(
    scaled: Callable[..., float], start: Sequence[float], values: Sequence[NDArray[np.float64]], span: float
) -> tuple[float, float, float]:
    """t_c, log(1 / nu) and the measure at the minimum that a simplex finds from ``start``."""
    t_c, log_exponent = start
    simplex = [(t_c, log_exponent), (t_c + 0.02 * span, log_exponent), (t_c, log_exponent + 0.1)]
    options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-4, "maxfev": 120}
    found = minimize(scaled, start, args=(values,), method="Nelder-Mead", options=options)
    return float(found.x[0]), float(found.x[1]), float(found.fun)


def _measure(curves: Sequence[tuple[NDArray[Any], ...]]) -> float:
    """`collapse_measure` of checked arrays."""
    ordered = []
    for parts in curves:
        order = np.argsort(parts[0])
        ordered.append([part[order] for part in parts])
    x, y, errors = (np.concatenate([parts[k] for parts in ordered]) for k in range(3))
    ends = np.cumsum([0, *(len(parts[0]) for parts in ordered)])
    # Sums over the neighbours, two of every other curve around x, of w, w x, w y, w x^2 and w x y, w = 1 / error^2.
    # Abscissae are counted from x itself: the line's value there is its intercept.
    sums = np.zeros((5, len(x)))
    for (begin, end), (curve_x, curve_y, curve_errors) in zip(pairwise(ends), ordered, strict=True):
        if end - begin < 2:
            continue
        right = np.searchsorted(curve_x, x)
        other = (right > 0) & (right < len(curve_x))
        other[begin:end] = False
        for neighbour in (right[other] - 1, right[other]):
            w, u, v = curve_errors[neighbour] ** -2.0, curve_x[neighbour] - x[other], curve_y[neighbour]
            sums[:, other] += (w, w * u, w * v, w * u * u, w * u * v)
    K, Kx, Ky, Kxx, Kxy = sums
    determinant = K * Kxx - Kx**2
    compared = determinant > 1e-12 * K * Kxx
    if np.count_nonzero(compared) < _OVERLAP * len(x):
        return np.inf
    K, Kx, Ky, Kxx, Kxy, determinant = (part[compared] for part in (K, Kx, Ky, Kxx, Kxy, determinant))
    line, line_variance = (Kxx * Ky - Kx * Kxy) / determinant, Kxx / determinant
    return float(np.mean((y[compared] - line) ** 2 / (errors[compared] ** 2 + line_variance)))
