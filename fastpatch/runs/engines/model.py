"""Any model and any solver, on a CPU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.modes import directional_derivatives, distinct_modes, finite_difference_step
from ...models.base import ModelWithModes, like_states
from ...noise import standard_normals
from ..setup import Setup
from .base import HostStates

__all__ = ["ModelEngine"]


class ModelEngine(HostStates):
    """One NumPy step of the solver at a time; models and solvers are lent the states read-only."""

    def __init__(self, setup: Setup, x: NDArray[Any], step: int = 0) -> None:
        self.x = x
        self.step = step
        self._setup = setup

    def advance(self, records: NDArray[np.int64], fields: NDArray[Any]) -> NDArray[np.float64]:
        setup = self._setup
        derivatives = np.full((len(fields), len(self.x), setup.shells.size, setup.directions), np.nan)
        for r in records:
            if r >= 0:
                fields[r] = self.x
                derivatives[r] = self.measure()
            self.x = self._stepped()
            self.step += 1
        return derivatives

    def measure(self) -> NDArray[np.float64]:
        setup = self._setup
        if not setup.shells.size:
            return np.empty((len(self.x), 0, setup.directions))
        x, t, model = _lent(self.x.astype(np.float64)), float(setup.times[self.step]), setup.model
        if isinstance(model, ModelWithModes):
            return np.asarray(model.mode_derivatives(x, t, setup.shells, diagonal=setup.diagonal))
        modes, position = distinct_modes(setup.shape, setup.shells, setup.diagonal)
        step = finite_difference_step(model.schedule.sigma2(t))
        return directional_derivatives(lambda y: model.drift(y, t), x, modes, step)[..., position]

    def _stepped(self) -> NDArray[Any]:
        """The states one step on."""
        setup, k = self._setup, self.step
        t, s = (float(time) for time in setup.times[k : k + 2])

        def noise() -> NDArray[Any]:
            return standard_normals(
                self.x.shape, seed=setup.seed, step=k, first_trajectory=setup.first_trajectory, dtype=setup.dtype
            )

        return like_states(setup.solver.step(setup.model, _lent(self.x), t, s, noise), self.x, setup.solver.name)


def _lent(x: NDArray[Any]) -> NDArray[Any]:
    """The same values, which whoever they are lent to cannot change."""
    view = x.view()
    view.setflags(write=False)
    return view
