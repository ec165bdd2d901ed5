r"""The critical time of the patch model: five conditions, five numbers.

The first four read :math:`\frac1{\sigma^2} + c = \frac{\alpha^2}{\sigma^4} g`, the mass r(t) changing sign, with

============  =====  =================================================  ===========================  ==============
condition     c      g                                                  integral of beta up to t_c   \|Omega\| = 25
============  =====  =================================================  ===========================  ==============
score         0      \|Omega\| (eqs. 26-30, the paper's dashed line)    log(1 + \|Omega\|)           3.2581
eq17          1/2    \|Omega\| (eq. 17 as printed)                      a root of a quadratic        2.8893
drift         -1/2   \|Omega\| (exact Jacobian of eq. 40 at x = 0)      arcsinh \|Omega\|            3.9124
renormalised  -1/2   its average over x_i ~ N(0, 1)                     by root finding              3.4645
============  =====  =================================================  ===========================  ==============

"closure" is the zero of lambda_0 in the self-consistent Gaussian closure (`gaussian_closure`), where the average is
over the correlated state that the dynamics itself has built up: 3.2843 for two uniform 5 x 5 patterns. It is what a
simulation's zero of lambda_0 is to be compared with.

A dictionary replaces \|Omega\| by the zero mode of its own linear response,
:math:`\sum_n w_n (c_n - m)\sum_u p_n(u)`. With a tenth of the prior on random patterns that is less than 25:
the default dictionary gives 3.1665, 2.8011, 3.8171 and 3.357, and 3.185 by the closure.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq

from ..dictionary import PatchDictionary
from ..errors import InvalidInputError
from ..models.linear_response import central_gains, have_one_norm
from ..process import VPSchedule
from ..validation import finite_float
from ._gaussian_response import MOST_PATTERNS
from ._inputs import PAPER_SCHEDULE, NoiseLevels, levels_at, of_type, one_of
from .closure import closure_critical_time
from .hypercube import hypercube_volume
from .landau import ONSITE
from .renormalised import Estimate, GaussianPatches, mean_sech2, renormalised_dispersion

__all__ = ["CriticalCondition", "critical_time", "critical_times", "renormalised_critical_time"]

CriticalCondition = Literal["score", "eq17", "drift", "renormalised", "closure"]
_CONDITIONS: tuple[CriticalCondition, ...] = ("score", "eq17", "drift", "renormalised", "closure")
_Coupling = Callable[[NoiseLevels], float]

# Beyond, its square leaves the range of floats.
_LARGEST_OMEGA = 1e150


def critical_time(
    condition: CriticalCondition,
    *,
    K: int = 2,
    d: int = 2,
    Omega: float | None = None,
    dictionary: PatchDictionary | None = None,
    schedule: VPSchedule = PAPER_SCHEDULE,
) -> float:
    """The diffusion time at which the uniform mode turns unstable, coming from t = inf.

    Parameters
    ----------
    condition : ``"score"``, ``"eq17"``, ``"drift"``, ``"renormalised"`` or ``"closure"``, see the module's table. The
        last needs a dictionary, or d = 2 and no ``Omega``: two uniform patterns then.
    K, d : the hyper-cubic patch |u_mu| <= K in d dimensions, |Omega| = (2K + 1)^d.
    Omega : |Omega| directly. With |mu|^2 for it these are the critical times of two prototypes +-mu (eq. 5); with the
        largest eigenvalue of sum_m w_m mu_m mu_m^T, the first three are those of centred prototypes of equal norm.
    dictionary : instead, its exact linear response (at x = 0, or averaged by `GaussianPatches` at its defaults).
    schedule : any VP schedule; the conditions fix the integral of beta, and `VPSchedule.time_of` the time.

    Closed forms where they exist, otherwise the first sign change on a fine logarithmic grid, refined to 1e-12; two
    crossings within one of its 128 steps would be missed. The default `GaussianPatches` err by a few 1e-4, and
    `closure_critical_time` gives the closure's value with its error, some 1e-3 for the default dictionary.
    Not checked: that no other wave vector turns unstable earlier; see `soft_mode_instability`.
    Raises `InvalidInputError` for an unknown condition, both ``Omega`` and ``dictionary``, ``Omega <= 0``, or a
    condition that is met at no time.
    """
    of_type(schedule, "schedule", VPSchedule)
    name, target = one_of(condition, "condition", _CONDITIONS), _target(K, d, Omega, dictionary)
    found = _closure_rate(K, d, Omega, dictionary) if name == "closure" else _critical_rate(name, target)
    if found is None:
        raise InvalidInputError(
            f"condition {condition!r} is met at no time; expected a model whose uniform mode softens"
        )
    return schedule.time_of(found)


def critical_times(
    *,
    K: int = 2,
    d: int = 2,
    Omega: float | None = None,
    dictionary: PatchDictionary | None = None,
    schedule: VPSchedule = PAPER_SCHEDULE,
    conditions: Sequence[CriticalCondition] = _CONDITIONS,
) -> dict[CriticalCondition, float]:
    """The critical times of all ``conditions``, other arguments as in `critical_time`; NaN for one met at no time.

    NaN also for the closure where it is not defined, d other than 2 or an ``Omega``, and for it and the renormalised
    condition with more than 20 000 patterns, over which averages take minutes (`closure_critical_time`,
    `white_critical_time`) or, if they are not +-1, hours.
    """
    of_type(schedule, "schedule", VPSchedule)
    target = _target(K, d, Omega, dictionary)
    closed = dictionary is not None or (d == 2 and Omega is None)
    averaged = dictionary is None or len(dictionary) <= MOST_PATTERNS
    found: dict[CriticalCondition, float] = {}
    for condition in conditions:
        if one_of(condition, "condition", _CONDITIONS) == "closure":
            rate = _closure_rate(K, d, Omega, dictionary) if closed and averaged else None
        elif condition == "renormalised" and not averaged:
            rate = None
        else:
            rate = _critical_rate(condition, target)
        found[condition] = math.nan if rate is None else schedule.time_of(rate)
    return found


def renormalised_critical_time(patches: GaussianPatches, *, schedule: VPSchedule = PAPER_SCHEDULE) -> Estimate:
    """``critical_time("renormalised")`` of the patches' dictionary with its quasi-Monte-Carlo standard error.

    3.3573 +- 0.0004 for ``GaussianPatches(PatchDictionary.random())``, 3.3570 +- 0.0001 with 2^16 points a scramble.
    The error is that of the mass at t_c over its slope there.
    Raises `InvalidInputError` if the averaged uniform mode never softens.
    """
    rate = _first_crossing(ONSITE["drift"], _averaged_zero_mode(patches), _largest_coupling(patches.dictionary))
    if rate is None:
        raise InvalidInputError(f"the mass of {patches.dictionary!r} never vanishes; expected a softening uniform mode")
    t = schedule.time_of(rate)
    origin, width = (0.0, 0.0), 1e-4 * t
    before, at, after = (
        renormalised_dispersion(origin, s, patches=patches, schedule=schedule) for s in (t - width, t, t + width)
    )
    slope = (after.value - before.value) / (2.0 * width)
    return Estimate(t, float(at.standard_error / abs(slope)))


def _target(K: int, d: int, Omega: float | None, dictionary: PatchDictionary | None) -> float | PatchDictionary:
    if Omega is not None and dictionary is not None:
        raise InvalidInputError("Omega and dictionary are both given; expected at most one of them")
    if dictionary is not None:
        of_type(dictionary, "dictionary", PatchDictionary)
        return dictionary
    found = finite_float(hypercube_volume(K, d) if Omega is None else Omega, "Omega")
    if not 0.0 < found <= _LARGEST_OMEGA:
        raise InvalidInputError(f"Omega is {found}; expected a positive number up to {_LARGEST_OMEGA:g}")
    return found


def _critical_rate(condition: str, target: float | PatchDictionary) -> float | None:
    """The integral of beta up to the critical time; None if the condition is never met."""
    if isinstance(target, PatchDictionary):
        if condition == "renormalised":
            return _renormalised_rate(target)
        return _first_crossing(ONSITE.get(condition, ONSITE["drift"]), _zero_mode(target), _largest_coupling(target))
    if condition == "score":
        return math.log1p(target)
    if condition == "eq17":
        # With sigma^2 = 1 - a, a = alpha^2: a^2 - 2 (2 + Omega) a + 3 = 0, the smaller root.
        return math.log((2.0 + target + math.sqrt((2.0 + target) ** 2 - 3.0)) / 3.0)
    if condition == "drift":
        # a^2 + 2 Omega a - 1 = 0.
        return math.asinh(target)

    def coupling_of_projection(levels: NoiseLevels) -> float:
        return target * mean_sech2((levels.alpha / levels.sigma2) ** 2 * target)

    return _first_crossing(ONSITE["drift"], coupling_of_projection, target)


@lru_cache(maxsize=64)
def _renormalised_rate(dictionary: PatchDictionary) -> float | None:
    """Kept as the closure's is: the averages over patches take half a second."""
    return _first_crossing(
        ONSITE["drift"], _averaged_zero_mode(GaussianPatches(dictionary)), _largest_coupling(dictionary)
    )


def _closure_rate(K: int, d: int, Omega: float | None, dictionary: PatchDictionary | None) -> float | None:
    """The same by the closure."""
    if dictionary is None:
        if d != 2 or Omega is not None:
            raise InvalidInputError("condition 'closure' is given no dictionary; expected one, or d = 2 without Omega")
        dictionary = PatchDictionary.random(0, uniform_mass=1.0, size=2 * K + 1)
    rate = _closure_zero(dictionary)
    return None if math.isnan(rate) else rate


@lru_cache(maxsize=64)
def _closure_zero(dictionary: PatchDictionary) -> float:
    """Kept, because the report and the figure of one result both ask for it, and it takes seconds."""
    return float(closure_critical_time(dictionary).value)


def _zero_mode(dictionary: PatchDictionary) -> _Coupling:
    sums = dictionary.sums
    if have_one_norm(dictionary):
        constant = float(central_gains(dictionary, 0.0, 1.0) @ sums)
        return lambda levels: constant
    return lambda levels: float(central_gains(dictionary, levels.alpha, levels.sigma2) @ sums)


def _averaged_zero_mode(patches: GaussianPatches) -> _Coupling:
    sums = patches.dictionary.sums
    return lambda levels: float(patches.gains(levels).mean(axis=0) @ sums)


def _largest_coupling(dictionary: PatchDictionary) -> float:
    """A bound on |sum_n w_n (c_n - m) S_n|, S_n the sum of p_n, for any weights."""
    return float(2.0 * np.abs(dictionary.centers).max() * np.abs(dictionary.sums).max())


def _first_crossing(onsite: float, coupling: _Coupling, largest: float) -> float | None:
    """The largest integral of beta at which the mass crosses zero from above."""

    def mass(rate: float) -> float:
        levels = levels_at(rate)
        return float(1.0 / levels.sigma2 + onsite - (levels.alpha / levels.sigma2) ** 2 * coupling(levels))

    if largest == 0.0:
        return None
    # Beyond asinh(largest) even the drift's mass is positive whatever the weights.
    upper = math.asinh(largest)
    for lower in np.geomspace(upper, min(1e-3, 1e-3 * upper), 129)[1:]:
        if mass(lower) <= 0.0:
            return float(brentq(mass, lower, upper, xtol=1e-13))
        upper = lower
    return None
