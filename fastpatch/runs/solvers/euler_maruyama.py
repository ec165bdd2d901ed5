"""The paper's scheme for the reverse SDE (eqs. 40-42)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.base import Model, like_states
from ...process import VPSchedule

__all__ = ["EulerMaruyama"]


class EulerMaruyama:
    r""":math:`x_s = x_t + b(x_t, t)\,dt + \sqrt{\beta |dt|}\,\eta` with :math:`dt = s - t < 0`: weak order 1.

    Explicit: where ``|1 + dt beta (1/sigma^2 - 1/2)|`` exceeds 1 at the first time, the noise that a run starts from
    grows from step to step, which is refused before a run (`fastpatch.runs.stability`).
    """

    name = "euler-maruyama"

    def coefficients(self, schedule: VPSchedule, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """(linear, pull, kick) of every step, see `FrozenMeanSolver`."""
        t, dt = times[:-1], np.diff(times)
        alpha, sigma2, rate = schedule.alpha(t), schedule.sigma2(t), schedule.rate(t)
        return np.stack(
            [1.0 + dt * rate * (1.0 / sigma2 - 0.5), -dt * rate * alpha / sigma2, np.sqrt(rate * -dt)], axis=1
        )

    def step(
        self, model: Model, x: NDArray[Any], t: float, s: float, noise: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        """See `Solver.step`."""
        dt, kick = x.dtype.type(s - t), x.dtype.type(np.sqrt(model.schedule.rate(t) * (t - s)))
        return np.asarray(x + dt * like_states(model.drift(x, t), x, "drift") + kick * noise())
