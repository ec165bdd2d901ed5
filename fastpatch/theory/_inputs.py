"""Inputs that the formulas of this sub-package share, checked once."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError, InvalidInputError
from ..process import VPSchedule
from ..validation import finite_array, plain_array

PAPER_SCHEDULE = VPSchedule(beta=1.0)


class NoiseLevels(NamedTuple):
    """alpha, sigma^2 and beta at a time or an array of times."""

    alpha: Any
    sigma2: Any
    beta: Any


def noise_levels(t: ArrayLike, schedule: VPSchedule) -> NoiseLevels:
    """alpha(t), sigma^2(t) and beta(t), floats for a scalar ``t``, float64 arrays otherwise."""
    of_type(schedule, "schedule", VPSchedule)
    try:
        times = plain_array(t, "t").astype(np.float64)
    except InvalidInputError:
        raise
    except (TypeError, ValueError):
        raise DtypeError(f"t is {t!r}; expected a number or an array of numbers") from None
    outside = ~(np.isfinite(times) & (times > 0.0))
    if outside.any():
        raise InvalidInputError(f"t is {times[outside][0]}; expected diffusion times in (0, inf)")
    return NoiseLevels(schedule.alpha(times), schedule.sigma2(times), schedule.rate(times))


def levels_at(integrated_rate: float) -> NoiseLevels:
    """The levels at a given integral of beta, per unit rate: all critical conditions depend on t through it alone."""
    return NoiseLevels(np.exp(-0.5 * integrated_rate), -np.expm1(-integrated_rate), 1.0)


def wave_vectors(k: ArrayLike, d: int | None = None) -> NDArray[np.float64]:
    """``k`` as a float64 array (..., d); any d if none is asked for."""
    vectors = finite_array(k, "k", minimum_ndim=1)
    if d is not None and vectors.shape[-1] != d:
        raise InvalidInputError(f"k has shape {vectors.shape}; expected (..., {d}), one component a lattice axis")
    return vectors


def of_type(value: Any, name: str, kind: type) -> None:
    """Raise `DtypeError` unless ``value`` is a ``kind``."""
    if not isinstance(value, kind):
        raise DtypeError(f"{name} is a {type(value).__name__}; expected a {kind.__name__}")


def one_of(value: Any, name: str, allowed: tuple[str, ...]) -> str:
    """``value`` if it is one of the ``allowed`` strings."""
    if value not in allowed:
        raise InvalidInputError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}")
    return str(value)
