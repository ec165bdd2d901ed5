"""The probability-flow ODE, which has the marginals of the reverse SDE without its noise (Song et al., 2021)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .drift import DriftEngine

__all__ = ["FlowEngine"]


class FlowEngine(DriftEngine):
    r"""Heun's method for :math:`dx/dt = -\tfrac{\beta}{2}\,(x + s(x, t))`, run backwards along the time grid.

    Second order in the largest step, at two evaluations of the score a step. All randomness is in the initial field.
    The derivatives that it measures are those of the reverse SDE's drift, as in every other run.
    """

    def _stepped(self) -> NDArray[Any]:
        start, stop = (float(t) for t in self._times[self.step : self.step + 2])
        dt = self._intervals[self.step]
        first = self._velocity(self.x, start)
        second = self._velocity(self.x + dt * first, stop)
        return np.asarray(self.x + dt / 2 * (first + second))

    def _velocity(self, x: NDArray[Any], t: float) -> NDArray[Any]:
        score = self._like_states(self._model.score(x, t), "score")
        return np.asarray(-0.5 * self._model.schedule.rate(t) * (x + score), dtype=x.dtype)
