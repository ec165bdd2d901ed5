"""Euler-Maruyama integration of the reverse SDE (eqs. 40-42), one engine a kind of model.

An engine holds the state of a batch of trajectories and advances it along the time grid, many steps a call. Mode
derivatives are measured on the way, which costs little while the posterior is at hand.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .analysis.lengths import correlation_length
from .analysis.modes import directional_derivatives, finite_difference_step, fourier_modes
from .errors import BackendUnavailableError
from .kernels import dense
from .kernels import patch as patch_kernels
from .models.base import Model, ModelWithModes
from .models.patch import PatchModel
from .noise import NoiseStream, noise_key, standard_normals

__all__ = ["Engine", "euler_coefficients", "integrator", "observe"]


class Engine(Protocol):
    """A batch of trajectories on their way down the time grid."""

    step: int

    @property
    def x(self) -> Any:
        """The states (T, L1, L2), an array."""

    @property
    def least_steps(self) -> int:
        """Steps below which a call of `advance` is not worth it."""

    def advance(self, records: NDArray[np.int64], fields: Any) -> NDArray[np.float64]:
        """Take ``len(records)`` steps, recording on the way.

        Where ``records[s]`` is r >= 0, the state before the s-th of these steps is copied to ``fields[r]``
        (T, L1, L2), in a NumPy array or in what `space` gave. Returns lambda (len(fields), T, n_shells, directions)
        of those states.
        """

    def space(self, count: int) -> Any:
        """Room for ``count`` recorded states or more, where the engine works best with them; `measure` may reuse it."""

    def gallery(self, count: int) -> Any:
        """Room for ``count`` fetched states, an array (T, count, L1, L2)."""

    def present(self) -> Any:
        """The present states as a recorded one, (1, T, L1, L2)."""

    def observe(self, fields: Any, rows: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """xi_x and magnetization (len(rows), T) of some of the recorded states."""

    def fetch(self, fields: Any, row: int) -> Any:
        """One of the recorded states (T, L1, L2), an array."""

    def measure(self) -> NDArray[np.float64]:
        """lambda (T, n_shells, directions) of the present state."""


def integrator(
    model: Model,
    x: NDArray[Any],
    times: NDArray[np.float64],
    *,
    step: int,
    seed: int,
    first_trajectory: int,
    shells: NDArray[np.int64],
    diagonal: bool,
    backend: str = "cpu",
) -> Engine:
    """The engine for a model, started from the state ``x`` (T, L1, L2), which it takes over, at grid index ``step``.

    Raises `BackendUnavailableError` for a model that the resolved ``backend`` has no kernels for.
    """
    if backend == "cuda":
        if not isinstance(model, PatchModel):
            raise BackendUnavailableError(
                f"backend 'cuda' has no kernels for {type(model).__name__}; expected a PatchModel, or backend='cpu'"
            )
        from .cuda_engine import CudaPatchEngine

        return CudaPatchEngine(model, x, times, step, seed, first_trajectory, shells, diagonal)
    if isinstance(model, PatchModel) and not dense.suits(model.plan):
        return PatchEngine(model, x, times, step, seed, first_trajectory, shells, diagonal)
    return DriftEngine(model, x, times, step, seed, first_trajectory, shells, diagonal)


class _HostStates:
    """What becomes of recorded states that are NumPy arrays."""

    x: NDArray[Any]
    least_steps = 1

    def gallery(self, count: int) -> NDArray[Any]:
        return np.empty((len(self.x), count, *self.x.shape[1:]), dtype=self.x.dtype)

    def space(self, count: int) -> NDArray[Any]:
        return np.empty((count, *self.x.shape), dtype=self.x.dtype)

    def present(self) -> NDArray[Any]:
        return self.x[None]

    def observe(self, fields: NDArray[Any], rows: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return observe(fields[rows] if len(rows) < len(fields) else fields)

    def fetch(self, fields: NDArray[Any], row: int) -> NDArray[Any]:
        return np.asarray(fields[row])


class PatchEngine(_HostStates):
    """The fused kernels of the patch model."""

    def __init__(
        self,
        model: PatchModel,
        x: NDArray[Any],
        times: NDArray[np.float64],
        step: int,
        seed: int,
        first_trajectory: int,
        shells: NDArray[np.int64],
        diagonal: bool,
    ) -> None:
        self.x = np.ascontiguousarray(x)
        self.step = step
        self._spare = np.empty_like(self.x)
        self._model, self._times, self._first = model, times, first_trajectory
        self._key = noise_key(seed, NoiseStream.STEP)
        shape = (x.shape[1], x.shape[2])
        tables = patch_kernels.ModeTables(model.plan.patterns, shape, shells, diagonal)
        self._stepper = patch_kernels.Stepper(model.plan, tables, patch_kernels.Part(shape), shape, x.dtype)
        self._law = patch_kernels.tile_constants(model.plan, model.schedule, times, x.dtype)
        self._coefficients = euler_coefficients(model, times).astype(x.dtype)

    def advance(self, records: NDArray[np.int64], fields: NDArray[Any]) -> NDArray[np.float64]:
        steps = len(records)
        window = slice(self.step, self.step + steps)
        overlaps = self._run(window, self._coefficients[window], records, fields)
        if steps % 2 == 1:
            self.x, self._spare = self._spare, self.x
        left = self._times[window][np.flatnonzero(records >= 0)]
        self.step += steps
        return self._model.derivative_of_overlap(overlaps, left[:, None, None, None])

    def measure(self) -> NDArray[np.float64]:
        # A step that leaves the field as it is, so that no other kernel need be compiled.
        window, stay = slice(self.step, self.step + 1), np.array([[1.0, 0.0, 0.0]], dtype=self.x.dtype)
        # The recorded copy of the state may go where the step's result goes: they are the same.
        overlaps = self._run(window, stay, np.zeros(1, dtype=np.int64), self._spare[None])
        return self._model.derivative_of_overlap(overlaps[0], float(self._times[self.step]))

    def _run(
        self, window: slice, coefficients: NDArray[Any], records: NDArray[np.int64], fields: NDArray[Any]
    ) -> NDArray[np.float64]:
        """`Stepper.run` with the constants of some steps."""
        counters = (self._first, self.step, self._key)
        constants = (*(constant[window] for constant in self._law), coefficients)
        return self._stepper.run(self.x, self._spare, counters, constants, records, fields)


class DriftEngine(_HostStates):
    """Any model with a drift, one NumPy step at a time."""

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
        drift = np.asarray(self._model.drift(self.x, float(self._times[k])))
        return np.asarray(self.x + self._intervals[k] * drift + self._kicks[k] * noise)

    def measure(self) -> NDArray[np.float64]:
        x, t = self.x.astype(np.float64), float(self._times[self.step])
        if isinstance(self._model, ModelWithModes):
            return np.asarray(self._model.mode_derivatives(x, t, self._shells, diagonal=self._diagonal))
        modes = fourier_modes((x.shape[-2], x.shape[-1]), self._shells, diagonal=self._diagonal)
        step = finite_difference_step(self._model.schedule.sigma2(t))
        return np.asarray(directional_derivatives(lambda y: self._model.drift(y, t), x, modes, step))


def observe(fields: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """xi_x and the spatial mean of fields (..., L1, L2)."""
    return np.asarray(correlation_length(fields)), np.asarray(fields.mean(axis=(-2, -1), dtype=np.float64))


def euler_coefficients(model: PatchModel, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(linear, pull, kick) of ``x <- linear x + pull m(x) + kick eta`` for every step, (steps, 3)."""
    t, dt = times[:-1], np.diff(times)
    alpha, sigma2, rate = model.schedule.alpha(t), model.schedule.sigma2(t), model.schedule.rate(t)
    return np.stack([1.0 + dt * rate * (1.0 / sigma2 - 0.5), -dt * rate * alpha / sigma2, np.sqrt(rate * -dt)], axis=1)
