"""What every contender has to compute, and the float64 reference of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import fastpatch as fp
from bench.cases import grid_index, patch_model

__all__ = ["Problem", "Steps", "reference_step"]

# ``advance()`` takes the problem's steps from its state, with the framework's own noise; ``noiseless()`` returns one
# step without noise.
Steps = tuple[Callable[[], Any], Callable[[], Any]]


@dataclass(frozen=True, eq=False)
class Problem:
    """``steps`` steps of ``x <- linear x + pull m(x) + kick eta`` from x (T, L1, L2) at the grid time nearest t.

    The logits of eq. 36 are ``slope <p_k, y> + log_prior[k]``, since all patterns have the same norm.
    """

    x: NDArray[np.float32]
    t: float
    steps: int

    @property
    def patterns(self) -> NDArray[np.float32]:
        return patch_model().dictionary.patterns.astype(np.float32)

    @property
    def centers(self) -> NDArray[np.float32]:
        return patch_model().dictionary.centers.astype(np.float32)

    @property
    def log_prior(self) -> NDArray[np.float32]:
        return np.log(patch_model().dictionary.prior).astype(np.float32)

    @cached_property
    def constants(self) -> NDArray[np.float32]:
        """(slope, linear, pull, kick) of every step, (steps, 4)."""
        schedule, k = patch_model().schedule, grid_index(self.t)
        times = fp.log_time_grid()[k : k + self.steps + 1]
        t, dt = times[:-1], np.diff(times)
        alpha, sigma2 = schedule.alpha(t), schedule.sigma2(t)
        constants = (alpha / sigma2, 1.0 + dt * (1.0 / sigma2 - 0.5), -dt * alpha / sigma2, np.sqrt(-dt))
        return np.stack(constants, axis=1).astype(np.float32)


def reference_step(problem: Problem) -> NDArray[np.float64]:
    """The first step without noise in float64, by the shortest code there is for it."""
    x = problem.x.astype(np.float64)
    slope, linear, pull, _ = problem.constants[0].astype(np.float64)
    size = problem.patterns.shape[-1]
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2), mode="wrap")
    total, mean = np.zeros_like(x), np.zeros_like(x)
    for pattern, center, prior in zip(problem.patterns, problem.centers, patch_model().dictionary.prior, strict=True):
        dots = np.einsum("tijuv,uv->tij", sliding_window_view(padded, (size, size), axis=(1, 2)), pattern)
        weight = prior * np.exp(slope * dots)
        total += weight
        mean += center * weight
    return np.asarray(linear * x + pull * mean / total)
