r"""The self-consistent Gaussian closure: structure factor and dispersion of a patch machine without simulating it.

Statistical linearisation. The state is taken as Gaussian with a uniform mean mu and the spectrum S(k) of its
fluctuations; the drift acts on both through its averages over this very state. With :math:`s = \int\beta` and the
snr :math:`z = \alpha^2/\sigma^2`,

.. math:: \frac{dS}{ds} = 2\frac{\lambda(k)}{\beta} S - 1, \qquad
          \frac{\lambda(k)}{\beta} = -\frac12 + \frac1{\sigma^2} - \frac{\alpha^2}{\sigma^4} g(k), \qquad
          g(k) = \sum_u \cos(k\cdot u)\, E[\operatorname{Cov}(c, p_u | y)]

over Gaussian patches y of mean mu whose covariance is that of S. No parameter enters. By Stein's lemma these are the
exact equations for the first two moments as long as the state is Gaussian, which it is at large t and ceases to be when
domains have formed. In z the equations lose their singular terms,

.. math:: \frac{d}{d\log z}\log\frac{S}{\sigma^2} = \frac{\sigma^2}{S} - 1 + 2 z g, \qquad
          \frac{d}{d\log z}\frac{\alpha\mu}{\sigma^2} = z\,E[m(y)]

For a `GaussianModel`, :math:`g = S_0/(1 + z S_0)` depends on no state, and the solution is the exact
:math:`\sigma^2 + \alpha^2 S_0`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.correlation import radial_average
from ..analysis.correlation_length import length_from_correlation
from ..analysis.statistics import standard_error
from ..dictionary import PatchDictionary
from ..errors import InvalidInputError
from ..models.gaussian import GaussianModel
from ..process import VPSchedule, log_time_grid
from ..validation import finite_float, lattice_shape, time_grid
from ._closure_equations import State, crossings_of, note_crossings, steps, white_crossings
from ._gaussian_response import Response, response_of
from ._inputs import PAPER_SCHEDULE, of_type
from .renormalised import Estimate

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["closure_critical_time", "gaussian_closure", "white_critical_time"]


def gaussian_closure(
    dictionary: PatchDictionary | GaussianModel,
    shape: tuple[int, int] = (80, 80),
    times: ArrayLike | None = None,
    schedule: VPSchedule = PAPER_SCHEDULE,
    *,
    log2_points: int = 10,
    replicates: int = 4,
    seed: int = 0,
    tolerance: float = 1e-4,
) -> "xr.Dataset":
    r"""Solve the closure down a grid of times from white noise at its first.

    Parameters
    ----------
    dictionary
        The patch machine's patterns; or a `GaussianModel` of that shape, whose exact laws come out and whose own
        schedule is used.
    shape
        The periodic lattice, sides of at least P.
    times
        Strictly decreasing diffusion times (T, …); ``log_time_grid(steps=250)`` by default.
    schedule
        The forward process.
    log2_points, replicates, seed
        Averages over patches are means over ``2 ** log2_points`` scrambled Sobol points in as many dimensions as the
        patterns have rank; each of the replicates (at least 2) solves the equations with its own scramble. An
        evaluation costs replicates x points x K exponentials, a solution some two hundred evaluations.
    tolerance
        Of an adaptive fourth-order Runge-Kutta step in log z, relative and absolute, for log S.

    Returns
    -------
    xarray.Dataset
        ``structure_factor`` (time, ky, kx): S(k), 1 for white noise, the mean excluded.
        ``dispersion`` (time, ky, kx): lambda(k), per unit diffusion time.
        ``mean`` (time): mu. ``lambda_0`` (time): dispersion at k = 0.
        ``xi_x`` (time): correlation length of the sign field, in sites (eq. 45), of the Gaussian field's mean
        correlation, :math:`\frac2\pi\arcsin C(r)/C(0)` where mu = 0; the length of an average rather than the
        average of the length, and without the fluctuations of a finite lattice.
        Each with ``…_error``: the standard error over replicates and the error of the steps, in quadrature.
        ky, kx in radians per site, the half plane of `numpy.fft.rfft2`. ``attrs``: ``critical_time``, the zero of
        lambda_0 coming from large t, and ``critical_time_error``, both nan where there is none on the grid.

    Raises
    ------
    InvalidInputError, DtypeError
        For arguments outside what is stated. Not checked: that the state is Gaussian; see the guide to this closure
        for where it is not.
    """
    import xarray as xr

    sides, grid = lattice_shape(shape), log_time_grid(steps=250) if times is None else time_grid(times)
    response = response_of(dictionary, sides, log2_points, replicates, seed)
    process = dictionary.schedule if isinstance(dictionary, GaussianModel) else schedule
    of_type(process, "schedule", VPSchedule)
    requested = _Requested.of(process, grid)
    fine = _solved(response, sides, requested, _tolerance(tolerance))
    coarse = _solved(response.first(), sides, requested, _tolerance(tolerance), coarse=True)

    ky, kx = 2.0 * np.pi * np.fft.fftfreq(sides[0]), 2.0 * np.pi * np.fft.rfftfreq(sides[1])
    plane = ("time", "ky", "kx")
    labels = {
        "structure_factor": (plane, {"long_name": "structure factor S(k)", "units": "1"}),
        "dispersion": (plane, {"long_name": "growth rate of the drift lambda(k)", "units": "1 / time"}),
        "lambda_0": (("time",), {"long_name": "zero mode of the drift", "units": "1 / time"}),
        "xi_x": (("time",), {"long_name": "correlation length of the sign field", "units": "sites"}),
        "mean": (("time",), {"long_name": "mean of the field", "units": "1"}),
    }
    variables: dict[str, Any] = {}
    for name, (dims, attributes) in labels.items():
        value, error = _estimate(fine[name], coarse[name])
        variables[name] = (dims, value, attributes)
        variables[f"{name}_error"] = (dims, error, {**attributes, "long_name": f"error of {attributes['long_name']}"})
    crossing = _estimate(fine["crossing"], coarse["crossing"])
    return xr.Dataset(
        variables,
        coords={
            "time": ("time", grid, {"long_name": "diffusion time", "units": "time"}),
            "ky": ("ky", ky, {"units": "rad / site"}),
            "kx": ("kx", kx, {"units": "rad / site"}),
        },
        attrs={"critical_time": float(crossing[0]), "critical_time_error": float(crossing[1])},
    )


def closure_critical_time(
    dictionary: PatchDictionary | GaussianModel,
    *,
    shape: tuple[int, int] = (40, 40),
    schedule: VPSchedule = PAPER_SCHEDULE,
    log2_points: int = 11,
    replicates: int = 4,
    seed: int = 0,
    tolerance: float = 1e-4,
) -> Estimate:
    """The zero of the closure's lambda_0, coming from large t, with its numerical error; arguments as there.

    The closure is solved from white noise, at a time at which no mode has grown by more than 1e-4 or beta has
    integrated to 20, and no further than the zero. Both are nan
    where lambda_0 does not vanish before beta's integral has fallen to 1e-3.
    """
    sides = lattice_shape(shape)
    response = response_of(dictionary, sides, log2_points, replicates, seed)
    process = dictionary.schedule if isinstance(dictionary, GaussianModel) else schedule
    of_type(process, "schedule", VPSchedule)
    fine = crossings_of(response, _tolerance(tolerance))
    coarse = crossings_of(response.first(), _tolerance(tolerance), coarse=True)
    rate, error = _estimate(fine, coarse)
    if not math.isfinite(rate):
        return Estimate(math.nan, math.nan)
    t = process.time_of(float(rate))
    return Estimate(t, float(error) / float(process.rate(t)))


def white_critical_time(
    dictionary: PatchDictionary,
    *,
    shape: tuple[int, int] = (40, 40),
    schedule: VPSchedule = PAPER_SCHEDULE,
    log2_points: int = 11,
    replicates: int = 4,
    seed: int = 0,
) -> Estimate:
    """The zero of lambda_0, coming from large t, averaged over white noise of unit variance, and its standard error.

    The "renormalised" condition of `critical_time`, evaluated as the closure is, so that dictionaries of millions of
    patterns have it too. Both are nan where lambda_0 does not vanish on a grid of factors of 1.3 in alpha^2/sigma^2.
    """
    sides = lattice_shape(shape)
    response = response_of(dictionary, sides, log2_points, replicates, seed)
    of_type(schedule, "schedule", VPSchedule)
    rates = white_crossings(response)
    times = np.array([math.nan if math.isnan(rate) else schedule.time_of(float(rate)) for rate in rates])
    return Estimate(float(times.mean()), float(standard_error(times)))


def _solved(
    response: Response, shape: tuple[int, int], requested: "_Requested", tolerance: float, coarse: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Everything at the requested times, a row each replicate."""
    count, times = response.replicates, len(requested.z)
    modes = (shape[0], shape[1] // 2 + 1)
    found = {
        "structure_factor": np.empty((count, times, *modes)),
        "dispersion": np.empty((count, times, *modes)),
        **{name: np.empty((count, times)) for name in ("lambda_0", "xi_x", "mean")},
    }
    crossings = np.full(count, np.nan)

    def record(at: int, y: NDArray[np.float64]) -> None:
        state = State(response, float(requested.z[at]), y)
        found["structure_factor"][:, at] = state.S.reshape(count, *modes)
        found["dispersion"][:, at] = requested.rates[at] * state.dispersion().reshape(count, *modes)
        found["mean"][:, at] = state.mean
        found["xi_x"][:, at] = sign_correlation_length(found["structure_factor"][:, at], state.mean, shape)

    white = np.full((count, response.modes + 1), math.log1p(float(requested.z[0])))
    white[:, -1] = 0.0
    record(0, white.ravel())
    at, before = 1, np.full(count, np.inf)
    for left, right, solution in steps(response, float(requested.z[0]), float(requested.z[-1]), tolerance, coarse):
        before = note_crossings(response, left, right, solution, before, crossings)
        while at < times and math.log(requested.z[at]) <= right + 1e-12:
            record(at, solution(min(math.log(requested.z[at]), right)))
            at += 1
    found["lambda_0"] = found["dispersion"][:, :, 0, 0].copy()
    found["crossing"] = requested.times_of(crossings)
    return found


@dataclass(frozen=True, eq=False)
class _Requested:
    """The times that are asked for."""

    schedule: VPSchedule
    z: NDArray[np.float64]
    rates: NDArray[np.float64]

    @classmethod
    def of(cls, schedule: VPSchedule, times: NDArray[np.float64]) -> "_Requested":
        z = schedule.alpha(times) ** 2 / schedule.sigma2(times)
        if not (z > 0.0).all():
            raise InvalidInputError(f"times begins at {times[0]}, where no signal is left; expected alpha > 0")
        return cls(schedule, z, np.asarray(schedule.rate(times)))

    def times_of(self, log_z: NDArray[np.float64]) -> NDArray[np.float64]:
        rates = np.log1p(np.exp(-log_z))
        return np.array([math.nan if math.isnan(s) else self.schedule.time_of(float(s)) for s in rates])


def _estimate(fine: NDArray[np.float64], coarse: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """The mean over replicates and its error, to which the first replicate adds that of the steps."""
    return fine.mean(axis=0), np.hypot(standard_error(fine), fine[0] - coarse[0])


def sign_correlation_length(
    S: NDArray[np.float64], mean: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    r"""xi_x of Gaussian fields, from :math:`E[\operatorname{sign} x_0 \operatorname{sign} x_r]`.

    With h = mu / sqrt(C(0)) and the correlation rho = C(r) / C(0) it is :math:`\operatorname{erf}^2(h/\sqrt2)
    + \frac2\pi \int_0^{\arcsin\rho} \exp(-h^2/(1 + \sin\theta))\,d\theta` (Plackett), 2/pi arcsin(rho) where h = 0.
    """
    covariance = np.fft.irfft2(S, s=shape)
    rho = np.clip(covariance / covariance[:, :1, :1], -1.0, 1.0)
    h2 = (mean**2 / covariance[:, 0, 0])[:, None, None]
    angle = np.arcsin(rho)
    if float(h2.max()) < np.finfo(np.float64).eps:
        # No mean: 2/pi arcsin(rho), and nothing to integrate.
        return np.asarray(length_from_correlation(radial_average(2.0 / np.pi * angle)))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    integral = sum(
        w * np.exp(-h2 / np.maximum(1.0 + np.sin(0.5 * angle * (1.0 + node)), 1e-300))
        for node, w in zip(nodes, weights, strict=True)
    )
    constant = np.array([math.erf(math.sqrt(0.5 * value)) ** 2 for value in h2.ravel()])[:, None, None]
    return np.asarray(length_from_correlation(radial_average(constant + angle / np.pi * integral)))


def _tolerance(value: Any) -> float:
    found = finite_float(value, "tolerance")
    if not 0.0 < found <= 1e-2:
        raise InvalidInputError(f"tolerance is {found}; expected a number in (0, 0.01]")
    return found
