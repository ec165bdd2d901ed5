"""States and stepping engines that the benchmarks share."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastpatch as fp
from fastpatch.runs.engines.choice import engine_of
from fastpatch.runs.setup import Setup

__all__ = [
    "CELL",
    "CRITICAL",
    "SEED",
    "engine_at",
    "evolved_field",
    "grid_index",
    "patch_model",
    "stepper",
]

SEED = 0

# log 26, the critical time: there many patterns hold weight, and no shortcut of the early or late run applies.
CRITICAL = float(np.log(26.0))

# Side of the largest cell that `evolved_field` computes.
CELL = 128
_DISTINCT = 4


@cache
def patch_model() -> fp.PatchModel:
    """The paper's configuration: the default dictionary of 18 patterns."""
    return fp.PatchModel(fp.PatchDictionary.random())


def grid_index(t: float) -> int:
    """Index of the time of the paper's grid that is nearest to ``t`` in log t."""
    return int(np.abs(np.log(fp.log_time_grid()) - np.log(t)).argmin())


@cache
def _evolved_cell(k: int, shape: tuple[int, int], trajectories: int) -> NDArray[np.float32]:
    if k == 0:
        return next(fp.states(patch_model(), shape, trajectories, seed=SEED)).x
    states = fp.states(patch_model(), shape, trajectories, seed=SEED, every=k)
    next(states)
    return next(states).x


def evolved_field(t: float, side: int, trajectories: int = 1) -> NDArray[np.float32]:
    """Fields (trajectories, side, side) as the reverse run has them at time ``t``.

    At most four different trajectories and cells of at most 128 sites a side, repeated: the kernels do the same work
    as on one long run, which takes minutes for the largest lattices. ``side`` is below 128 or a multiple of it.
    """
    cell = min(side, CELL)
    fields = _evolved_cell(grid_index(t), (cell, cell), min(trajectories, _DISTINCT))
    copies = -(-trajectories // len(fields))
    return np.tile(fields, (copies, side // cell, side // cell))[:trajectories]


def engine_at(model: fp.PatchModel, x: NDArray[Any], k: int, backend: str = "cpu", seed: int = SEED) -> Any:
    """The engine of a backend with the states ``x`` at index k of the paper's grid."""
    options: Any = {"dtype": x.dtype, "backend": backend, "shells": range(7)}
    return engine_of(Setup.of(model, x.shape[1:], len(x), seed=seed, **options), x.copy(), k)


def stepper(x: NDArray[np.float32], t: float, steps: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """``(reset, advance)``: set the state back to ``x`` at the grid time nearest ``t``; take ``steps`` from there."""
    k = grid_index(t)
    engine = engine_at(patch_model(), x, k)
    unrecorded = np.full(steps, -1)
    nothing = np.empty((0, *x.shape), dtype=x.dtype)

    def reset() -> None:
        engine.x[...] = x
        engine.step = k

    def advance() -> NDArray[Any]:
        engine.advance(unrecorded, nothing)
        return np.asarray(engine.x)

    return reset, advance
