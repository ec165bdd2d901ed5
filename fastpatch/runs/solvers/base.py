"""What a run asks of a solver."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...models.base import Model
from ...process import VPSchedule

__all__ = ["FrozenMeanSolver", "Solver"]


@runtime_checkable
class Solver(Protocol):
    """One step of the reverse run of any model, from time t down to s.

    ``name`` enters the identity of a run: two solvers that take other steps need other names.
    """

    @property
    def name(self) -> str: ...

    def step(
        self, model: Model, x: NDArray[Any], t: float, s: float, noise: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        """The states (T, L1, L2) at s from those at t, in their dtype.

        ``x`` is read-only. ``noise()`` draws standard normals of the shape and dtype of ``x``, the same whenever it is
        called within one step; a deterministic solver does not call it.
        """
        ...


@runtime_checkable
class FrozenMeanSolver(Solver, Protocol):
    """A solver whose step keeps the posterior mean of its beginning, so that the fused kernels can take it."""

    def coefficients(self, schedule: VPSchedule, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """(linear, pull, kick) of ``x <- linear x + pull m(x) + kick eta`` for every step of the grid, (steps, 3)."""
        ...
