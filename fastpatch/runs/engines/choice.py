"""Which engine takes the steps of a run."""

from typing import Any

from numpy.typing import NDArray

from ...errors import BackendUnavailableError
from ...kernels import dense
from ...models.patch import PatchModel
from ..setup import Setup
from ..solvers import FrozenMeanSolver
from .base import Engine
from .model import ModelEngine
from .patch import PatchEngine
from .tree import TreeEngine

__all__ = ["engine_of", "has_kernels"]


def engine_of(setup: Setup, x: NDArray[Any], step: int = 0) -> Engine:
    """The engine for a run, started from the state ``x`` (T, L1, L2), which it takes over, at grid index ``step``.

    Raises `BackendUnavailableError` for a model or a solver that the backend has no kernels for.
    """
    if setup.backend == "cuda":
        if not has_kernels(setup) or (isinstance(setup.model, PatchModel) and setup.model.tree is not None):
            raise BackendUnavailableError(
                f"backend 'cuda' has no kernels for {type(setup.model).__name__} with solver {setup.solver.name!r}; "
                "expected a PatchModel of moderate size with 'euler-maruyama' or 'ancestral', or backend='cpu'"
            )
        from .cuda import CudaPatchEngine

        return CudaPatchEngine(setup, x, step)
    if has_kernels(setup) and isinstance(setup.model, PatchModel):
        if setup.model.tree is not None:
            return TreeEngine(setup, x, step)
        if not dense.suits(setup.model.plan):
            return PatchEngine(setup, x, step)
    return ModelEngine(setup, x, step)


def has_kernels(setup: Setup) -> bool:
    """Whether fused kernels take the very steps of this run: nothing is bypassed that the model overrides."""
    return isinstance(setup.model, PatchModel) and setup.model.is_fused and isinstance(setup.solver, FrozenMeanSolver)
