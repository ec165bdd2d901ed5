"""Any model with a drift, on a CPU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.modes import directional_derivatives, finite_difference_step, fourier_modes
from ...errors import InvalidInputError
from ...models.base import Model, ModelWithModes
from ...noise import standard_normals
from .base import HostStates

__all__ = ["DriftEngine"]


class DriftEngine(HostStates):
    """Euler-Maruyama (eqs. 40-42), one NumPy step at a time."""

    def __init__(
        self,
        model: Model,
        x: NDArray[Any],
        times: NDArray[np.float64],
        step: int,
        seed: int,
        first_trajectory: int,
        shells: NDArray[np.int64],
        diagonal: bool,
    ) -> None:
        self.x = x
        self.step = step
        self._model, self._times, self._seed, self._first = model, times, seed, first_trajectory
        self._shells, self._diagonal = shells, diagonal
        self._kicks = np.sqrt(model.schedule.rate(times[:-1]) * -np.diff(times)).astype(x.dtype)
        self._intervals = np.diff(times).astype(x.dtype)

    def advance(self, records: NDArray[np.int64], fields: NDArray[Any]) -> NDArray[np.float64]:
        directions = 3 if self._diagonal else 2
        derivatives = np.empty((len(fields), len(self.x), self._shells.size, directions))
        for r in records:
            if r >= 0:
                fields[r] = self.x
                derivatives[r] = self.measure()
            self.x = self._stepped()
            self.step += 1
        return derivatives

    def _stepped(self) -> NDArray[Any]:
        """The states one step on."""
        k = self.step
        noise = standard_normals(
            self.x.shape, seed=self._seed, step=k, first_trajectory=self._first, dtype=self.x.dtype
        )
        drift = self._like_states(self._model.drift(self.x, float(self._times[k])), "drift")
        return np.asarray(self.x + self._intervals[k] * drift + self._kicks[k] * noise)

    def _like_states(self, value: Any, name: str) -> NDArray[Any]:
        """What a model returned of the states, in their precision; `InvalidInputError` if of another shape."""
        found = np.asarray(value, dtype=self.x.dtype)
        if found.shape != self.x.shape:
            raise InvalidInputError(f"{name}(x, t) has shape {found.shape}; expected that of x, {self.x.shape}")
        return found

    def measure(self) -> NDArray[np.float64]:
        x, t = self.x.astype(np.float64), float(self._times[self.step])
        if isinstance(self._model, ModelWithModes):
            return np.asarray(self._model.mode_derivatives(x, t, self._shells, diagonal=self._diagonal))
        modes = fourier_modes((x.shape[-2], x.shape[-1]), self._shells, diagonal=self._diagonal)
        step = finite_difference_step(self._model.schedule.sigma2(t))
        return np.asarray(directional_derivatives(lambda y: self._model.drift(y, t), x, modes, step))
