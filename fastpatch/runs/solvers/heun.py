"""Heun's method for the probability-flow ODE, which has the SDE's marginals without its noise (Song et al., 2021)."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...models.base import Model, like_states

__all__ = ["Heun", "heun_step"]

_Array = TypeVar("_Array")


def heun_step(velocity: Callable[[Any, float], Any], x: _Array, start: float, stop: float, step: Any = None) -> _Array:
    """``x`` carried from ``start`` to ``stop`` along dx/dt = velocity(x, t), by the mean of the slopes at both ends.

    Of NumPy arrays and torch tensors alike; ``step`` is stop - start in the precision of x where that matters. A
    velocity that is None at ``stop`` has no value there: the step is then Euler's.
    """
    dt: Any = stop - start if step is None else step
    first = velocity(x, start)
    ahead: Any = x + dt * first
    second = velocity(ahead, stop)
    moved: _Array = ahead if second is None else x + dt / 2 * (first + second)
    return moved


class Heun:
    r""":math:`dx/dt = -\tfrac{\beta}{2}\,(x + s(x, t))`, run backwards along the time grid.

    Second order in the largest step, at two evaluations of the score a step. All randomness is in the initial field.
    The derivatives that a run records are those of the reverse SDE's drift, as with every other solver.
    """

    name = "heun"

    def step(
        self, model: Model, x: NDArray[Any], t: float, s: float, noise: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        """See `Solver.step`."""

        def velocity(at: NDArray[Any], time: float) -> NDArray[Any]:
            score = like_states(model.score(at, time), at, "score")
            return np.asarray(-0.5 * model.schedule.rate(time) * (at + score), dtype=x.dtype)

        return np.asarray(heun_step(velocity, x, t, s, x.dtype.type(s - t)))
