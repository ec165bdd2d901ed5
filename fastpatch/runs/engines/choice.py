"""Which engine integrates the reverse SDE of a model."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendUnavailableError
from ...kernels import dense
from ...models.base import Model
from ...models.patch import PatchModel
from .base import Engine
from .drift import DriftEngine
from .patch import PatchEngine
from .tree import TreeEngine

__all__ = ["integrator"]


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
        from .cuda import CudaPatchEngine

        return CudaPatchEngine(model, x, times, step, seed, first_trajectory, shells, diagonal)
    if isinstance(model, PatchModel) and model.tree is not None:
        return TreeEngine(model, model.tree, x, times, step, seed, first_trajectory, shells, diagonal)
    if isinstance(model, PatchModel) and not dense.suits(model.plan):
        return PatchEngine(model, x, times, step, seed, first_trajectory, shells, diagonal)
    return DriftEngine(model, x, times, step, seed, first_trajectory, shells, diagonal)
