"""A patch model of millions of patterns on a CPU, by its tree."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels.patch import ModeTables, line_overlaps
from ...models.local import pixel_patterns
from ...noise import standard_normals
from ..setup import Setup
from .base import HostStates

__all__ = ["TreeEngine"]


class TreeEngine(HostStates):
    """Steps with a frozen posterior mean of the patch model (eqs. 36-42) with one evaluation of the tree a step.

    Where a state is recorded the same evaluation gives its response, and by that its mode derivatives, in the
    precision of the states.
    """

    def __init__(self, setup: Setup, x: NDArray[Any], step: int = 0) -> None:
        model: Any = setup.model
        solver: Any = setup.solver
        self.x = np.ascontiguousarray(x)
        self.step = step
        self._model, self._kernels, self._times = model, model.tree, setup.times
        self._seed, self._first = setup.seed, setup.first_trajectory
        pixels = pixel_patterns(model.dictionary.size)
        self._tables = ModeTables(pixels, setup.shape, setup.shells, setup.diagonal)
        self._coefficients = solver.coefficients(model.schedule, setup.times).astype(setup.dtype)
        self._slopes = model.schedule.alpha(setup.times) / model.schedule.sigma2(setup.times)

    def advance(self, records: NDArray[np.int64], fields: NDArray[Any]) -> NDArray[np.float64]:
        derivatives = np.empty((len(fields), len(self.x), self._tables.shells.size, self._tables.directions))
        for r in records:
            if r >= 0:
                fields[r] = self.x
            if r >= 0 and self._tables.shells.size:
                mean, derivatives[r] = self._measured()
            else:
                mean = self._kernels.posterior_mean(self.x, self._slopes[self.step])
            linear, pull, kick = self._coefficients[self.step]
            noise = standard_normals(
                self.x.shape, seed=self._seed, step=self.step, first_trajectory=self._first, dtype=self.x.dtype
            )
            self.x = linear * self.x + (pull * mean + kick * noise)
            self.step += 1
        return derivatives

    def measure(self) -> NDArray[np.float64]:
        if not self._tables.shells.size:
            return np.empty((len(self.x), 0, self._tables.directions))
        return self._measured()[1]

    def _measured(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Posterior mean and lambda (T, n_shells, directions) of the present states."""
        mean, response = self._kernels.response(self.x, self._slopes[self.step])
        overlaps = np.moveaxis(line_overlaps(self._tables, response), -2, -1)
        return mean, np.asarray(self._model.derivative_of_overlap(overlaps, float(self._times[self.step])))
