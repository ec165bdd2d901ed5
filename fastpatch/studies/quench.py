r"""How fast the critical window is crossed, and what that does to the final domains (after Kibble and Zurek).

The grid of eq. 41 crosses every time at the same logarithmic rate

.. math:: v = -\frac{d\log t}{dn} = \frac{\log(t_\max / t_\min)}{N},

in units of 1 / step: near t_c a step is :math:`t_c v` long, and adds :math:`\beta t_c v` to the integral of beta. In
that integral, rather than in t, the process with a constant beta has no parameter left: beta t_c is a number of the
dictionary alone. So beta is no rate of the quench, and moves t_max and t_min in units of 1 / beta only; v is the rate,
and as v -> 0 the scheme converges to the continuous process, whose own rate is fixed. A final length that depends on v
as a power, without end, would be Kibble-Zurek's; one that levels off is the convergence of the scheme.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..validation import finite_float, integer
from .measured import Measured
from .observables import Ensemble, ensemble_observables
from .power_law import PowerLaw, fit_power_law

__all__ = ["Quench", "QuenchRate", "quench_rate_dependence"]


@dataclass(frozen=True, order=True)
class Quench:
    """How a run goes through time: noise rate, first and last time, and steps between them on eq. 41's grid.

    Raises `InvalidInputError` unless beta > 0, t_max > t_min > 0 and steps >= 1.
    """

    beta: float
    steps: int
    t_max: float
    t_min: float

    def __post_init__(self) -> None:
        integer(self.steps, "steps", minimum=1)
        beta, first, last = (finite_float(getattr(self, name), name) for name in ("beta", "t_max", "t_min"))
        if not (beta > 0.0 and first > last > 0.0):
            raise InvalidInputError(
                f"beta, t_max, t_min are {beta}, {first}, {last}; expected beta > 0 and t_max > t_min > 0"
            )

    @property
    def rate(self) -> float:
        """v, in 1 / step."""
        return math.log(self.t_max / self.t_min) / self.steps


@dataclass(frozen=True)
class QuenchRate:
    """Results by quench, in increasing order of beta, then steps.

    ``laws`` is the power law of the final xi_x in v for every beta, over all its rates; ``slow`` that of the slower
    half of them, at least three: where a law of the first kind has levelled off, this one is a constant.
    """

    quenches: tuple[Quench, ...]
    zero_time: tuple[Measured, ...]
    final_length: tuple[Measured, ...]
    laws: Mapping[float, PowerLaw]
    slow: Mapping[float, PowerLaw]

    @property
    def rates(self) -> NDArray[np.float64]:
        """v of every quench."""
        return np.array([quench.rate for quench in self.quenches])


def quench_rate_dependence(
    ensembles: Mapping[Quench, Ensemble], *, n_resamples: int = 400, seed: int = 0
) -> QuenchRate:
    """The study of ensembles by quench. Raises `InvalidInputError` for none."""
    if not ensembles:
        raise InvalidInputError("there are no ensembles; expected one of each quench")
    quenches = tuple(sorted(ensembles))
    found = [
        ensemble_observables(ensembles[quench], n_resamples=n_resamples, seed=seed + number)
        for number, quench in enumerate(quenches)
    ]
    laws: dict[float, Any] = {}
    slow: dict[float, Any] = {}
    for beta in sorted({quench.beta for quench in quenches}):
        own = sorted((q.rate, k) for k, q in enumerate(quenches) if q.beta == beta)
        slower = own[: max(3, -(-len(own) // 2))]
        for law, chosen in ((laws, own), (slow, slower)):
            law[beta] = fit_power_law([rate for rate, _ in chosen], [found[k].final_length for _, k in chosen])
    return QuenchRate(
        quenches, tuple(one.zero_time for one in found), tuple(one.final_length for one in found), laws, slow
    )  # fmt: skip
