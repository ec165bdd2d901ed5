"""The variance-preserving forward process (paper Sec. 3 and App. C.3) and the time grid of its reversal."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidInputError
from .memory import require_memory
from .validation import finite_float, integer, real_array

__all__ = ["VPSchedule", "log_time_grid"]

# A callable rate is integrated in so many pieces an octave of t, over so many octaves; each adaptively cut further.
_PER_OCTAVE = 4
_OCTAVES = 10
_CUTS = 500


@dataclass(frozen=True)
class VPSchedule:
    r"""Variance-preserving schedule: ``dx = -beta/2 x dt + sqrt(beta) dW``.

    .. math:: \alpha(t) = \exp\bigl(-\tfrac12\int_0^t\beta\bigr), \qquad \sigma^2(t) = 1 - \alpha^2(t)

    Parameters
    ----------
    beta
        Noise rate: a positive constant, or a callable ``beta(t) > 0`` of one float.
        A callable's positivity is checked only at the times where it is evaluated.

    Every method takes a scalar or an array of times ``t >= 0`` and returns a float or a float64 array of the
    same shape; it raises `InvalidInputError` for negative or NaN times. For a callable rate the integral is
    adaptive quadrature (`scipy.integrate.quad`) in quarter octaves of t, to 1e-10 relative for smooth rates and to what
    quadrature can find of others: a peak much narrower than its t may go unseen. `InvalidInputError` is raised
    where the estimated relative error exceeds 1e-3, which for jumps is far above the true one, and for infinite times.
    """

    beta: float | Callable[[float], float] = 1.0

    def __post_init__(self) -> None:
        if not callable(self.beta):
            rate = finite_float(self.beta, "beta")
            if rate <= 0.0:
                raise InvalidInputError(f"beta is {rate}; expected a positive noise rate")
            object.__setattr__(self, "beta", rate)

    def rate(self, t: ArrayLike) -> Any:
        """The noise rate beta(t)."""
        times = _times(t)
        if not callable(self.beta):
            return _like(np.full(times.shape, self.beta))
        return _like(np.array([_rate(self.beta, s) for s in times.flat]).reshape(times.shape))

    def integrated_rate(self, t: ArrayLike) -> Any:
        """The integral of beta from 0 to t."""
        times = _times(t)
        if not callable(self.beta):
            return _like(self.beta * times)
        # Integrate between neighbouring times only, so that a grid of N times costs N short quadratures.
        if not np.isfinite(times).all():
            raise InvalidInputError("t is inf; expected finite diffusion times for a callable beta")
        distinct, inverse = np.unique(times, return_inverse=True)
        edges = np.concatenate([[0.0], distinct])
        pieces = [self._integral(a, b) for a, b in pairwise(edges)]
        return _like(np.cumsum(pieces)[inverse].reshape(times.shape))

    def time_of(self, integrated_rate: float) -> float:
        """The time t at which the integral of beta reaches ``integrated_rate`` (inverse of `integrated_rate`)."""
        target = finite_float(integrated_rate, "integrated_rate")
        if target < 0.0:
            raise InvalidInputError(f"integrated_rate is {target}; expected a non-negative number")
        if not callable(self.beta):
            return target / self.beta
        lower, upper, reached = 0.0, 1.0, 0.0
        while (share := self._integral(lower, upper)) < target - reached:
            reached += share
            lower, upper = upper, 2.0 * upper
            if upper > 1e12:
                raise InvalidInputError(f"beta never integrates to {target}; expected a rate with a divergent integral")
        # Imported by those alone who need it: a third of a second.
        from scipy.optimize import brentq

        return float(brentq(lambda t: reached + self._integral(lower, t) - target, lower, upper, xtol=1e-13))

    def _integral(self, a: float, b: float) -> float:
        """The integral of a callable rate from a to b, in pieces short enough to see what happens in any of them."""
        from scipy.integrate import quad

        if b <= a:
            return 0.0
        last = math.ceil(_PER_OCTAVE * math.log2(b))
        # Of t itself, not of a or b: so that a time's integral hardly depends on what else is asked for.
        inner = (2.0 ** (k / _PER_OCTAVE) for k in range(last - _PER_OCTAVE * _OCTAVES, last))
        edges = [a, *(edge for edge in inner if a < edge < b), b]
        total = error = 0.0
        for low, high in pairwise(edges):
            # With ``full_output`` quad does not warn of slow convergence.
            found = quad(lambda s: _rate(self.beta, s), low, high, epsabs=0.0, epsrel=1e-10, limit=_CUTS, full_output=1)
            total, error = total + found[0], error + found[1]
        if error > 1e-3 * total:
            raise InvalidInputError(
                f"beta cannot be integrated from {a:g} to {b:g} (estimated relative error {error / total:.1g}); "
                "expected a rate with fewer jumps or oscillations"
            )
        return float(total)

    @property
    def name(self) -> str:
        """The rate as provenance records it: its value, or the name of the callable."""
        return getattr(self.beta, "__qualname__", type(self.beta).__name__) if callable(self.beta) else repr(self.beta)

    @np.errstate(under="ignore")
    def alpha(self, t: ArrayLike) -> Any:
        """Signal amplitude alpha(t) (eq. 34)."""
        return _like(np.exp(-0.5 * np.asarray(self.integrated_rate(t))))

    @np.errstate(under="ignore")
    def sigma2(self, t: ArrayLike) -> Any:
        """Noise variance sigma^2(t) = 1 - alpha^2, without cancellation at small t."""
        return _like(-np.expm1(-np.asarray(self.integrated_rate(t))))

    @np.errstate(under="ignore")
    def amplitudes(self, t: ArrayLike) -> tuple[Any, Any]:
        """alpha(t) and sigma^2(t), as the kernels take them."""
        return self.alpha(t), self.sigma2(t)

    def sigma(self, t: ArrayLike) -> Any:
        """Noise amplitude sigma(t) (eq. 35)."""
        return _like(np.sqrt(np.asarray(self.sigma2(t))))


def log_time_grid(t_max: float = 50.0, t_min: float = 1e-3, steps: int = 2000) -> NDArray[np.float64]:
    r"""Logarithmic grid of reverse times, eq. 41.

    .. math:: t_k = \exp\bigl(\log t_\max + \tfrac{k}{N}(\log t_\min - \log t_\max)\bigr), \quad k = 0 \dots N

    Returns ``steps + 1`` strictly decreasing float64 times; both ends are exact.
    Raises `InvalidInputError` unless ``t_max > t_min > 0`` and ``steps >= 1``, and for more steps than memory holds.
    """
    start, stop = finite_float(t_max, "t_max"), finite_float(t_min, "t_min")
    if not start > stop > 0.0:
        raise InvalidInputError(f"t_max is {start} and t_min is {stop}; expected t_max > t_min > 0")
    n_steps = integer(steps, "steps", minimum=1)
    require_memory(16.0 * n_steps, f"a grid of {n_steps} steps takes")
    grid = np.exp(np.linspace(math.log(start), math.log(stop), n_steps + 1))
    grid[0], grid[-1] = start, stop
    return grid


def _times(t: ArrayLike) -> NDArray[np.float64]:
    times = real_array(t, "t")
    if not (times >= 0.0).all():
        bad = times.reshape(-1)[int(np.argmax(~(times.reshape(-1) >= 0.0)))]
        raise InvalidInputError(f"t is {bad}; expected diffusion times >= 0")
    return times


def _rate(beta: Any, t: float) -> float:
    found = float(beta(float(t)))
    if not found > 0.0:
        raise InvalidInputError(f"beta({t}) is {found}; expected a positive noise rate")
    return found


def _like(values: NDArray[np.float64]) -> Any:
    return float(values) if values.ndim == 0 else values
