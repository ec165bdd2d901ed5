"""The patch model on a CPU, by its fused kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import patch as patch_kernels
from ...noise import NoiseStream, noise_key
from ..setup import Setup
from .base import HostStates

__all__ = ["PatchEngine"]


class PatchEngine(HostStates):
    """Steps with a frozen posterior mean of the patch model (eqs. 36-42) in kernels that take many at a call."""

    def __init__(self, setup: Setup, x: NDArray[Any], step: int = 0) -> None:
        model: Any = setup.model
        solver: Any = setup.solver
        self.x = np.ascontiguousarray(x)
        self.step = step
        self._spare = np.empty_like(self.x)
        self._model, self._times, self._first = model, setup.times, setup.first_trajectory
        self._key = noise_key(setup.seed, NoiseStream.STEP)
        tables = patch_kernels.ModeTables(model.plan.patterns, setup.shape, setup.shells, setup.diagonal)
        part = patch_kernels.Part(setup.shape)
        self._stepper = patch_kernels.Stepper(model.plan, tables, part, setup.shape, setup.dtype)
        alpha, sigma2 = model.schedule.amplitudes(setup.times)
        self._law = patch_kernels.tile_constants(model.plan, alpha, sigma2, setup.dtype)
        self._coefficients = solver.coefficients(model.schedule, setup.times).astype(setup.dtype)

    def advance(self, records: NDArray[np.int64], fields: NDArray[Any]) -> NDArray[np.float64]:
        steps = len(records)
        window = slice(self.step, self.step + steps)
        overlaps = self._run(window, self._coefficients[window], records, fields)
        if steps % 2 == 1:
            self.x, self._spare = self._spare, self.x
        left = self._times[window][np.flatnonzero(records >= 0)]
        self.step += steps
        return np.asarray(self._model.derivative_of_overlap(overlaps, left[:, None, None, None]))

    def measure(self) -> NDArray[np.float64]:
        # A step that leaves the field as it is, so that no other kernel need be compiled.
        window, stay = slice(self.step, self.step + 1), np.array([[1.0, 0.0, 0.0]], dtype=self.x.dtype)
        # The recorded copy of the state may go where the step's result goes: they are the same.
        overlaps = self._run(window, stay, np.zeros(1, dtype=np.int64), self._spare[None])
        return np.asarray(self._model.derivative_of_overlap(overlaps[0], float(self._times[self.step])))

    def _run(
        self, window: slice, coefficients: NDArray[Any], records: NDArray[np.int64], fields: NDArray[Any]
    ) -> NDArray[np.float64]:
        """`Stepper.run` with the constants of some steps."""
        counters = (self._first, self.step, self._key)
        constants = (*(constant[window] for constant in self._law), coefficients)
        return self._stepper.run(self.x, self._spare, counters, constants, records, fields)
